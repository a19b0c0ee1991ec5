"""import_predictions@name: predictions made elsewhere -> a member of the bank like any other."""

from pathlib import Path

import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts import imports
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.errors import PodiumError, preview
from podium.storage import csv_table


def run(config: Config, name: str) -> None:
    """Check ids, columns, ranges and (where the table has a column `fold`) folds, and write the predictions.

    The table has row_id and the task's columns, called p_0, p_1, ... or by the labels; a line per train and test row.
    """
    competition, task = config.params.competition, config.competition.task
    path = config.params.imports.predictions[name]
    table = imports.read(path, "row_id")
    rows = ROWS.read(paths.data(competition, "rows.parquet"))
    labels = rows.attrs["labels"]
    columns = task.columns(labels)
    if set(labels) <= set(table.columns) and len(labels) == len(columns):
        table = table.rename(columns=dict(zip(labels, columns, strict=True)))
    csv_table.require(table, columns, str(path))

    images = IMAGES.read(paths.data(competition, "images.parquet"))
    wanted = rows[rows["split"].isin(["train", "test"]) & rows["row_id"].isin(images["row_id"])]
    table = table[~table["row_id"].isin(rows.loc[~rows["row_id"].isin(images["row_id"]), "row_id"])]
    imports.check_ids(table["row_id"], wanted["row_id"], str(path))
    if "fold" in table.columns:
        _check_folds(table, FOLDS.read(paths.data(competition, "folds.parquet")), path)
    predictions = table[["row_id", *columns]].merge(wanted[["row_id", "split"]], on="row_id", validate="one_to_one")
    metadata = {"labels": labels, "task": task.kind}
    task.schema.write(task.schema.check(predictions, str(path)), paths.predictions(competition, name), metadata)


def _check_folds(table: pd.DataFrame, folds: pd.DataFrame, path: Path) -> None:
    """Raise PodiumError where rows of one fold here are of several folds there: those models saw rows that ours hid."""
    first = folds[folds["repeat"] == 0].merge(
        table[["row_id", "fold"]].rename(columns={"fold": "theirs"}), on="row_id", validate="one_to_one"
    )
    pairs = first[["fold", "theirs"]].drop_duplicates()
    if pairs["fold"].duplicated().any() or pairs["theirs"].duplicated().any():
        common = first.groupby("fold")["theirs"].agg(lambda theirs: theirs.value_counts().index[0])
        strangers = first.loc[first["theirs"] != first["fold"].map(common), "row_id"]
        raise PodiumError(
            f"{path}: its folds are not those of this competition, for row_id {preview(strangers)};"
            " predict on these, or give theirs as folds.file in params.yaml"
        )
