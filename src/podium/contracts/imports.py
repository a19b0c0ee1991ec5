"""Tables made elsewhere: a team-mate's, a notebook's. CSV or Parquet, by id."""

from pathlib import Path

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


def check_ids(found: pd.Series, wanted: pd.Series, where: str) -> None:
    """Raise PodiumError that names ids which are lacking, unknown or there twice."""
    check_distinct(found, where)
    for reason, ids in (
        ("is no row of this competition", found[~found.isin(wanted)]),
        ("is lacking", wanted[~wanted.isin(found)]),
    ):
        if len(ids):
            raise PodiumError(f"{where}: {found.name} {reason}: {preview(sorted(ids))}")


def check_distinct(ids: pd.Series, where: str) -> None:
    """Raise PodiumError that names ids which are there twice."""
    twice = ids[ids.duplicated()]
    if len(twice):
        raise PodiumError(f"{where}: {ids.name} comes twice: {preview(sorted(twice))}")
