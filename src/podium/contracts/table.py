"""A checked Parquet table: its columns, its key and its metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podium.errors import PodiumError, preview
from podium.storage.files import atomic

_METADATA = b"podium"
_DTYPES: dict[str, Any] = {"text": "str", "int": "int64", "float": "float64", "float32": "float32", "bool": "bool"}


@dataclass(frozen=True)
class Column:
    """One column: its dtype, and the values it may take.

    `name` may end in `*`: then it stands for every column that begins so (`p_*`), at least one.
    """

    name: str
    dtype: Literal["text", "int", "float", "float32", "bool"]
    choices: tuple[str, ...] | None = None
    low: float = -np.inf
    high: float = np.inf
    nullable: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """A schema: `columns`, a `key` that is unique and sorts the rows, and whether others may follow."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    open: bool = False

    def read(self, path: Path) -> pd.DataFrame:
        """Return the checked table; its metadata is in `.attrs`. Raises PodiumError naming file and column."""
        if not path.exists():
            raise PodiumError(f"{path}: there is no such {self.name} table; run `dvc repro` to make it")
        try:
            arrow = pq.read_table(path)
            frame = arrow.to_pandas(ignore_metadata=True)
            frame.attrs = json.loads((arrow.schema.metadata or {}).get(_METADATA, b"{}"))
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise PodiumError(f"{path}: not a readable Parquet file ({reason})") from None
        return self.check(frame, str(path))

    def write(self, frame: pd.DataFrame, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Check, sort by key and write: the same rows in any order give the same bytes."""
        frame = self.check(frame, str(path)).sort_values(list(self.key), kind="stable")
        arrow = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(
            {_METADATA: json.dumps(dict(metadata or {}), sort_keys=True).encode()}
        )
        with atomic(path) as temporary:
            pq.write_table(arrow, temporary)

    def check(self, frame: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return the frame with the schema's dtypes, or raise PodiumError with the first bad ids."""
        known = []
        for column in self.columns:
            found = [name for name in frame.columns if _matches(name, column.name)]
            if not found and not column.optional:
                raise PodiumError(f"{where}: column {column.name!r} is missing; it has: {', '.join(frame.columns)}")
            known += found
            frame = frame.assign(**{name: self._checked(frame, name, column, where) for name in found})
        others = [name for name in frame.columns if name not in known]
        if others and not self.open:
            raise PodiumError(
                f"{where}: unknown columns {preview(others)}; a {self.name} table has: {', '.join(known)}"
            )
        twice = frame[frame.duplicated(list(self.key), keep="first")]
        if len(twice):
            ids = twice[list(self.key)].astype(str).agg("/".join, axis=1)
            raise PodiumError(f"{where}: {'/'.join(self.key)} must be unique; these come twice: {preview(ids)}")
        return frame[known + others]

    def _checked(self, frame: pd.DataFrame, name: str, column: Column, where: str) -> pd.Series:
        values: pd.Series = frame[name]
        missing = values.isna()
        if missing.any() and not column.nullable:
            raise PodiumError(f"{where}: column {name!r} has no value for {self._ids(frame, missing)}")
        try:
            # A nullable number keeps its gaps as NaN, so it is a float; ids and flags have no gaps.
            values = values.astype(_DTYPES["float" if column.nullable and column.dtype == "int" else column.dtype])
        except (ValueError, TypeError, OverflowError) as error:
            raise PodiumError(f"{where}: column {name!r} must be {column.dtype} ({error})") from None
        if column.choices is not None:
            wrong = ~values.isin(column.choices)
            if wrong.any():
                raise PodiumError(
                    f"{where}: column {name!r} must be one of {', '.join(column.choices)}: {self._ids(frame, wrong)}"
                )
        if column.dtype.startswith(("int", "float")):
            # ~(a <= b) also catches NaN in a column that must not hold one, and infinity in any.
            outside = ~((values >= column.low) & (values <= column.high) & np.isfinite(values)) & ~missing
            if outside.any():
                raise PodiumError(
                    f"{where}: column {name!r} must be finite and in [{column.low:g}, {column.high:g}]:"
                    f" {self._ids(frame, outside)}"
                )
        return values

    def _ids(self, frame: pd.DataFrame, where: pd.Series) -> str:
        return f"{self.key[0]} {preview(frame.loc[where, self.key[0]].astype(str))}"


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
