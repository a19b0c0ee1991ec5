"""Which rows are held out, and which make up a small trial run: by id and seed, whatever the order of the rows."""

import hashlib

import numpy as np
import pandas as pd
from pydantic import Field

from podium.settings import Settings

_BINS = 10  # of a column of many numbers, such as a regression's target
_FEW = 20  # different values are classes, more are numbers to be binned


class Holdout(Settings):
    """The part of the labelled rows that the competition itself keeps back as its test set."""

    fraction: float = Field(gt=0, lt=1)
    """The share of the rows."""
    stratify: tuple[str, ...] = ()
    """Columns whose combinations are held out in equal shares."""
    seed: int = 0
    """Of the choice."""


def strata(columns: pd.DataFrame) -> pd.Series:
    """Return one text per row that stands for its combination of values; many numbers go into ten equal parts."""
    combined = pd.Series("", index=columns.index)
    for name in columns:
        combined = combined + "/" + _binned(columns[name])
    return combined


def choose(ids: pd.Series, stratum: pd.Series, n: int, seed: int) -> pd.Series:
    """Return a mask of `n` rows (or all, if there are fewer), spread over the strata in proportion.

    Each stratum gets its share by the largest remainder; in it, rows are taken in the order of a hash of seed and
    id, so that a choice depends on no order, and a row that is added or removed changes few others.
    """
    if n >= len(ids):
        return pd.Series(True, index=ids.index)
    names, codes, sizes = np.unique(stratum.to_numpy(str), return_inverse=True, return_counts=True)
    share = sizes * n / len(ids)
    quota = np.floor(share).astype(int)
    # Equal remainders go by the hash of the stratum's name: alphabetical order would favour some for ever.
    by_remainder = np.lexsort([_hashes(names, seed), -np.round(share - quota, 9)])
    quota[by_remainder[: n - quota.sum()]] += 1
    hashes = pd.Series(_hashes(ids, seed), index=ids.index)
    place = hashes.groupby(codes).rank(method="first")
    return place <= quota[codes]


def _binned(values: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.nunique() > _FEW and (numbers.notna() | values.isna()).all():
        values = pd.qcut(numbers, _BINS, labels=False, duplicates="drop")
    return values.astype("str").fillna("")


def _hashes(names: pd.Series | np.ndarray, seed: int) -> np.ndarray:
    """Return `(n,)` int64, the same on every machine."""
    digests = (hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names)
    return np.array([int.from_bytes(digest[:6]) for digest in digests], np.int64)
