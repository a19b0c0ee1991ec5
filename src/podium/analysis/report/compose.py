"""All results of a competition -> the report's page, and its charts' tables."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium import paths, plugins
from podium.analysis.report import advice, charts, contents, feature_map, gallery, history, pictures
from podium.analysis.report.feature_map import ImageFeatures
from podium.analysis.report.page import Chart, FeatureMap, HtmlTable, Near, Page
from podium.analysis.report.panels import Panels
from podium.analysis.report.results import Results
from podium.config import Config
from podium.config import scoring as scoring_of
from podium.contracts import leaderboard, models
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.metadata import NAME as METADATA
from podium.contracts.predictions import read_bank
from podium.contracts.tables import HASHES, by_id
from podium.imaging.duplicates import NEAR, clusters, near_pairs
from podium.imaging.images import Reader
from podium.storage import csv_table

_MOST_HASHED = 20_000  # beyond, the search takes longer than the rest of the report; `podium leaks` does it


def compose(config: Config) -> tuple[Page, dict[str, pd.DataFrame]]:
    """Return the page and its charts' tables."""
    name, competition = config.params.competition, config.competition
    bank_table, climb = _csv(paths.bank_table(name)), _csv(paths.climb_table(name))
    images, audit = Dataset(paths.dataset(name)).images, _json(paths.data(name, "audit.json"))
    ensemble = _json(paths.METRICS_ENSEMBLE)
    scores = contents.Scores(competition.all_metrics(), **ensemble, heldout=_json(paths.METRICS_HELDOUT))
    results, panels = _results(config, list(bank_table["member"])), _panels(config)
    uploads = leaderboard.of(name, paths.LEADERBOARD)
    plots = contents.plots(results, climb.astype({"step": "float64", "loss": "float64"}), uploads)
    plots |= panels.plots(results)
    plots["history"] = history.read(name, competition.metric, ensemble)
    texts = dict(zip(results.ids, zip(panels.labels(results), panels.predictions(results), strict=True), strict=True))
    tiles: list[gallery.Tile] = []
    pairs = _copies(results, images)
    if len(images):  # rows may have none
        twins = _twins(pairs, images) or audit["duplicates"]
        tiles = gallery.tiles(results.ids, panels.ranked(results), texts, images, audit["quarantined"], twins)
    with Reader(paths.raw(name)) as reader:
        previews = {
            tile.image_id: pictures.of_source(reader, tile.source, partial(panels.drawn, results, tile.row_id))
            for tile in tiles
        }
        found = _features(name, list(bank_table["member"]), images, results)
        near = _near(reader, found, results, tiles, texts) if found else {}
    page = Page(
        title=competition.title,
        headline=scores.headline(),
        summary=f"{len(results.ids):,} scored rows" + (f", {len(images):,} images." if len(images) else "."),
        members=contents.members(bank_table),
        charts=[
            _bank(bank_table, competition.metric),
            *panels.charts(results, plots),
            *contents.drawn(results, plots),
            *contents.history(plots["history"], competition.metric),
            *_curves(name, list(bank_table["member"])),
        ],
        scores=scores.html_table(),
        tiles=tiles,
        pictures=previews,
        advice=advice.ordered(
            [
                *advice.of_leaks(pairs, images, results.data.rows, FoldTable.read(results.data.folder)),
                *advice.of_members(bank_table, competition.metric, results.metric.sign),
                advice.of_noise(results),
                *panels.advice(results, plots),
                *advice.of_folds(
                    plots["folds"],
                    scores.standard_error[competition.metric],
                    results.metric.sign,
                    competition.metric,
                ),
                *advice.of_audit(audit, len(images)),
            ]
        ),
        tables=panels.tables(results, plots) | _slices(results),
        threshold=panels.threshold(results),
        feature_map=_map(found, results, panels, tiles) if found else None,
        near=near,
    )
    return page, plots


def _features(competition: str, members: list[str], images: pd.DataFrame, results: Results) -> ImageFeatures | None:
    """Return the features of the best member's first backbone; None where no member has a frozen one.

    Neither its models nor the features are dependencies of the stage: a competition may have none, which DVC refuses,
    and neither changes without the member's predictions, which are dependencies.
    """
    for member in members:
        folder = paths.models(competition, member)
        for backbone in models.about(folder).get("backbones", ()) if (folder / models.ABOUT).exists() else ():
            path = paths.features(competition, backbone)
            if backbone != METADATA and path.exists() and (found := feature_map.read(path, images, results.ids)):
                return found
    return None


