"""leaderboard.csv: a line per upload, with what cross-validation and the leaderboard said. It belongs in git."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from podium.storage import csv_table

COLUMNS = (
    "time", "competition", "ref", "commit", "params", "file", "metric", "naive", "cross_fitted", "public", "private",
)  # fmt: skip
_NUMBERS = ["naive", "cross_fitted", "public", "private"]


def read(path: Path) -> pd.DataFrame:
    """Return the uploads as text, none where there is no file; raises PodiumError for one of other columns."""
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS), dtype="str")
    table = csv_table.read(path.read_bytes(), str(path))
    csv_table.require(table, COLUMNS, str(path))
    return table


def put(entry: Mapping[str, object], path: Path) -> None:
    """Add a line, or replace the one of the same competition and `ref`; the file is written whole or not at all."""
    line = pd.DataFrame([{name: str(entry[name]) for name in COLUMNS}], dtype="str")
    known = read(path)
    same = (known["competition"] == line["competition"][0]) & (known["ref"] == line["ref"][0])
    csv_table.write(pd.concat([known[~same], line], ignore_index=True), path)


def of(competition: str, path: Path) -> pd.DataFrame:
    """Return a competition's uploads, their scores as numbers, NaN where there is none yet."""
    table = read(path)
    own = table[table["competition"] == competition].reset_index(drop=True)
    return own.assign(**{name: pd.to_numeric(own[name], errors="coerce") for name in _NUMBERS})
