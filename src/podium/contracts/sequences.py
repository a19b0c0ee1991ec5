"""Sequences: strings of characters read from pictures, with what each model saw along the way, in one HDF5 file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from podium.contracts.predictions import Predictions
from podium.errors import PodiumError, preview
from podium.storage.files import atomic

SCHEMA = 1
_FILE = "sequences.h5"
_ROUNDING = 1e-3  # of a float32 log-posterior above 0


@dataclass(frozen=True)
class Emissions:
    """What models say at each step, the models of a row one after the other.

    `logp (e, steps, symbols)` float16 are log-probabilities of each step; row `i` has the models `offset[i]` to
    `offset[i + 1]`. With `has_blank`, symbol 0 is CTC's blank and symbol `k` the label `k - 1`: peaks of two models
    never align, so models are kept apart. Without, symbol `k` is the label `k`, and a step is a place.
    """

    logp: np.ndarray
    offset: np.ndarray  # (n + 1,) int64
    has_blank: bool

    def take(self, indices: np.ndarray) -> Self:
        """Return those of the rows at these positions."""
        flat, offset = gathered(self.offset, indices)
        return replace(self, logp=self.logp[flat], offset=offset)


@dataclass(frozen=True)
class Sequences(Predictions):
    """Candidate strings of `n` rows: row `i` has candidates `offset[i]` to `offset[i + 1]`, the likeliest first.

    `logp (c,)` float32 is the log of each one's posterior probability among the row's candidates. `labels` is the
    alphabet. Predictions of networks keep their `emissions`, by which other candidates can be weighed too.
    """

    kind: ClassVar[str] = "sequences"

    row_id: np.ndarray
    split: np.ndarray
    text: np.ndarray  # (c,) str
    logp: np.ndarray
    offset: np.ndarray  # (n + 1,) int64
    labels: tuple[str, ...]
    emissions: Emissions | None = None

    @property
    def best(self) -> np.ndarray:
        """Return `(n,)` str: each row's likeliest string."""
        return np.asarray(self.text[self.offset[:-1]])

    @property
    def confidence(self) -> np.ndarray:
        """Return `(n,)` float32 in [0, 1]: the posterior of each row's likeliest string."""
        return np.asarray(np.exp(self.logp[self.offset[:-1]]))

    def candidates(self) -> list[list[str]]:
        """Return each row's strings."""
        return [self.text[start:stop].tolist() for start, stop in zip(self.offset, self.offset[1:], strict=False)]

    @classmethod
    def of_texts(cls, row_id: np.ndarray, split: str, texts: Sequence[str], labels: Sequence[str]) -> Self:
        """Return predictions that are sure of one string a row."""
        n = len(row_id)
        text = np.array([*texts, None], object)[:-1]  # an array of objects, whatever they are
        return cls(row_id, np.full(n, split, object), text, np.zeros(n, np.float32), np.arange(n + 1), tuple(labels))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See Predictions."""
        import h5py

        path = folder / _FILE
        if not path.exists():
            raise PodiumError(f"{path}: there is no such predictions file; run `dvc repro` to make it")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("schema") != SCHEMA:
                    raise PodiumError(
                        f"{path}: its schema is {file.attrs.get('schema')}, not {SCHEMA}; run `dvc repro`"
                    )
                row_id, split, text, labels = (
                    file[name].asstr()[:].astype(object) for name in ("row_id", "split", "text", "labels")
                )
                emissions = None
                if "emissions" in file:
                    part = file["emissions"]
                    emissions = Emissions(part["logp"][:], part["offset"][:], bool(part.attrs["has_blank"]))
                found = cls(row_id, split, text, file["logp"][:], file["offset"][:], tuple(labels), emissions)
        except (OSError, KeyError) as error:
            raise PodiumError(f"{path}: not a readable predictions file ({error})") from None
        found.check(str(path))
        return found

    def write(self, folder: Path) -> None:
        """See Predictions."""
        import h5py

        path = folder / _FILE
        self.check(str(path))
        ordered = self.take(np.argsort(self.row_id.astype(str), kind="stable"))
        text = h5py.string_dtype()
        with atomic(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["schema"] = SCHEMA
            for name in ("row_id", "split", "text"):
                file.create_dataset(name, data=getattr(ordered, name).astype(object), dtype=text)
            file.create_dataset("labels", data=np.array(self.labels, object), dtype=text)
            file.create_dataset("logp", data=ordered.logp.astype(np.float32))
            file.create_dataset("offset", data=ordered.offset.astype(np.int64))
            if ordered.emissions is not None:
                part = file.create_group("emissions")
                part.attrs["has_blank"] = ordered.emissions.has_blank
                part.create_dataset("logp", data=ordered.emissions.logp.astype(np.float16))
                part.create_dataset("offset", data=ordered.emissions.offset.astype(np.int64))

    def check(self, where: str) -> None:
        """Raise PodiumError opening with `where` and naming the first rows that break the rules above."""
        ids = self.row_id.astype(str)
        unique, counts = np.unique(ids, return_counts=True)
        for reason, wrong in (
            ("must be unique; these come twice", unique[counts > 1]),
            ("must be of train or test", ids[~np.isin(self.split.astype(str), ("train", "test"))]),
            ("must have a candidate", ids[np.diff(self.offset) < 1]),
        ):
            if len(wrong):
                raise PodiumError(f"{where}: row_id {reason}: {preview(wrong.tolist())}")
        is_wrong = ~(self.logp <= _ROUNDING)  # also of NaN
        if is_wrong.any():
            row = int(np.searchsorted(self.offset, is_wrong.argmax(), side="right")) - 1
            raise PodiumError(f"{where}: log-posteriors must be numbers up to 0: row_id {preview(ids[[row]].tolist())}")

    def take(self, indices: np.ndarray) -> Self:
        """See Predictions."""
        flat, offset = gathered(self.offset, indices)
        return replace(
            self,
            row_id=self.row_id[indices],
            split=self.split[indices],
            text=self.text[flat],
            logp=self.logp[flat],
            offset=offset,
            emissions=None if self.emissions is None else self.emissions.take(indices),
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """See Predictions; emissions are kept where all parts have some."""
        row_id, split, text, logp = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("row_id", "split", "text", "logp")
        )
        emissions = None
        if all(part.emissions is not None for part in parts):
            known = [part.emissions for part in parts if part.emissions is not None]
            logps = np.concatenate([part.logp for part in known])
            emissions = Emissions(logps, _joined([part.offset for part in known]), known[0].has_blank)
        offset = _joined([part.offset for part in parts])
        return replace(parts[0], row_id=row_id, split=split, text=text, logp=logp, offset=offset, emissions=emissions)


def gathered(offset: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the parts of some rows, one after the other, and where each row's begin among them."""
    counts = np.diff(offset)[indices]
    own = np.concatenate([[0], np.cumsum(counts)])
    return np.repeat(offset[:-1][indices] - own[:-1], counts) + np.arange(own[-1]), own


def _joined(offsets: Sequence[np.ndarray]) -> np.ndarray:
    """Return the offsets of parts that come one after the other."""
    counts = np.concatenate([np.diff(offset) for offset in offsets])
    return np.concatenate([[0], np.cumsum(counts)])
