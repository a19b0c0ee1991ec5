"""Reads torch's old (pre-zip) state dict files without torch, and without running code from them.

Layout, from torch's `serialization._legacy_save`: five pickles (magic, protocol, system info, the state dict with
storages as persistent ids, the list of storage keys), then for each key an int64 element count and raw data.
"""

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


class _Storage(NamedTuple):
    dtype: str
    key: str


class _View(NamedTuple):
    """A tensor before its storage's data is known; strides are in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: np.ndarray) -> np.ndarray:
        strides = [step * data.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides).copy()

    def last(self) -> int:
        """Return the index of the last element in its storage."""
        return self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))


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
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
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
    for name, view in views.items():
        if view.last() >= len(data[view.storage.key]):
            raise ValueError(f"{name} reaches beyond its storage")
    return {name: view.array(data[view.storage.key]) for name, view in views.items()}


def _storage(file: BinaryIO, dtype: np.dtype[Any]) -> np.ndarray:
    n_elements = int.from_bytes(file.read(8), "little")
    raw = file.read(n_elements * dtype.itemsize)
    return np.frombuffer(raw, dtype, n_elements)
