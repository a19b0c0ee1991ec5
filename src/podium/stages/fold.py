"""fold: the fold of each training row, dealt or taken from the user's own file."""

from pathlib import Path

import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts.folds import FoldTable
from podium.contracts.tables import FOLDS, HASHES, ROWS
from podium.errors import PodiumError
from podium.imaging.duplicates import joined_groups, near_pairs
from podium.splits import folds
from podium.splits.folds import Folds
from podium.storage import csv_table


def run(config: Config) -> dict[str, int]:
    """Deal the rows to folds, or check a given table, and write it."""
    name, spec = config.params.competition, config.params.folds
    rows = ROWS.read(paths.data(name, "rows.parquet"))
    if spec.near_duplicates is not None:
        rows["group"] = _with_near_duplicates(rows, name, spec)
    if spec.file:
        table = _given(spec.file, rows, spec)
    else:
        table = folds.make(rows, spec.scheme, spec.k, repeats=spec.repeats, seed=config.params.seed, time=spec.time)
    folds.check(table, rows, spec.k, str(spec.file or paths.PARAMS))
    table.write(paths.dataset(name))
    n_rows = table.assigned["row_id"].nunique()
    alone = int((rows["split"] == "train").sum()) - n_rows
    return {"rows": n_rows, "folds": spec.k} | ({"trained on in every fold": alone} if alone else {})


def _with_near_duplicates(rows: pd.DataFrame, name: str, spec: Folds) -> pd.Series:
    """Return the groups, joined where pictures look alike; refused where that joins more rows than a fold holds."""
    assert spec.near_duplicates is not None
    known = HASHES.read(paths.data(name, "hashes.parquet")).query("split != 'test'")
    pairs, ids = near_pairs(known["hash"], spec.near_duplicates), known["row_id"].to_numpy()
    group = joined_groups(rows, zip(ids[pairs["first"]], ids[pairs["second"]], strict=True))
    shares = group[rows["split"] == "train"].value_counts(normalize=True)
    if shares.iloc[0] > 1 / spec.k:
        raise PodiumError(
            f"{paths.PARAMS}: folds.near_duplicates: {spec.near_duplicates} joins {shares.iloc[0]:.0%} of the training"
            f" rows into one group, with {shares.index[0]!r}: more than a fold; choose less, or see `podium leaks`"
        )
    return group


def _given(path: Path, rows: pd.DataFrame, spec: Folds) -> FoldTable:
    """Return the user's own folds, with the rows' groups; their numbers are checked here, their sense by the caller."""
    if not path.exists():
        raise PodiumError(f"{paths.PARAMS}: folds.file: there is no {path}")
    table = csv_table.read(path.read_bytes(), str(path))
    csv_table.require(table, ["row_id", "fold"], str(path))
    table = table if "repeat" in table.columns else table.assign(repeat=0)
    table = FOLDS.check(table.assign(group=""), str(path))  # the groups are not the file's to say
    return folds.grouped(table, rows, spec.scheme)
