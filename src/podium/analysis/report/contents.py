"""Results -> what stands on the page: its charts, its tables and its sentences."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from podium.analysis.report import charts, feature_map, tables
from podium.analysis.report.feature_map import ImageFeatures
from podium.analysis.report.page import Chart, FeatureMap, HtmlTable
from podium.analysis.report.results import Groups, Results
from podium.contracts.metadata import PREFIX

_LEAST_MAPPED = 3  # images and features: with two, any map is a line
Plots = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Scores:
    """The ensemble's scores by metric, the official one first in `names`; `heldout` may be empty."""

    names: tuple[str, ...]
    naive: Mapping[str, float]
    cross_fitted: Mapping[str, float]
    standard_error: Mapping[str, float]
    heldout: Mapping[str, float]

    def headline(self) -> str:
        """Return the official score in one line."""
        official = self.names[0]
        text = f"{official} {self.cross_fitted[official]:.4f} ± {self.standard_error[official]:.4f} cross-fitted"
        return f"{text}, {self.heldout[official]:.4f} held out" if self.heldout else text

    def html_table(self) -> HtmlTable:
        """Return cross-validation beside the leaderboard, a line per metric."""
        columns = (self.naive, self.cross_fitted, self.standard_error, self.heldout)
        lines = [[name, *(f"{part[name]:.4f}" if name in part else "" for part in columns)] for name in self.names]
        return HtmlTable(["", "naive", "cross-fitted", "±", "held out"], lines)


def plots(results: Results, climb: pd.DataFrame, uploads: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of the charts that every task has.

    `climb` is the search for the ensemble's weights, `uploads` the competition's lines of leaderboard.csv.
    """
    has_both = uploads[["cross_fitted", "public"]].notna().all(axis=1)
    models = {"ensemble": results.p, **results.members}
    return {
        "folds": tables.by_fold({name: results.scorer(p) for name, p in models.items()}, results.folds),
        "climb": climb,
        "leaderboard": uploads.loc[has_both, ["time", "cross_fitted", "public"]],
    }


def drawn(results: Results, made: Plots) -> list[Chart]:
    """Return the charts that every task has, where there is something to show."""
    metric = results.metric.name
    entries: list[tuple[str, str, Callable[[pd.DataFrame], str], str]] = [
        ("Score by fold", "folds", partial(charts.by_fold, metric=metric), "A dot is a fold."),
        (
            "Hill climbing",
            "climb",
            partial(charts.climb, metric=metric, sign=results.metric.sign),
            _climbed(made["climb"]),
        ),
        (
            "Leaderboard",
            "leaderboard",
            partial(charts.leaderboard, metric=metric),
            "Uploads in their order, from leaderboard.csv. While they rise together, trust the cross-fitted score.",
        ),
    ]
    return [Chart(title, draw(made[name]), note) for title, name, draw, note in entries if len(made[name])]


def history(table: pd.DataFrame, metric: str) -> list[Chart]:
    """Return the chart of the scores over time, of a table of podium.analysis.report.history; none without a past."""
    if table.empty:
        return []
    note = "Commits that changed metrics/ensemble.json. `podium compare COMMIT` says whether a difference is real."
    return [Chart("Scores over time", charts.history(table, metric), note)]


def map_of(
    found: ImageFeatures, groups: Groups, predictions: Sequence[str], always: Collection[str]
) -> FeatureMap | None:
    """Return the map of features, with the images `always`; None of too few images or features for one.

    `groups` and `predictions` are those of the scored rows.
    """
    if min(found.matrix.shape) < _LEAST_MAPPED:
        return None
    images = found.images
    shown = feature_map.sample(len(images), np.flatnonzero(images["image_id"].isin(always)))
    places, rows = feature_map.coordinates(found.matrix[shown]), images["position"].to_numpy()[shown]
    some = f"{len(images):,} images"
    if len(shown) < len(images):
        some = f"{len(shown):,} of {some}, evenly taken, and those of the gallery"
    return FeatureMap(
        note=f"{some}, by the first two principal components of the features of {found.backbone}. A cross is a mistake."
        " Zoom by wheel, by buttons, or by + and -; move by dragging or by arrows. A click names an image, and opens it"
        " where the gallery has it.",
        groups=groups.names,
        colours=feature_map.colours(np.bincount(groups.code, minlength=len(groups.names))),
        ids=images["image_id"].to_numpy(object)[shown].tolist(),
        x=places[:, 0].tolist(),
        y=places[:, 1].tolist(),
        group=groups.code[rows].tolist(),
        wrong=np.isin(rows, groups.wrong).astype(int).tolist(),
        predicted=[predictions[row] for row in rows],
    )


def slices(results: Results) -> HtmlTable | None:
    """Return the score by metadata, the worst slice first; None where there are no metadata."""
    rows = results.data.of(results.ids)
    columns = {name.removeprefix(PREFIX): rows[name] for name in rows.columns if name.startswith(PREFIX)}
    table = tables.by_slice(results.scorer(results.p), columns)
    if table.empty:
        return None
    worst_first = table.assign(loss=results.metric.sign * table["score"]).sort_values("loss", ascending=False)
    lines = [
        [f"{column}: {value}", f"{rows:,}", f"{score:.4f}"]
        for column, value, rows, score, _ in worst_first.itertuples(index=False, name=None)
    ]
    return HtmlTable(["slice", "rows", results.metric.name], lines)


def curves(table: pd.DataFrame, name: str) -> Chart:
    """Return the learning curves of a finetune, a line a fold."""
    return Chart(
        f"{name}, while training", charts.curves(table), "A line a fold: the loss of training images, by epoch."
    )


def members(bank: pd.DataFrame) -> HtmlTable:
    """Return the bank table, read as text, with four decimals."""
    numbers = bank.drop(columns="member").astype("float64")
    return html_table(bank[["member"]].join(numbers.map(lambda value: "" if pd.isna(value) else f"{value:.4f}")))


def html_table(table: pd.DataFrame) -> HtmlTable:
    """Return a table of text as it is."""
    return HtmlTable(list(table.columns), table.astype(str).to_numpy().tolist())


def _climbed(table: pd.DataFrame) -> str:
    first = table.drop_duplicates("member").head(6)
    steps = ", ".join(f"{member} at {step:.0f}" for step, member in zip(first["step"], first["member"], strict=True))
    return f"The dot is the step whose weights are kept. First chosen: {steps}."
