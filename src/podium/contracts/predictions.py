"""Predictions of rows, one type for each kind of answer; and the bank, the predictions of several members."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
import pandas as pd

from podium.errors import PodiumError, preview
from podium.storage.files import digest, write_json


class Predictions(ABC):
    """Predictions of `n` rows, joined by row_id: train rows out of fold, test rows by all models.

    Each type knows how it is written, checked, selected and joined; large ones stay on disk until they are used.
    """

    kind: ClassVar[str]  # scores, sequences, masks or boxes

    row_id: np.ndarray  # (n,) str, unique
    split: np.ndarray  # (n,) train or test
    labels: tuple[str, ...]  # what the numbers stand for, in their order

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> Self:
        """Return checked predictions; raises PodiumError naming the file and the first bad rows."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Check and write, sorted by row_id: the same predictions in any order give the same bytes."""

    @abstractmethod
    def take(self, indices: np.ndarray) -> Self:
        """Return the rows at these positions, in their order."""

    @classmethod
    @abstractmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, one after the other."""

    @property
    def form(self) -> tuple[object, ...]:
        """Return what predictions must have in common to be combined or compared."""
        return (self.kind, self.labels)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row_id)

    def of_split(self, split: str) -> Self:
        """Return the rows of one split, sorted by row_id."""
        indices = np.flatnonzero(self.split == split)
        return self.take(indices[np.argsort(self.row_id[indices], kind="stable")])

    def by_id(self, row_ids: Iterable[str], where: str) -> Self:
        """Return the rows that `row_ids` name, in their order; raises PodiumError naming `where` and those missing."""
        wanted = np.asarray(list(row_ids), dtype=object)
        indices = pd.Index(self.row_id).get_indexer(wanted)
        if (indices < 0).any():
            raise PodiumError(f"{where}: no row for row_id {preview(wanted[indices < 0])}")
        return self.take(indices)


P = TypeVar("P", bound=Predictions)


@dataclass(frozen=True)
class Bank(Generic[P]):
    """Predictions of several members, sorted by name, for the same rows: those of the train split, then of test.

    A row whose image cannot be read is in neither.
    """

    names: tuple[str, ...]
    train: tuple[P, ...]
    test: tuple[P, ...]

    @property
    def train_ids(self) -> list[str]:
        """Return the ids of the rows that are scored, sorted."""
        return list(self.train[0].row_id)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what the members' numbers stand for."""
        return self.train[0].labels


def write_manifest(names: Iterable[str], folder: Callable[[str], Path], manifest: Path) -> None:
    """Write name -> folder and its digest, for exactly these names; raises PodiumError where one is missing."""
    for name in sorted(names):
        if not folder(name).exists():
            raise PodiumError(f"{folder(name)}: params.yaml names {name!r}, but it has no predictions; run `dvc repro`")
    found = {name: {"folder": folder(name).as_posix(), "digest": digest_of_folder(folder(name))} for name in names}
    write_json(found, manifest)


def read_bank(manifest: Path, kind: type[P]) -> Bank[P]:
    """Return what a manifest names; raises PodiumError where a folder is not the one it names, or has other rows."""
    if not manifest.exists():
        raise PodiumError(f"{manifest}: there is no such file; run `dvc repro bank`")
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    names = tuple(sorted(listed))
    folders = [Path(listed[name]["folder"]) for name in names]
    members: list[P] = []
    for name, folder in zip(names, folders, strict=True):
        if not folder.exists() or digest_of_folder(folder) != listed[name]["digest"]:
            raise PodiumError(f"{folder}: not the predictions that {manifest} names; run `dvc repro`")
        members.append(kind.read(folder))
        _require_same_rows(members[0], members[-1], folders[0], folder)
    parts = {split: tuple(member.of_split(split) for member in members) for split in ("train", "test")}
    return Bank(names, parts["train"], parts["test"])


def digest_of_folder(folder: Path) -> str:
    """Return the SHA-256 of a folder's file names and contents, as hexadecimal text."""
    import hashlib

    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".gitignore")
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {digest(path)}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _require_same_rows(first: Predictions, other: Predictions, path: Path, where: Path) -> None:
    if other.form != first.form:
        raise PodiumError(f"{where}: its labels are not those of {path}: {preview(first.labels)}")
    differing = set(_keys(other)) ^ set(_keys(first))
    if differing:
        raise PodiumError(f"{where}: has not the same rows as {path}: {preview(sorted(differing))}")


def _keys(predictions: Predictions) -> list[str]:
    return [f"{split} {row_id}" for split, row_id in zip(predictions.split, predictions.row_id, strict=True)]
