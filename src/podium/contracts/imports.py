"""Tables made elsewhere: a team-mate's, a notebook's. CSV or Parquet, by id."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podium.errors import PodiumError, preview
from podium.storage import csv_table


def read(path: Path, key: str) -> pd.DataFrame:
    """Return the table, its `key` column text and each key once; raises PodiumError that names the file."""
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; params.yaml names it under imports")
    if path.suffix == ".csv":
        table = csv_table.read(path.read_bytes(), str(path))
    elif path.suffix == ".parquet":
        try:
            table = pq.read_table(path).to_pandas(ignore_metadata=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise PodiumError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    else:
        raise PodiumError(f"{path}: a table to import is a .csv or a .parquet file")
    csv_table.require(table, [key], str(path))
    if not pd.api.types.is_string_dtype(table[key]):
        raise PodiumError(f"{path}: column {key!r} must be text, so that 007 stays 007; it is {table[key].dtype}")
    return table


def check_ids(found: pd.Series, wanted: pd.Series, where: str) -> None:
    """Raise PodiumError that names ids which are lacking, unknown or there twice."""
    for reason, ids in (
        ("comes twice", found[found.duplicated()]),
        ("is no row of this competition", found[~found.isin(wanted)]),
        ("is lacking", wanted[~wanted.isin(found)]),
    ):
        if len(ids):
            raise PodiumError(f"{where}: {found.name} {reason}: {preview(sorted(ids))}")
