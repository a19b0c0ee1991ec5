"""report: all results -> one page to look at, and its charts' tables for DVC to plot."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium import metrics, paths
from podium.analysis.report import charts, contents, gallery, pictures
from podium.analysis.report.page import Chart, Page, render
from podium.analysis.report.results import Results
from podium.config import Config
from podium.contracts import leaderboard
from podium.contracts.predictions import read_bank, value_columns
from podium.contracts.tables import FOLDS, HASHES, IMAGES, ROWS, by_id
from podium.imaging.duplicates import clusters, near_pairs
from podium.imaging.images import Reader
from podium.storage import csv_table, journal
from podium.storage.files import atomic

_MOST_HASHED = 20_000  # beyond, the search takes longer than the rest of the report; `podium leaks` does it


def run(config: Config) -> None:
    """Write reports/C/report.html, a CSV per chart, and the bank as a picture."""
    name = config.params.competition
    page, plots = compose(config)
    for chart, table in plots.items():
        csv_table.write(table.round(6), paths.report(name, f"{chart}.csv"))
    write(page, paths.report(name, "report.html"))
    with atomic(paths.report(name, "bank.svg")) as temporary:
        temporary.write_text(charts.alone(page.charts[0].svg), encoding="utf-8")


def write(page: Page, path: Path) -> None:
    """Write a page, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(render(page), encoding="utf-8")


def compose(config: Config) -> tuple[Page, dict[str, pd.DataFrame]]:
    """Return the page, without heatmaps, and its charts' tables."""
    name, competition = config.params.competition, config.competition
    bank_table, climb = _csv(paths.bank_table(name)), _csv(paths.climb_table(name))
    images, audit = IMAGES.read(paths.data(name, "images.parquet")), _json(paths.data(name, "audit.json"))
    scores = contents.Scores(
        competition.all_metrics(), **_json(paths.METRICS_ENSEMBLE), heldout=_json(paths.METRICS_HELDOUT)
    )
    results = _results(config, list(bank_table["member"]))
    uploads = leaderboard.of(name, paths.LEADERBOARD)
    plots = contents.plots(results, climb.astype({"step": "float64", "loss": "float64"}), uploads)
    tiles = gallery.tiles(results, images, audit["quarantined"], _twins(name) or audit["duplicates"])
    with Reader(paths.raw(name)) as reader:
        shown = {tile.image_id: pictures.of_source(reader, tile.source) for tile in tiles}
    page = Page(
        title=competition.title,
        headline=scores.headline(),
        summary=f"{len(results.ids):,} scored rows, {len(images):,} images.",
        members=contents.members(bank_table),
        charts=[_bank(name, bank_table, competition.metric), *contents.drawn(results, plots)],
        scores=scores.html_table(),
        time=contents.html_table(journal.read(name).rename(columns={"facts": ""})),
        tiles=tiles,
        pictures=shown,
        heat={},
    )
    return page, plots


def _results(config: Config, members: list[str]) -> Results:
    name, task, goes_out = config.params.competition, config.competition.task, config.params.submission.apply
    bank = read_bank(paths.data(name, "bank.json"), partial(paths.predictions, name), task.schema)
    ids, rows_file, ensemble_file = bank.train_ids, paths.data(name, "rows.parquet"), paths.ensemble(name)
    ensemble = by_id(task.schema.read(ensemble_file), ids, str(ensemble_file))
    positions = pd.DataFrame({"row_id": ids, "position": range(len(ids))})
    return Results(
        task=task,
        labels=bank.labels,
        metric=metrics.find(config.competition.metric, f"{paths.competition(name)}: metric"),
        ids=np.array(ids, dtype=object),
        y=task.targets(by_id(ROWS.read(rows_file), ids, str(rows_file))),
        p=goes_out(ensemble[value_columns(ensemble)].to_numpy()),
        members={member: goes_out(bank.train[bank.names.index(member)]) for member in members},
        folds=FOLDS.read(paths.data(name, "folds.parquet")).merge(positions, on="row_id", validate="many_to_one"),
    )


def _bank(name: str, table: pd.DataFrame, metric: str) -> Chart:
    numbers = table.drop(columns="member").astype("float64")
    timed = numbers.assign(member=table["member"], seconds=table["member"].map(journal.seconds(name)))
    return Chart("The bank", charts.bank(timed, metric), "The best member first.")


def _twins(name: str) -> list[list[str]]:
    """Return the groups of images that look alike, turned or not; none where there are too many to look for them."""
    hashes = HASHES.read(paths.data(name, "hashes.parquet"))
    if len(hashes) > _MOST_HASHED:
        return []
    pairs = near_pairs(hashes["hash"])
    root = clusters(len(hashes), zip(pairs["first"], pairs["second"], strict=True))
    groups = hashes["image_id"].groupby(root).agg(list)
    return [group for group in groups if len(group) > 1]


def _csv(path: Path) -> pd.DataFrame:
    return csv_table.read(path.read_bytes(), str(path))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
