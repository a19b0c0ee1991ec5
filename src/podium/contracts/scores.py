"""Scores: a vector of probabilities or values for each row, in one Parquet file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from podium.contracts.predictions import Predictions
from podium.contracts.table import Column, Table

_IDS = (Column("row_id", "text"), Column("split", "text", choices=("train", "test")))
# Probabilities `p_0`, `p_1`, ... are bounded; values `y` are any finite numbers.
PROBABILITIES = Table("predictions", (*_IDS, Column("p_*", "float32", low=0.0, high=1.0)), key=("row_id",))
VALUES = Table("predictions", (*_IDS, Column("y*", "float32")), key=("row_id",))

_FILE = "scores.parquet"


@dataclass(frozen=True)
class Scores(Predictions):
    """Vectors `p (n, k)` float32: probabilities in columns `p_0`, `p_1`, ..., or values in the column `y`."""

    kind: ClassVar[str] = "scores"

    row_id: np.ndarray
    split: np.ndarray
    p: np.ndarray
    columns: tuple[str, ...]
    labels: tuple[str, ...]

    @classmethod
    def of_table(cls, table: pd.DataFrame, labels: Sequence[str]) -> Self:
        """Return the scores of a table with columns row_id, split and one for each number of a row."""
        columns = tuple(name for name in table.columns if name not in {"row_id", "split"})
        row_id, split = (table[name].to_numpy(object) for name in ("row_id", "split"))
        return cls(row_id, split, table[list(columns)].to_numpy(np.float32), columns, tuple(labels))

    def table(self) -> pd.DataFrame:
        """Return columns row_id, split, then one for each number of a row."""
        ids = pd.DataFrame({"row_id": self.row_id, "split": self.split}, dtype="str")
        return pd.concat([ids, pd.DataFrame(self.p, columns=list(self.columns))], axis=1)

    @property
    def form(self) -> tuple[object, ...]:
        """See Predictions."""
        return (*super().form, self.columns)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See Predictions."""
        path = folder / _FILE
        table = _schema(path).read(path)
        return cls.of_table(table, table.attrs["labels"])

    def write(self, folder: Path) -> None:
        """See Predictions."""
        schema = VALUES if self.columns[0].startswith("y") else PROBABILITIES
        schema.write(self.table(), folder / _FILE, {"labels": list(self.labels)})

    def take(self, indices: np.ndarray) -> Self:
        """See Predictions."""
        return replace(self, row_id=self.row_id[indices], split=self.split[indices], p=self.p[indices])

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """See Predictions."""
        row_id, split, p = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("row_id", "split", "p")
        )
        return replace(parts[0], row_id=row_id, split=split, p=p)

    def with_p(self, p: np.ndarray) -> Self:
        """Return other numbers `(n, k)` for the same rows."""
        return replace(self, p=p)


def stacked(members: Sequence[Scores]) -> np.ndarray:
    """Return `(m, n, k)` float32 of members that have the same rows in the same order."""
    return np.stack([member.p for member in members])


def _schema(path: Path) -> Table:
    """Return what the file should hold, by the names of its columns."""
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
    except Exception:  # noqa: BLE001  # the table's own reader says what is wrong with the file
        return PROBABILITIES
    return VALUES if any(name.startswith("y") for name in names) else PROBABILITIES
