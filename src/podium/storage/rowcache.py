"""The cache of feature rows: what was computed once is never computed again, whatever was killed in between.

One folder per fingerprint (all that changes a row's numbers but the image); in it, one small file per batch: the
SHA-256 of its head, the head (magic, counts, the SHA-256 of the rows, keys), the rows. Opening a cache reads the
heads only; rows are checked when they are read. A file appears whole, by rename; a damaged one is as good as absent.
Files are not synced to the disk one by one: after a power cut the checksums tell.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from podium.errors import PodiumError
from podium.storage.files import atomic, write_json

DESCRIPTION = "fingerprint.json"

_HEADER = struct.Struct("<8sIII32s")  # magic, rows, columns, bytes per number, SHA-256 of the rows
_MAGIC = b"podrows2"
_DIGEST = hashlib.sha256().digest_size
_FIRST_READ = 8192  # bytes: the head of a file of up to 250 rows
_HALF_MAX = float(np.finfo(np.float16).max)
_OPEN_FILES = 64  # whose rows are in memory: rows that were computed together are mostly asked for together


class DamagedRowsError(PodiumError):
    """Rows are not what was written. Their file is gone from the cache, so they can be computed again."""


class _File(NamedTuple):
    path: str
    shape: tuple[int, int]
    dtype: str
    digest: bytes  # of the rows


def row_key(image_digest: str, operation: str, parameters: str) -> bytes:
    """Return the key of a row among those of one fingerprint: 32 bytes of image, operation and parameters."""
    return hashlib.sha256(f"{image_digest}\0{operation}\0{parameters}".encode()).digest()


class RowCache:
    """Feature rows by key, in `folder`, and in `fallback_dir` where `folder` cannot be written."""

    def __init__(self, folder: Path, fallback_dir: Path) -> None:
        self._folder = folder
        self._spare = fallback_dir
        self._places: dict[bytes, tuple[_File, int]] = {}  # file and line
        self._sizes: dict[str, int] = {}  # bytes by path
        self.n_damaged = 0  # files that failed a checksum, and were left out
        self.write_error: OSError | None = None  # why `fallback_dir` is in use
        self._rows_of = lru_cache(_OPEN_FILES)(_read_rows)
        for path, n_bytes in [*_files(folder), *_files(fallback_dir)]:
            self._index(path, n_bytes)

    def __contains__(self, key: bytes) -> bool:
        """Return whether the row of `key` is here, as far as its file's head tells."""
        return key in self._places

    def describe(self, description: Mapping[str, Any]) -> None:
        """Leave a note of what the fingerprint stands for, for people and for pruning."""
        with suppress(OSError):  # it is a note; `put` tells of a folder that cannot be written
            write_json(description, self._folder / DESCRIPTION)

    @property
    def n_bytes(self) -> int:
        """Return the size of the files of this fingerprint."""
        return sum(self._sizes.values())

    def shape(self, key: bytes) -> tuple[int, str]:
        """Return the row's number of columns and its dtype: float16 where every value fits, else float32."""
        file, _ = self._places[key]
        return file.shape[1], file.dtype

    def get(self, keys: Iterable[bytes]) -> Iterator[np.ndarray]:
        """Yield the row of each key, `(d,)` float16 or float32, a file's rows being read and checked at once.

        Raises DamagedRowsError for a file whose rows fail their checksum, and removes it.
        """
        for key in keys:
            file, line = self._places[key]
            try:
                rows = self._rows_of(file)
            except (OSError, ValueError):
                self._drop(file)
                raise DamagedRowsError(
                    f"{file.path}: a damaged file of the row cache is removed: run again to compute its rows"
                ) from None
            yield rows[line]

    def put(self, keys: Sequence[bytes], rows: np.ndarray, *, is_exact: bool = False) -> None:
        """Store rows `(n, d)`, finite. A row's dtype depends on that row only, so that batches do not matter.

        With `is_exact` it is float32.

        Raises OSError where neither folder can be written; what was stored before stays.
        """
        fits = (np.abs(rows) <= (0 if is_exact else _HALF_MAX)).all(axis=1)
        for dtype, chosen in (("<f2", fits), ("<f4", ~fits)):
            some = [key for key, taken in zip(keys, chosen, strict=True) if taken]
            if some:
                self._write(some, rows[chosen].astype(dtype))

    def _write(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        numbers = rows.tobytes()
        head = _HEADER.pack(_MAGIC, *rows.shape, rows.itemsize, hashlib.sha256(numbers).digest()) + b"".join(keys)
        digest = hashlib.sha256(head).digest()
        # Named for its content: two processes that compute the same batch write the same file.
        name = f"{digest.hex()[:32]}.rows"
        if self.write_error is None:
            try:
                self._keep(self._folder / name, digest + head + numbers)
            except OSError as error:
                self.write_error = error
            else:
                return
        self._keep(self._spare / name, digest + head + numbers)

    def _keep(self, path: Path, content: bytes) -> None:
        with atomic(path) as temporary:
            temporary.write_bytes(content)
        self._index(str(path), len(content))

    def _index(self, path: str, n_bytes: int) -> None:
        self._sizes[path] = n_bytes
        try:
            file, keys = _read_head(path, n_bytes)
        except (OSError, ValueError):
            self.n_damaged += 1
            return
        self._places.update(zip(keys, ((file, line) for line in range(len(keys))), strict=True))

    def _drop(self, file: _File) -> None:
        self.n_damaged += 1
        self._sizes.pop(file.path, None)
        self._places = {key: place for key, place in self._places.items() if place[0] != file}
        with suppress(OSError):  # it is left out of this run in any case
            Path(file.path).unlink()


def _read_head(path: str, n_bytes: int) -> tuple[_File, list[bytes]]:
    """Return the file and its rows' keys; raises ValueError where it is damaged, or not of this format."""
    with Path(path).open("rb", buffering=0) as stream:
        content = stream.read(_FIRST_READ)
        if len(content) < _DIGEST + _HEADER.size:
            raise ValueError("cut short")
        magic, n_rows, n_columns, itemsize, digest = _HEADER.unpack_from(content, _DIGEST)
        first = _DIGEST + _HEADER.size
        end = first + _DIGEST * n_rows
        if magic != _MAGIC or end + n_rows * n_columns * itemsize != n_bytes:
            raise ValueError("cut short, or damaged")
        while len(content) < end and (more := stream.read(end - len(content))):
            content += more
    if hashlib.sha256(content[_DIGEST:end]).digest() != content[:_DIGEST]:
        raise ValueError("damaged")
    keys = [content[place : place + _DIGEST] for place in range(first, end, _DIGEST)]
    return _File(path, (n_rows, n_columns), f"<f{itemsize}", digest), keys


def _read_rows(file: _File) -> np.ndarray:
    n_rows, n_columns = file.shape
    numbers = np.fromfile(file.path, file.dtype, offset=_DIGEST * (1 + n_rows) + _HEADER.size)
    if hashlib.sha256(numbers.data).digest() != file.digest:
        raise ValueError("damaged")
    return numbers.reshape(n_rows, n_columns)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield path and bytes of the finished files, sorted; the temporary ones of a killed run start with a dot."""
    if folder.is_dir():
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(".rows")]
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.name.startswith("."):
                yield entry.path, entry.stat().st_size
