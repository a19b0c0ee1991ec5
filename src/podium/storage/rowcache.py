"""The cache of feature rows: what was computed once is never computed again, whatever was killed in between.

One folder per fingerprint (all that changes a row's numbers but the image); in it, one small file per batch: a SHA-256
of what follows, then magic, counts, keys and rows. A file appears whole, by rename; a damaged one is as good as absent.
Files are not synced to the disk one by one: after a power cut the checksum tells.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from podium.storage.files import atomic, write_json

DESCRIPTION = "fingerprint.json"

_HEADER = struct.Struct("<8sIII")  # magic, rows, columns, bytes per number
_MAGIC = b"podrows1"
_DIGEST = hashlib.sha256().digest_size
_HALF_MAX = float(np.finfo(np.float16).max)


class _Place(NamedTuple):
    path: str
    offset: int
    n_columns: int
    dtype: str


def row_key(image_digest: str, operation: str, parameters: str) -> bytes:
    """Return the key of a row among those of one fingerprint: 32 bytes of image, operation and parameters."""
    return hashlib.sha256(f"{image_digest}\0{operation}\0{parameters}".encode()).digest()


class RowCache:
    """Feature rows by key, in `folder`, and in `fallback_dir` where `folder` cannot be written."""

    def __init__(self, folder: Path, fallback_dir: Path) -> None:
        self._folder = folder
        self._spare = fallback_dir
        self._places: dict[bytes, _Place] = {}
        self.n_damaged = 0  # files that failed their checksum, and were left out
        self.write_error: OSError | None = None  # why `fallback_dir` is in use
        for path in [*_files(folder), *_files(fallback_dir)]:
            self._index(path)

    def __contains__(self, key: bytes) -> bool:
        """Return whether the row of `key` is here and was intact."""
        return key in self._places

    def describe(self, description: Mapping[str, Any]) -> None:
        """Leave a note of what the fingerprint stands for, for people and for pruning."""
        with suppress(OSError):  # it is a note; `put` tells of a folder that cannot be written
            write_json(description, self._folder / DESCRIPTION)

    @property
    def n_bytes(self) -> int:
        """Return the size of the files of this fingerprint."""
        return sum(path.stat().st_size for folder in (self._folder, self._spare) for path in _files(folder))

    def shape(self, key: bytes) -> tuple[int, str]:
        """Return the row's number of columns and its dtype: float16 where every value fits, else float32."""
        place = self._places[key]
        return place.n_columns, place.dtype

    def get(self, key: bytes) -> np.ndarray:
        """Return the row of `key`, `(d,)` float16 or float32."""
        place = self._places[key]
        return np.fromfile(place.path, place.dtype, place.n_columns, offset=place.offset)

    def put(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        """Store rows `(n, d)`, finite. A row's dtype depends on that row only, so that batches do not matter.

        Raises OSError where neither folder can be written; what was stored before stays.
        """
        fits = (np.abs(rows) <= _HALF_MAX).all(axis=1)
        for dtype, chosen in (("<f2", fits), ("<f4", ~fits)):
            some = [key for key, taken in zip(keys, chosen, strict=True) if taken]
            if some:
                self._write(some, rows[chosen].astype(dtype))

    def _write(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        body = _HEADER.pack(_MAGIC, *rows.shape, rows.itemsize) + b"".join(keys) + rows.tobytes()
        digest = hashlib.sha256(body).digest()
        # Named for its content: two processes that compute the same batch write the same file.
        name = f"{digest.hex()[:32]}.rows"
        if self.write_error is None:
            try:
                self._keep(self._folder / name, digest + body)
            except OSError as error:
                self.write_error = error
            else:
                return
        self._keep(self._spare / name, digest + body)

    def _keep(self, path: Path, content: bytes) -> None:
        with atomic(path) as temporary:
            temporary.write_bytes(content)
        self._index(path)

    def _index(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        digest, body = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            self.n_damaged += 1
            return
        magic, n_rows, n_columns, itemsize = _HEADER.unpack_from(body)
        if magic != _MAGIC:
            return
        name, dtype = str(path), f"<f{itemsize}"
        first_row = _DIGEST + _HEADER.size + n_rows * _DIGEST
        for n in range(n_rows):
            key = body[_HEADER.size + _DIGEST * n : _HEADER.size + _DIGEST * (n + 1)]
            self._places[key] = _Place(name, first_row + n * n_columns * itemsize, n_columns, dtype)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the finished files, sorted; not the temporary ones that a killed run left (they start with a dot)."""
    if folder.is_dir():
        names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".rows"))
        yield from (folder / name for name in names if not name.startswith("."))
