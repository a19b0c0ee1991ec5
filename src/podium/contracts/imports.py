"""Tables made elsewhere: a team-mate's, a notebook's. CSV, Parquet or NumPy arrays with ids, by id."""

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
    table = _table(path)
    csv_table.require(table, [key], str(path))
    require_text(table, key, str(path))
    return table


def _table(path: Path) -> pd.DataFrame:
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
    return table


_KEYS = ("row_id", "id", "image_id")
_FOLD = "fold"
_IDS = "_ids"  # how the file of an array's ids ends, before its extension


def read_predictions(path: Path, columns: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Return row_id, the prediction `columns` and perhaps fold, of a file, or of all files of a folder together.

    Out-of-fold and test rows may lie in files apart. The id is `row_id`, `id`, `image_id` or else the first column;
    predictions are called like `columns` or `labels` (of two labels the second is enough), or anything where there is
    one. An array `(n, k)` in `x.npy` has its ids in `x_ids.csv`, `.txt` or `.npy`, one a line.

    Raises PodiumError that names the file, and both files where an id is in two.
    """
    if not path.is_dir():
        return _named(_read_any(path, [*columns, *labels]), columns, labels, path)
    files = sorted(
        file for file in path.iterdir() if file.suffix in {".csv", ".parquet", ".npy"} and not file.stem.endswith(_IDS)
    )
    if not files:
        raise PodiumError(f"{path}: there is no .csv, .parquet or .npy file in it")
    parts = [_named(_read_any(file, [*columns, *labels]), columns, labels, file) for file in files]
    for n, part in enumerate(parts):
        for file, other in zip(files[:n], parts, strict=False):
            if both := sorted(set(part["row_id"]) & set(other["row_id"])):
                raise PodiumError(f"{files[n]}: row_id {preview(both)} is in {file.name}, too")
    return pd.concat(parts, ignore_index=True)


def _read_any(path: Path, answers: Sequence[str]) -> pd.DataFrame:
    """Return a file's table, its id in the column row_id, which is none of `answers`."""
    if path.suffix == ".npy":
        return _array(path)
    if not path.exists() or path.suffix not in {".csv", ".parquet"}:
        return read(path, "row_id")  # which says so
    table = _table(path)
    first = "row_id" if table.columns[0] in (*answers, _FOLD) else str(table.columns[0])
    key = next((name for name in _KEYS if name in table.columns), first)
    csv_table.require(table, [key], str(path))
    require_text(table, key, str(path))
    return table.rename(columns={key: "row_id"})


def _array(path: Path) -> pd.DataFrame:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PodiumError(f"{path}: not a readable array ({error})") from None
    beside = [path.with_name(f"{path.stem}{_IDS}{suffix}") for suffix in (".csv", ".txt", ".npy")]
    file = next((one for one in beside if one.exists()), None)
    if file is None:
        names = ", ".join(one.name for one in beside)
        raise PodiumError(f"{path}: its ids are not there; put one of these beside it: {names}")
    if file.suffix == ".npy":
        ids = [str(one) for one in np.load(file, allow_pickle=False)]
    else:
        ids = file.read_text(encoding="utf-8-sig").splitlines()
        ids = ids[1:] if len(ids) == len(values) + 1 else ids  # a header
    if len(ids) != len(values):
        raise PodiumError(f"{path}: it has {len(values)} rows, and {file.name} {len(ids)} ids")
    table = pd.DataFrame(values.reshape(len(values), -1))
    return table.rename(columns=lambda at: f"p_{at}").assign(row_id=pd.Series(ids, dtype="str"))


def _named(table: pd.DataFrame, columns: Sequence[str], labels: Sequence[str], path: Path) -> pd.DataFrame:
    """Return row_id, `columns` and perhaps fold, whatever the predictions are called."""
    others = [name for name in table.columns if name not in ("row_id", _FOLD)]
    if set(columns) <= set(others):
        names = {name: name for name in columns}
    elif set(labels) <= set(others) and len(labels) == len(columns):
        names = dict(zip(labels, columns, strict=True))
    elif len(columns) == 1 and len(labels) == 2 and labels[1] in others:  # noqa: PLR2004  # of two, the positive one
        names = {labels[1]: columns[0]}
    elif len(columns) == 1 and len(others) == 1:
        names = {others[0]: columns[0]}
    else:
        wanted = labels if len(labels) == len(columns) else columns
        lacking = [name for name in wanted if name not in others]
        raise PodiumError(
            f"{path}: there is no column {preview(lacking)}; it has: {', '.join(map(str, table.columns))}"
        )
    kept = ["row_id", *names, *([_FOLD] if _FOLD in table.columns else [])]
    found: pd.DataFrame = table[kept].rename(columns=names)
    check_distinct(found["row_id"], str(path))
    return found


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
