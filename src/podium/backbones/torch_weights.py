"""Reads torch's old (pre-zip) state dict files without torch, and without running code from them.

Layout, from torch's `serialization._legacy_save`: five pickles (magic, protocol, system info, the state dict with
storages as persistent ids, the list of storage keys), then for each key an int64 element count and raw data.
"""

import math
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from podium.errors import PodiumError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
# What unpickling and what follows raise where the bytes make no sense.
_MALFORMED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    MemoryError,
    RecursionError,
    ImportError,
)


class _Storage(NamedTuple):
    dtype: str
    key: str


class _View(NamedTuple):
    """A tensor before its storage's data is known; strides are in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: np.ndarray, name: str) -> np.ndarray:
        """Return the tensor; raises ValueError unless every element lies in `data` and none is read twice over."""
        numbers = (self.offset, *self.shape, *self.strides)
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ValueError(f"{name}: offset, shape and strides must be whole numbers from 0 up")
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        n_elements = math.prod(self.shape)
        if n_elements and (last >= len(data) or n_elements > len(data)):
            raise ValueError(f"{name} reaches beyond its storage")
        strides = [step * data.itemsize for step in self.strides] if n_elements else None
        start = self.offset if n_elements else len(data)
        return np.ndarray(self.shape, data.dtype, data[start:], strides=strides).copy()


class _Unpickler(pickle.Unpickler):
    """Knows the names that a state dict needs and refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _View(storage, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"a state dict must not contain {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, _n_elements, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unknown kind of storage {pid!r}")
        return _Storage(dtype, key)


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict file by name.

    Raises PodiumError where the file is not of this layout, is cut short, or asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except FileNotFoundError:
        raise PodiumError(f"{path}: there is no such weights file") from None
    except _MALFORMED as error:
        raise PodiumError(f"{path}: not a torch state dict of the old layout ({error})") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if _Unpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("wrong magic number")
    _Unpickler(file).load()  # the protocol's version
    _Unpickler(file).load()  # the system that wrote it
    views: dict[str, _View] = _Unpickler(file).load()
    keys: list[str] = _Unpickler(file).load()
    dtypes = {view.storage.key: view.storage.dtype for view in views.values()}
    data = {key: _storage(file, np.dtype(dtypes[key])) for key in keys}
    return {name: view.array(data[view.storage.key], name) for name, view in views.items()}


def _storage(file: BinaryIO, dtype: np.dtype[Any]) -> np.ndarray:
    n_elements = int.from_bytes(file.read(8), "little")
    n_left = os.fstat(file.fileno()).st_size - file.tell()
    if n_elements * dtype.itemsize > n_left:  # before memory is asked for
        raise ValueError(f"a storage of {n_elements} elements, where {n_left} bytes are left")
    return np.frombuffer(file.read(n_elements * dtype.itemsize), dtype)
