"""The bank: the predictions of several members, joined by row id."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from podium.contracts.table import Table
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.storage.files import digest, write_json


@dataclass(frozen=True)
class Bank:
    """Predictions of `m` members, sorted by name, for the same rows, sorted by id.

    `train` is `(m, n_train, k)` and `test` `(m, n_test, k)`, float32; a row whose image cannot be read is in neither.
    """

    names: tuple[str, ...]
    columns: list[str]
    labels: list[str]
    train_ids: list[str]
    test_ids: list[str]
    train: np.ndarray
    test: np.ndarray

    def table(self, train: np.ndarray, test: np.ndarray) -> pd.DataFrame:
        """Return a predictions table of `(n_train, k)` and `(n_test, k)`."""
        frame = pd.DataFrame(np.concatenate([train, test]), columns=self.columns)
        frame.insert(0, "row_id", pd.Series(self.train_ids + self.test_ids, dtype="str"))
        frame.insert(1, "split", ["train"] * len(self.train_ids) + ["test"] * len(self.test_ids))
        return frame


def value_columns(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that hold probabilities or values."""
    return [name for name in predictions.columns if name not in {"row_id", "split"}]


def write_manifest(names: Iterable[str], file: Callable[[str], Path], manifest: Path) -> None:
    """Write name -> digest of `file(name)`, for exactly these names; raises PodiumError where one is missing."""
    for name in sorted(names):
        if not file(name).exists():
            raise PodiumError(f"{file(name)}: params.yaml names {name!r}, but it has no predictions; run `dvc repro`")
    write_json({name: digest(file(name)) for name in names}, manifest)


def read_bank(manifest: Path, file: Callable[[str], Path], schema: Table) -> Bank:
    """Return what a manifest names; raises PodiumError where a file is not the one it names, or has other rows."""
    if not manifest.exists():
        raise PodiumError(f"{manifest}: there is no such file; run `dvc repro bank`")
    digests = json.loads(manifest.read_text(encoding="utf-8"))
    tables = {}
    for name in sorted(digests):
        if not file(name).exists() or digest(file(name)) != digests[name]:
            raise PodiumError(f"{file(name)}: not the file that {manifest} names; run `dvc repro`")
        tables[str(file(name))] = schema.read(file(name))
    return _joined(tuple(sorted(digests)), tables)


def _joined(names: tuple[str, ...], tables: Mapping[str, pd.DataFrame]) -> Bank:
    (path, first), *others = tables.items()
    first = first.sort_values("row_id", kind="stable")
    columns, labels = value_columns(first), first.attrs["labels"]
    for where, table in others:
        if table.attrs["labels"] != labels or value_columns(table) != columns:
            raise PodiumError(f"{where}: its labels are not those of {path}: {preview(labels)}")
        differing = set(_keys(table)) ^ set(_keys(first))
        if differing:
            raise PodiumError(f"{where}: has not the same rows as {path}: {preview(sorted(differing))}")
    ids = {split: first.loc[first["split"] == split, "row_id"].tolist() for split in ("train", "test")}
    stacks = {
        split: np.stack([by_id(table, ids[split], where)[columns].to_numpy() for where, table in tables.items()])
        for split in ids
    }
    return Bank(names, columns, labels, ids["train"], ids["test"], stacks["train"], stacks["test"])


def _keys(table: pd.DataFrame) -> list[str]:
    return (table["split"] + " " + table["row_id"]).tolist()
