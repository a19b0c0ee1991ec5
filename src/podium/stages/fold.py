"""fold: the fold of each training row, dealt or taken from the user's own file."""

from pathlib import Path

import pandas as pd

from podium import folds, paths
from podium.config import Config
from podium.contracts import csv_table
from podium.contracts.tables import FOLDS, ROWS
from podium.errors import PodiumError


def run(config: Config) -> None:
    """Deal the rows to folds, or check a given table, and write it."""
    name, spec = config.params.competition, config.params.folds
    rows = ROWS.read(paths.data(name, "rows.parquet"))
    if spec.file:
        table = folds.check(FOLDS.check(_given(spec.file), str(spec.file)), rows, spec.k, str(spec.file))
    else:
        table = folds.make(rows, spec.scheme, spec.k, repeats=spec.repeats, seed=config.params.seed, time=spec.time)
        folds.check(table, rows, spec.k, str(paths.PARAMS))
    FOLDS.write(table, paths.data(name, "folds.parquet"), {"scheme": spec.scheme})


def _given(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise PodiumError(f"{paths.PARAMS}: folds.file: there is no {path}")
    table = csv_table.read(path.read_bytes(), str(path))
    return table if "repeat" in table.columns else table.assign(repeat=0)
