"""Features of every image and view of one backbone, as an HDF5 file sorted by (image_id, view).

`features (n, d)` is float16, or float32 where a value does not fit; `image_id (n,)` and `view (n,)` are UTF-8 text.
Attributes say how they were made. Labels are not in it: a corrected label must never re-extract. Of networks trained
once a fold, each row holds the features by all of them side by side, in the order of the attribute `networks`.

The file opens with a user block, which HDF5 leaves to the application: a magic word and the SHA-256 of all that
follows. It is compared before HDF5 parses a byte, since HDF5's own checksums do not cover ids and attributes
(fletcher32 refuses variable-length text), and a damaged header can ask for any amount of memory.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from podium.errors import PodiumError, preview
from podium.storage.files import atomic

SCHEMA = 2
KEY = ["image_id", "view"]
_ROWS_AT_ONCE = 512  # written at once
_BLOCK = 4096  # rows that are read at once where some are chosen
_USER_BLOCK = 512  # bytes: the smallest user block
_MAGIC = b"podium features\n"


@dataclass(frozen=True)
class Features:
    """A features file in memory: `index` has text columns image_id and view, one line per row of `matrix`."""

    index: pd.DataFrame
    matrix: np.ndarray  # (n, d) float16 or float32, finite
    attributes: Mapping[str, Any]

    @property
    def networks(self) -> tuple[str, ...]:
        """Return the networks, trained once a fold, whose features stand side by side; none of a frozen backbone."""
        return tuple(str(self.attributes.get("networks", "")).split())

    def of_network(self, name: str) -> Self:
        """Return the features by one of several networks: `(n, d / networks)`."""
        width = self.matrix.shape[1] // len(self.networks)
        first = self.networks.index(name) * width
        return replace(self, matrix=self.matrix[:, first : first + width], attributes={})


def form(shapes: Iterable[tuple[int, str]]) -> dict[str, Any]:
    """Return `n_columns` and `dtype` of a file with these rows: one float32 row makes the file float32."""
    columns, dtypes = zip(*shapes, strict=True)
    return {"n_columns": max(columns), "dtype": max(dtypes)}


def write(
    path: Path,
    index: pd.DataFrame,
    rows: Iterable[np.ndarray],
    *,
    n_columns: int,
    dtype: str,
    attributes: Mapping[str, Any],
) -> None:
    """Write rows as they come: the same rows and attributes give the same bytes.

    Args:
        path: where the file goes, whole or not at all.
        index: columns image_id and view, already sorted by them, `n` lines.
        rows: arrays `(d,)` of finite numbers, in the index's order; never all in memory here.
        n_columns: `d`.
        dtype: float16 or float32.
        attributes: text and numbers that say how the features were made.
    """
    import h5py

    _check_index(index, str(path))
    with atomic(path) as temporary:
        with h5py.File(temporary, "w", userblock_size=_USER_BLOCK) as file:
            matrix = file.create_dataset("features", (len(index), n_columns), dtype)
            for start, block in _blocks(rows, (_ROWS_AT_ONCE, n_columns), dtype):
                matrix[start : start + len(block)] = block
            for column in KEY:
                file.create_dataset(column, data=index[column].to_numpy(object), dtype=h5py.string_dtype())
            file.attrs["schema"] = SCHEMA
            for name in sorted(attributes):
                file.attrs[name] = attributes[name]
        sign(temporary)


def sign(path: Path) -> None:
    """Write the checksum of a features file into its user block."""
    block = _user_block(path)
    with path.open("r+b") as file:
        file.write(block)


def _user_block(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(_USER_BLOCK)
        return (_MAGIC + hashlib.file_digest(file, "sha256").digest()).ljust(_USER_BLOCK, b"\0")


def _require_intact(path: Path) -> None:
    with path.open("rb") as file:
        block = file.read(_USER_BLOCK)
    if not block.startswith(_MAGIC):
        raise PodiumError(f"{path}: no features file of schema {SCHEMA}, with a checksum; extract it again")
    if block != _user_block(path):
        raise PodiumError(f"{path}: it is damaged: its checksum is another; remove it and run `dvc repro`")


def write_manifest(path: Path, attributes: Mapping[str, Any]) -> None:
    """Write a file without features, for rows whose features lie elsewhere: its attributes say where, and which."""
    import h5py

    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema"] = SCHEMA
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]


def read(path: Path, chosen: Callable[[pd.DataFrame], np.ndarray | pd.Series] | None = None) -> Features:
    """Return a checked features file; raises PodiumError naming the file and what is wrong with it.

    `chosen` maps the index to a mask of the rows to read; the others are never in memory at once.
    """
    import h5py

    if not path.exists():
        raise PodiumError(f"{path}: there is no such features file; run `dvc repro` to make it")
    _require_intact(path)
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            if attributes.get("schema") != SCHEMA:
                raise PodiumError(f"{path}: its schema is {attributes.get('schema')}, not {SCHEMA}; extract it again")
            index = pd.DataFrame({column: file[column].asstr()[:] for column in KEY}, dtype="str")
            _check_index(index, str(path))
            if len(file["features"]) != len(index):
                raise PodiumError(f"{path}: {len(file['features'])} rows of features for {len(index)} ids")
            lines = np.arange(len(index)) if chosen is None else np.flatnonzero(chosen(index))
            index, matrix = index.iloc[lines].reset_index(drop=True), _lines(file["features"], lines)
    except (OSError, KeyError) as error:
        raise PodiumError(f"{path}: not a readable features file ({error})") from None
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        raise PodiumError(f"{path}: features are not finite for image_id {preview(index['image_id'][bad])}")
    return Features(index, matrix, attributes)


def _lines(dataset: Any, lines: np.ndarray) -> np.ndarray:
    """Return these rows, whose positions are sorted, reading a block of the file at a time."""
    if len(lines) == len(dataset):
        return np.asarray(dataset[:])
    places = [lines[(lines >= start) & (lines < start + _BLOCK)] - start for start in range(0, len(dataset), _BLOCK)]
    blocks = [dataset[n * _BLOCK : (n + 1) * _BLOCK][inside] for n, inside in enumerate(places) if len(inside)]
    return np.concatenate([np.empty((0, dataset.shape[1]), dataset.dtype), *blocks])


def _blocks(rows: Iterable[np.ndarray], shape: tuple[int, int], dtype: str) -> Iterable[tuple[int, np.ndarray]]:
    """Yield (first row, rows) many at once: each call of HDF5 costs as much as many rows."""
    block = np.empty(shape, dtype)
    start = filled = 0
    for row in rows:
        block[filled] = row
        filled += 1
        if filled == len(block):
            yield start, block
            start, filled = start + filled, 0
    if filled:
        yield start, block[:filled]


def _check_index(index: pd.DataFrame, where: str) -> None:
    keys = pd.MultiIndex.from_frame(index[KEY])
    if not keys.is_unique:
        raise PodiumError(
            f"{where}: image_id/view must be unique; these come twice: {preview(keys[keys.duplicated()])}"
        )
    if not keys.is_monotonic_increasing:
        raise PodiumError(f"{where}: rows must be sorted by image_id and view")
