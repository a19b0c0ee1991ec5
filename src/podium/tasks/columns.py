"""Reading targets out of the competition's own columns, which are text, and the solution that was made of them."""

from pathlib import Path

import pandas as pd

from podium.errors import PodiumError, preview
from podium.storage import csv_table

SOLUTION = "solution.csv"


def column(rows: pd.DataFrame, name: str, where: str) -> pd.Series:
    """Return a column of the competition's, or one line that lists the columns there are."""
    if name not in rows.columns:
        raise PodiumError(f"{where}: no column {name!r}; choose one of: {', '.join(rows.columns)}")
    return rows[name]


def numbers(rows: pd.DataFrame, name: str, where: str) -> pd.Series:
    """Return a text column as float64, NaN where it is empty; anything else that is no number is an error."""
    text = column(rows, name, where)
    values = pd.to_numeric(text, errors="coerce").astype("float64")
    wrong = values.isna() & text.notna()
    if wrong.any():
        ids = preview(rows["row_id"][wrong])
        raise PodiumError(f"{where}: column {name!r} holds {text[wrong].iloc[0]!r}, not a number: row_id {ids}")
    return values


def flags(rows: pd.DataFrame, name: str, where: str) -> pd.Series:
    """Return a column of 0 and 1 as float64, NaN where it is empty."""
    values = numbers(rows, name, where)
    wrong = values.notna() & ~values.isin([0, 1])
    if wrong.any():
        raise PodiumError(f"{where}: column {name!r} must hold 0 or 1: row_id {preview(rows['row_id'][wrong])}")
    return values


def solution(folder: Path, *names: str) -> pd.DataFrame:
    """Return the table of the test rows whose targets are known, as text: row_id, these columns, perhaps others."""
    path = folder / SOLUTION
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `dvc repro`")
    table = csv_table.read(path.read_bytes(), str(path))
    csv_table.require(table, ["row_id", *names], str(path))
    return table
