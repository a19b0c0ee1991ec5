"""Which fold each training row is in, and which rows belong together: what every split is made from."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import pandas as pd

from podium.contracts.tables import FOLDS, by_id
from podium.errors import PodiumError

FoldScheme = Literal["plain", "stratified", "binned", "multilabel", "group", "stratified_group", "time"]
ALWAYS = -1  # the fold of an extra row: in training always, unless a held-out row is of its group
_PATH = "folds.parquet"


@dataclass(frozen=True)
class FoldTable:
    """The Folds table with its scheme, which says what a fold may be predicted from.

    `table` has a line per repeat and row that may be trained on: row_id, repeat, fold (`ALWAYS` for extra rows) and
    group. The group is that of rows.parquet, joined with others by near-duplicates where `folds` asks for that.
    """

    table: pd.DataFrame
    scheme: FoldScheme

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the checked table of a folder data/C; raises PodiumError that names the file."""
        path = folder / _PATH
        table = FOLDS.read(path)
        scheme = table.attrs.get("scheme")
        if scheme not in get_args(FoldScheme):
            raise PodiumError(f"{path}: it does not say how its folds were made; run `dvc repro fold`")
        return cls(table, scheme)  # type: ignore[arg-type]  # it is one of them

    def write(self, folder: Path) -> None:
        """Check and write: the same folds in any order give the same bytes."""
        FOLDS.write(self.table, folder / _PATH, {"scheme": self.scheme})

    @property
    def digest(self) -> str:
        """Return a name for who was held out when, and with whom: 32 hexadecimal digits, kept beside models."""
        lines = self.table.sort_values(["repeat", "row_id"], kind="stable")[["repeat", "row_id", "fold", "group"]]
        return hashlib.sha256(f"{self.scheme}\n{lines.to_csv(index=False)}".encode()).hexdigest()[:32]

    @property
    def assigned(self) -> pd.DataFrame:
        """Return the lines of the rows that are predicted, without the extra rows."""
        return self.table[self.table["fold"] != ALWAYS]

    @property
    def group(self) -> pd.Series:
        """Return row_id -> group, of train and extra rows."""
        first = self.table[self.table["repeat"] == self.table["repeat"].min()]
        group: pd.Series = first.set_index("row_id")["group"]
        return group

    def of(self, row_ids: Iterable[str]) -> Self:
        """Return the folds of these rows only."""
        return replace(self, table=self.table[self.table["row_id"].isin(list(row_ids))])

    def grouped(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the Rows table with the groups of this one: what belongs together while training."""
        joined = rows["row_id"].map(self.group)
        return rows.assign(group=joined.fillna(rows["group"]).astype("str"))

    def matrix(self, row_ids: Iterable[str]) -> np.ndarray:
        """Return `(n, repeats)` int64: the fold of each row in each repeat."""
        wide = self.assigned.pivot_table(index="row_id", columns="repeat", values="fold").reset_index()
        return by_id(wide, row_ids, _PATH).drop(columns="row_id").to_numpy(dtype=np.int64)
