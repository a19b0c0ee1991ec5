"""The CSV that goes to a competition: the sample's ids in the sample's order, its columns, and values it may hold."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from podium.contracts import csv_table
from podium.contracts.table import Column
from podium.errors import PodiumError, shown


def read_sample(path: Path) -> pd.DataFrame:
    """Return the sample submission as text, its id column first."""
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `dvc repro prepare`")
    sample = csv_table.read(path.read_bytes(), str(path))
    id_column = sample.columns[0]
    twice = sample[id_column].duplicated() | sample[id_column].isna()
    if twice.any():
        raise PodiumError(_line(sample, twice, str(path), f"each {id_column} must be there, and once"))
    return sample


def check(path: Path, sample: pd.DataFrame, numbers: Mapping[str, Column], where: str) -> pd.DataFrame:
    """Return a submission file as text, or raise PodiumError: one line that shows the first offending line.

    Args:
        path: the CSV.
        sample: the sample submission, by `read_sample`.
        numbers: the columns that hold numbers, with the range that the task allows.
        where: what the error calls the file.
    """
    found = csv_table.read(path.read_bytes(), where)
    if list(found.columns) != list(sample.columns):
        raise PodiumError(f"{where}: its columns are {', '.join(found.columns)}, not {', '.join(sample.columns)}")
    _check_ids(found, sample, where)
    for name, column in numbers.items():
        _check_numbers(found, name, column, where)
    return found


def _check_ids(found: pd.DataFrame, sample: pd.DataFrame, where: str) -> None:
    name = sample.columns[0]
    ids, expected = found[name], sample[name]
    for wrong, reason in (
        (ids.isna(), "no id"),
        (ids.duplicated(), f"this {name} has a line already"),
        (~ids.isin(expected), f"this {name} is not in the sample submission"),
    ):
        if wrong.any():
            raise PodiumError(_line(found, wrong, where, reason))
    lacking = expected[~expected.isin(ids)]
    if len(lacking):
        raise PodiumError(f"{where}: no line for {name} {shown(lacking)}")
    moved = ids.to_numpy() != expected.to_numpy()
    if moved.any():
        reason = f"the sample submission has {expected[moved].iloc[0]!r} here; keep its order"
        raise PodiumError(_line(found, pd.Series(moved), where, reason))


def _check_numbers(found: pd.DataFrame, name: str, column: Column, where: str) -> None:
    values = pd.to_numeric(found[name], errors="coerce").astype("float64")
    whole = pd.Series(column.dtype != "int", index=found.index) | (values % 1 == 0)
    finite = pd.Series(np.isfinite(values), index=found.index)
    for wrong, reason in (
        (values.isna(), "must be a number"),
        (~finite, "must be finite"),
        (~values.between(column.low, column.high), f"must be in [{column.low:g}, {column.high:g}]"),
        (~whole, "must be a whole number"),
    ):
        if wrong.any():
            raise PodiumError(_line(found, wrong, where, f"{name} {reason}"))


def _line(table: pd.DataFrame, wrong: pd.Series, where: str, reason: str) -> str:
    first = int(wrong.to_numpy().argmax())
    more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
    cells = ",".join(table.iloc[first].fillna("").astype(str))
    return f"{where}: line {first + 2}: {cells!r}: {reason}{more}"
