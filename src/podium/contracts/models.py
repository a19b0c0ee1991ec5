"""Fitted models on disk: frozen dataclasses of arrays, numbers and text, never a pickle.

A member's models lie in one folder, models/C/M. Each has a name, `r0f3` for fold 3 of repeat 0, `full` for all rows:
NAME.json is its tree, NAME.npz holds its arrays; both are checked by SHA-256 when they are read. An array of a megabyte
or more lies in a file named by its SHA-256: several models may share it, and it is mapped into memory rather than read.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from podium.errors import PodiumError
from podium.storage.files import atomic, digest, write_json

FULL = "full"  # the model of all rows
ABOUT = "about.json"  # beside a member's models: what they take
_LARGE = 2**20  # bytes


class Fitted:
    """The base of every fitted model: a frozen dataclass.

    Its fields are arrays, numbers, text, None, other models, or tuples of these. Its class is found by its
    name when it is read back, so the name must be unique.
    """

    classes: ClassVar[dict[str, type["Fitted"]]] = {}

    def __init_subclass__(cls) -> None:
        cls.classes[cls.__name__] = cls

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return predictions, a row for each row of `x`."""
        raise NotImplementedError


def of_fold(repeat: int, fold: int) -> str:
    """Return the name of the model that did not see this fold."""
    return f"r{repeat}f{fold}"


def about(folder: Path) -> dict[str, Any]:
    """Return what a member's models in `folder` take; raises PodiumError where nothing there says it."""
    path = folder / ABOUT
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise PodiumError(f"{path}: there is no such file; run `dvc repro`") from None


def save(model: Fitted, folder: Path, name: str) -> None:
    """Write a model; the same model gives the same bytes."""
    arrays: dict[str, np.ndarray] = {}
    tree = _packed(model, arrays, folder)
    path = folder / f"{name}.npz"
    with atomic(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    content = {"model": tree, "arrays": digest(path)}
    write_json(content | {"sha256": _digest_of(content)}, folder / f"{name}.json")


def load(folder: Path, name: str) -> Any:
    """Return a model that `save` wrote; raises PodiumError naming the file that is missing or damaged."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise PodiumError(f"{path}: there is no such model; run `dvc repro` to fit it")
    try:
        tree = _tree(path)
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
            return _unpacked(tree, dict(archive), folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PodiumError(f"{path}: not a readable model ({str(error).partition(chr(10))[0]}); fit it again") from None


def names(folder: Path) -> list[str]:
    """Return the sorted names of the models in a folder."""
    return sorted(path.stem for path in folder.glob("*.npz"))


def folds(folder: Path) -> list[str]:
    """Return the names of the folds' models, by repeat and fold; raises PodiumError where there are none."""
    found = {name: match for name in names(folder) if (match := re.fullmatch(r"r(\d+)f(\d+)", name))}
    if not found:
        raise PodiumError(f"{folder}: there are no models; run `dvc repro` to fit them")
    return sorted(found, key=lambda name: tuple(map(int, found[name].groups())))


def that_predict(folder: Path) -> list[str]:
    """Return the names of the models whose mean predicts new rows: the one of all rows, or else every fold's."""
    return [FULL] if FULL in names(folder) else folds(folder)


def _packed(value: Any, arrays: dict[str, np.ndarray], folder: Path) -> Any:
    """Return JSON for a field's value; arrays go into `arrays`, or into a file of their own."""
    if isinstance(value, Fitted):
        parts = {field.name: _packed(getattr(value, field.name), arrays, folder) for field in fields(value)}  # type: ignore[arg-type]  # a dataclass
        return {"model": type(value).__name__, "fields": parts}
    if isinstance(value, np.ndarray):
        if value.nbytes >= _LARGE:
            return {"file": _write_large(value, folder)}
        arrays[f"{len(arrays):03d}"] = value
        return {"array": f"{len(arrays) - 1:03d}"}
    if isinstance(value, tuple):
        return [_packed(item, arrays, folder) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    # JSON has no infinity: the limits of a regression's predictions.
    return {"number": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _unpacked(tree: Any, arrays: Mapping[str, np.ndarray], folder: Path) -> Any:
    if isinstance(tree, list):
        return tuple(_unpacked(item, arrays, folder) for item in tree)
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    if "number" in tree:
        return float(tree["number"])
    if "file" in tree:
        return _read_large(folder / tree["file"])
    parts = {name: _unpacked(part, arrays, folder) for name, part in tree["fields"].items()}
    return Fitted.classes[tree["model"]](**parts)


def _tree(path: Path) -> Any:
    """Return the tree of a model's JSON file; raises ValueError where it or the arrays beside it are damaged."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.pop("sha256") != _digest_of(content) or content["arrays"] != digest(path.with_suffix(".npz")):
        raise ValueError("it is damaged")
    return content["model"]


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_large(array: np.ndarray, folder: Path) -> str:
    """Write an array whose file is named by its content, unless it is there; returns the file's name."""
    array = np.ascontiguousarray(array)
    name = f"{_content(array)}.npy"
    if not (folder / name).exists():
        with atomic(folder / name) as temporary:
            np.save(temporary, array, allow_pickle=False)
    return name


def _read_large(path: Path) -> np.ndarray:
    mapped: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    facts = path.stat()
    if not _is_whole(path.absolute(), facts.st_ino, facts.st_size, facts.st_mtime_ns):
        raise ValueError(f"{path.name} is damaged")
    return mapped


@cache
def _is_whole(path: Path, *_state: int) -> bool:
    """Return whether a file holds the content that names it; read once, however many models share it."""
    return _content(np.load(path, mmap_mode="r", allow_pickle=False)) == path.stem


def _content(array: np.ndarray) -> str:
    """Return 32 hexadecimal digits that stand for an array's shape, dtype and values."""
    hasher = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    hasher.update(array.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()[:32]
