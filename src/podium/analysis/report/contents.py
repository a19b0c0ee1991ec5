"""Results -> what stands on the page: its charts, its tables and its sentences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from podium.analysis.report import charts, tables
from podium.analysis.report.page import Chart, HtmlTable
from podium.analysis.report.results import Results

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
        """Return cross-validation beside the leader board, a line per metric."""
        columns = (self.naive, self.cross_fitted, self.standard_error, self.heldout)
        lines = [[name, *(f"{part[name]:.4f}" if name in part else "" for part in columns)] for name in self.names]
        return HtmlTable(["", "naive", "cross-fitted", "±", "held out"], lines)


def plots(results: Results, climb: pd.DataFrame, uploads: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return every chart's table by name; a header only where the task has no such thing.

    `climb` is the search for the ensemble's weights, `uploads` the competition's lines of leaderboard.csv.
    """
    made = {
        "roc": pd.DataFrame(columns=["fpr", "tpr"]),
        "precision_recall": pd.DataFrame(columns=["recall", "precision"]),
        "reliability": pd.DataFrame(columns=["predicted", "observed", "count"]),
        "confusion": pd.DataFrame(columns=["actual", "predicted"]),
        "fitted": pd.DataFrame(columns=["predicted", "actual"]),
        "folds": tables.by_fold({"ensemble": results.p, **results.members}, results.folds, results.score),
        "correlation": tables.correlation(results.members),
        "climb": climb,
        "leaderboard": uploads.loc[
            uploads[["cross_fitted", "public"]].notna().all(axis=1), ["time", "cross_fitted", "public"]
        ],
    }
    if results.task.kind == "regression":
        return made | {"fitted": tables.fitted(results.y, results.p)}
    truth, p = tables.decisions(results.y, results.p)
    made |= {
        "roc": tables.roc(truth, p),
        "precision_recall": tables.precision_recall(truth, p),
        "reliability": tables.reliability(truth, p),
    }
    if results.exclusive:
        made["confusion"] = tables.confusion(results.y, results.decided, results.labels)
    return made


def drawn(results: Results, made: Plots) -> list[Chart]:
    """Return the charts that the task has something to show in."""
    error = tables.calibration_error(made["reliability"]) if len(made["reliability"]) else 0.0
    entries: list[tuple[str, str, Callable[[pd.DataFrame], str], str]] = [
        ("ROC", "roc", charts.roc, ""),
        ("Precision and recall", "precision_recall", charts.precision_recall, ""),
        ("Confusion", "confusion", partial(charts.confusion, labels=results.labels), "Coloured by the share of a row."),
        ("Reliability", "reliability", charts.reliability, f"Expected calibration error {error:.4f}."),
        ("Actual and predicted", "fitted", charts.fitted, ""),
        ("Score by fold", "folds", partial(charts.by_fold, metric=results.metric.name), "A dot is a fold."),
        (
            "Correlation of members",
            "correlation",
            charts.correlation,
            "In per cent. The less two members agree, the more one adds to the other.",
        ),
        ("Hill climbing", "climb", charts.climb, _climbed(made["climb"])),
        (
            "Leader board",
            "leaderboard",
            partial(charts.leaderboard, metric=results.metric.name),
            "Uploads in their order, from leaderboard.csv. While they rise together, trust the cross-fitted score.",
        ),
    ]
    return [Chart(title, draw(made[name]), note) for title, name, draw, note in entries if len(made[name])]


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
