"""A competition's prepared data: the tables that describe its rows, for whatever needs more than one of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from podium.contracts.tables import IMAGES, ROWS, by_id


@dataclass(frozen=True)
class Dataset:
    """The folder data/C; each table is read when it is first used."""

    folder: Path

    @classmethod
    def in_memory(cls, rows: pd.DataFrame, labels: Sequence[str] = (), **tables: pd.DataFrame) -> Self:
        """Return a dataset whose tables are given: what has been read once is never read again."""
        data = cls(Path("in-memory"))
        vars(data).update(rows=rows.copy(), **tables)
        data.rows.attrs = {"labels": list(labels)}
        return data

    def with_test(self, row_ids: Iterable[str], images: pd.DataFrame) -> Self:
        """Return the data set with other test rows in the place of its own, and their Images table."""
        data, train = type(self)(self.folder), self.rows[self.rows["split"] != "test"]
        test = pd.DataFrame({"row_id": list(row_ids), "split": "test"})
        rows = pd.concat([train, test], ignore_index=True)
        rows.attrs = self.rows.attrs
        vars(data).update(rows=rows, images=images)
        return data

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Return the Rows table."""
        return ROWS.read(self.folder / "rows.parquet")

    @cached_property
    def images(self) -> pd.DataFrame:
        """Return the Images table."""
        return IMAGES.read(self.folder / "images.parquet")

    @property
    def labels(self) -> list[str]:
        """Return the names of the classes or labels, in their order; none where targets are numbers."""
        return list(self.rows.attrs["labels"])

    @property
    def targets(self) -> Path:
        """Return the folder of targets that are not numbers, by row_id."""
        return self.folder / "targets"

    def of(self, row_ids: Iterable[str]) -> pd.DataFrame:
        """Return the rows that `row_ids` name, in their order."""
        return by_id(self.rows, row_ids, str(self.folder / "rows.parquet"))

    def weight(self, row_ids: Iterable[str]) -> np.ndarray | None:
        """Return `(n,)` float64, or None where all rows weigh the same."""
        weight = self.of(row_ids)["weight"].to_numpy(np.float64)
        return None if (weight == weight[:1]).all() else weight
