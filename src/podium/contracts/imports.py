"""Tables made elsewhere: a team-mate's, a notebook's. CSV or Parquet, by id."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podium.errors import PodiumError, preview
from podium.storage import csv_table


def read(path: Path, key: str) -> pd.DataFrame:
    """Return the table, its `key` column text without gaps; raises PodiumError that names the file."""
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; params.yaml names it under imports")
    if path.suffix == ".csv":
        table = csv_table.read(path.read_bytes(), str(path))
    elif path.suffix == ".parquet":
        try:
            table = pq.read_table(path).to_pandas(ignore_metadata=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise PodiumError(f"{path}: not a readable Parquet file ({reason})") from None
    else:
        raise PodiumError(f"{path}: a table to import is a .csv or a .parquet file")
    csv_table.require_distinct(table, str(path))
    csv_table.require(table, [key], str(path))
    require_text(table, key, str(path))
    return table


def require_text(table: pd.DataFrame, column: str, where: str) -> None:
    """Raise PodiumError unless each cell of a column is text."""
    if table[column].isna().any():
        raise PodiumError(f"{where}: line {int(table[column].isna().to_numpy().argmax()) + 1} has no {column}")
    dtype = table[column].dtype
    if not pd.api.types.is_string_dtype(table[column]):
        raise PodiumError(f"{where}: column {column!r} must be text, so that 007 stays 007; it is {dtype}")


def numbers(table: pd.DataFrame, columns: Sequence[str], where: str) -> np.ndarray:
    """Return columns as `(n, len(columns))` float32, finite or not; raises PodiumError for what is no number."""
    try:
        with np.errstate(over="ignore"):  # beyond float32 is infinite, which the caller refuses with the ids
            return table[list(columns)].to_numpy(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise PodiumError(f"{where} must be numbers ({error})") from None


def check_ids(found: pd.Series, wanted: pd.Series, where: str) -> None:
    """Raise PodiumError that names ids which are lacking, unknown or there twice."""
    for reason, ids in (
        ("comes twice", found[found.duplicated()]),
        ("is no row of this competition", found[~found.isin(wanted)]),
        ("is lacking", wanted[~wanted.isin(found)]),
    ):
        if len(ids):
            raise PodiumError(f"{where}: {found.name} {reason}: {preview(sorted(ids))}")