def _near(
    reader: Reader,
    found: ImageFeatures,
    results: Results,
    tiles: list[gallery.Tile],
    texts: Mapping[str, tuple[str, str]],
) -> dict[str, list[Near]]:
    """Return the training images nearest to each mistake of the gallery."""
    mistakes = [tile.image_id for tile in tiles if "mistake" in tile.reasons]
    asked = np.flatnonzero(found.images["image_id"].isin(mistakes))
    first, fold = results.folds[results.folds["repeat"] == 0], np.full(len(results.ids), -1)
    fold[first["position"]] = first["fold"]
    nearest = feature_map.nearest(found, fold, asked)
    return {
        found.images["image_id"].iloc[at]: [
            Near(
                f"{one.image_id}: {texts[results.ids[one.position]][0]}, similarity {one.similarity:.2f}",
                pictures.thumbnail(reader, one.source),
            )
            for one in line
        ]
        for at, line in zip(asked, nearest, strict=True)
    }


def _map(found: ImageFeatures, results: Results, panels: Panels, tiles: list[gallery.Tile]) -> FeatureMap | None:
    groups = panels.groups(results)
    if groups is None:
        return None
    return contents.map_of(found, groups, panels.predictions(results), {tile.image_id for tile in tiles})


def _copies(results: Results, images: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of images that look alike, turned or not; none where there are too many to look for them."""
    if not 0 < len(images) <= _MOST_HASHED:
        return pd.DataFrame({"a": [], "b": []})
    hashes = by_id(
        HASHES.read(results.data.folder / "hashes.parquet"), images["image_id"], "hashes.parquet", "image_id"
    )
    near, ids = near_pairs(hashes["hash"], NEAR), images["image_id"].to_numpy(object)
    first, second = near["first"].to_numpy(int), near["second"].to_numpy(int)
    digest = images["digest"].to_numpy(object)
    kind = np.where(digest[first] == digest[second], "exact", "near")  # the same bytes have the same hash
    return near.assign(a=ids[first], b=ids[second], kind=kind)[["a", "b", "kind", "distance", "orientation"]]


def _twins(pairs: pd.DataFrame, images: pd.DataFrame) -> list[list[str]]:
    """Return the groups of images that pairs join."""
    places = pd.Series(range(len(images)), index=images["image_id"])
    root = clusters(len(images), zip(places[pairs["a"]], places[pairs["b"]], strict=True))
    groups = images["image_id"].reset_index(drop=True).groupby(root).agg(list)
    return [group for group in groups if len(group) > 1]


def _slices(results: Results) -> dict[str, HtmlTable]:
    found = contents.slices(results)
    return {"Slices by metadata": found} if found else {}


def _curves(competition: str, members: list[str]) -> list[Chart]:
    """Return the learning curves of the members that have some: a finetune writes them with its predictions."""
    files = {name: paths.finetune(competition, name, "csv") for name in members}
    return [
        contents.curves(_csv(file).apply(pd.to_numeric, errors="coerce"), name)
        for name, file in files.items()
        if file.exists()
    ]


def _panels(config: Config) -> Panels:
    kind = config.competition.task.predictions.kind
    panels: Panels = plugins.make("panels", kind, {}, "report")
    return panels


def _results(config: Config, members: list[str]) -> Results:
    name, scoring = config.params.competition, scoring_of(config)
    task, data = scoring.task, Dataset(paths.dataset(name))
    bank = read_bank(paths.data(name, "bank.json"), task.predictions)
    ids = bank.train_ids
    positions = pd.DataFrame({"row_id": ids, "position": range(len(ids))})
    by_name = dict(zip(bank.names, bank.train, strict=True))
    return Results(
        scoring=scoring,
        data=data,
        ids=np.array(ids, dtype=object),
        y=task.truth(data, ids),
        p=task.predictions.read(paths.ensemble(name)).by_id(ids, str(paths.ensemble(name))),
        members={member: scoring.finished(by_name[member]) for member in members},
        weight=data.weight(ids),
        folds=FoldTable.read(data.folder).assigned.merge(positions, on="row_id", validate="many_to_one"),
    )


def _bank(table: pd.DataFrame, metric: str) -> Chart:
    numbers = table.drop(columns="member").astype("float64")
    return Chart("The bank", charts.bank(numbers.assign(member=table["member"]), metric), "The best member first.")


def _csv(path: Path) -> pd.DataFrame:
    return csv_table.read(path.read_bytes(), str(path))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
