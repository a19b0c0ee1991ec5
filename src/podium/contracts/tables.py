"""The tables that pass between stages."""

from typing import Any

import pandas as pd

from podium.contracts.table import Column, Table
from podium.errors import PodiumError, preview

# What extraction needs and nothing else: a corrected label must never re-extract. `position` is the image's place
# within its row, where the layout names a column for it.
IMAGES = Table(
    "images",
    (
        Column("image_id", "text"),
        Column("row_id", "text"),
        Column("source", "text"),  # file, archive#member or sheet#row, below data/C/raw
        Column("split", "text", choices=("train", "extra", "test")),
        Column("width", "int", low=1),
        Column("height", "int", low=1),
        Column("digest", "text"),  # of the file's bytes; of the pixels where the image is a row of a sheet
        Column("position", "float", optional=True),
    ),
    key=("image_id",),
)

# One line of the submission each; `y` or `y_0`, `y_1`, ... are the targets, NaN where unknown.
ROWS = Table(
    "rows",
    (
        Column("row_id", "text"),
        Column("split", "text", choices=("train", "extra", "test")),
        Column("y*", "float", nullable=True),
        Column("weight", "float", low=0.0),
        Column("group", "text"),
    ),
    key=("row_id",),
    open=True,
)

# What a picture looks like, for finding copies of it.
HASHES = Table(
    "hashes",
    (
        Column("image_id", "text"),
        Column("row_id", "text"),
        Column("split", "text", choices=("train", "extra", "test")),
        Column("hash", "text"),  # 64 hexadecimal digits
    ),
    key=("image_id",),
)

# Read and written by contracts.folds.FoldTable, which keeps the scheme with it.
FOLDS = Table(
    "folds",
    (
        Column("row_id", "text"),
        Column("repeat", "int", low=0),
        Column("fold", "int", low=-1),  # -1: an extra row
        Column("group", "text"),
    ),
    key=("row_id", "repeat"),
)

# What each fold's student learnt of a row, then its columns of predictions: `p_0`, `p_1`, ..., or `y`.
TARGETS = Table(
    "targets",
    (
        Column("repeat", "int", low=0),
        Column("fold", "int", low=0),
        Column("row_id", "text"),
        Column("weight", "float", low=0.0),
    ),
    key=("repeat", "fold", "row_id"),
    open=True,
)

VIEWS = Table(
    "views",
    (
        Column("image_id", "text"),
        Column("view", "text"),
        Column("operation", "text"),
        Column("parameters", "text"),  # sorted JSON
    ),
    key=("image_id", "view"),
)


def by_id(frame: pd.DataFrame, ids: Any, where: str, key: str = "row_id") -> pd.DataFrame:
    """Return the rows of `frame` that `ids` name, in their order. The only way two tables meet.

    Raises PodiumError naming `where` (the file of `frame`) and the ids that it lacks.
    """
    indexed = frame.set_index(key, drop=False)
    lacking = pd.Index(ids).difference(indexed.index)
    if len(lacking):
        raise PodiumError(f"{where}: no row for {key} {preview(lacking)}")
    return indexed.loc[list(ids)].reset_index(drop=True)
