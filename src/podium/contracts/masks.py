"""Masks: the probability of each class for each pixel of an image, one row of one HDF5 file at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from podium.contracts.models import Fitted
from podium.contracts.predictions import Predictions
from podium.errors import PodiumError, preview
from podium.storage.files import atomic

SCHEMA = 1
SURE = 255  # stands for probability 1
HALF = 128  # the least number that stands for more than one half
_FILE = "masks.h5"
_CHUNK = 1 << 18  # bytes that are packed together

Maps = Callable[[], np.ndarray]  # returns (c, h, w) uint8


@dataclass(frozen=True)
class Masks(Predictions):
    """Maps of `n` rows, made or read one at a time: whatever is done to all of them, one row's are in memory.

    `maps[i]()` returns the row's probabilities `(c, h, w)` uint8, `SURE` times as large, one map for each of `labels`.
    They cover the whole image, whose own height and width are `shape[i]`; `whole` brings them to it.
    """

    kind: ClassVar[str] = "masks"

    row_id: np.ndarray
    split: np.ndarray
    maps: np.ndarray  # (n,) object: Maps
    shape: np.ndarray  # (n, 2) int64
    labels: tuple[str, ...]

    @classmethod
    def of_arrays(
        cls, row_id: np.ndarray, split: str, arrays: Sequence[np.ndarray], labels: Sequence[str], shape: np.ndarray
    ) -> Self:
        """Return predictions in memory, of `(c, h, w)` uint8 each."""
        maps = np.empty(len(arrays), object)
        maps[:] = [partial(_same, array) for array in arrays]
        return cls(row_id, np.full(len(row_id), split, object), maps, shape.reshape(-1, 2), tuple(labels))

    def whole(self, row: int) -> np.ndarray:
        """Return `(c, h, w)` uint8 at the image's own height and width."""
        return resized(self.maps[row](), tuple(self.shape[row].tolist()))

    def changed(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """Return predictions whose maps, at the images' own height and width, have gone through `function`."""
        maps = np.empty(len(self), object)
        maps[:] = [partial(_changed, function, self.whole, row) for row in range(len(self))]
        return replace(self, maps=maps)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See Predictions; maps stay in the file until they are asked for."""
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
                row_id, split, labels = (file[name].asstr()[:].astype(object) for name in ("row_id", "split", "labels"))
                shape, form, n_bytes = file["shape"][:], file["form"][:], file["maps"].shape[0]
        except (OSError, KeyError) as error:
            raise PodiumError(f"{path}: not a readable predictions file ({error})") from None
        ends = np.concatenate([[0], np.cumsum(form.prod(axis=1))])
        if ends[-1] != n_bytes:
            raise PodiumError(f"{path}: it holds {n_bytes} bytes of maps, not {ends[-1]}; run `dvc repro`")
        maps = np.empty(len(row_id), object)
        maps[:] = [partial(_read, path, int(end), tuple(one)) for end, one in zip(ends, form.tolist(), strict=False)]
        found = cls(row_id, split, maps, shape, tuple(labels))
        found.check(str(path))
        return found

    def write(self, folder: Path) -> None:
        """See Predictions; one row at a time."""
        import h5py

        path = folder / _FILE
        self.check(str(path))
        ordered = self.take(np.argsort(self.row_id.astype(str), kind="stable"))
        text = h5py.string_dtype()
        with atomic(path) as temporary, h5py.File(temporary, "w") as file:
            file.attrs["schema"] = SCHEMA
            for name in ("row_id", "split"):
                file.create_dataset(name, data=getattr(ordered, name).astype(object), dtype=text)
            file.create_dataset("labels", data=np.array(self.labels, object), dtype=text)
            file.create_dataset("shape", data=ordered.shape.astype(np.int64))
            flat = file.create_dataset(
                "maps", (0,), np.uint8, maxshape=(None,), chunks=(_CHUNK,), compression="gzip", compression_opts=1
            )
            form = np.zeros((len(self), 3), np.int64)
            for row, maps in enumerate(ordered.maps):
                array = maps()
                form[row] = array.shape
                flat.resize(flat.shape[0] + array.size, axis=0)
                flat[flat.shape[0] - array.size :] = array.reshape(-1)
            file.create_dataset("form", data=form)

    def check(self, where: str) -> None:
        """Raise PodiumError opening with `where` and naming the first rows that break the rules above."""
        ids = self.row_id.astype(str)
        unique, counts = np.unique(ids, return_counts=True)
        for reason, wrong in (
            ("must be unique; these come twice", unique[counts > 1]),
            ("must be of train or test", ids[~np.isin(self.split.astype(str), ("train", "test"))]),
            ("must have an image of a pixel at least", ids[(self.shape < 1).any(axis=1)]),
        ):
            if len(wrong):
                raise PodiumError(f"{where}: row_id {reason}: {preview(wrong.tolist())}")

    def take(self, indices: np.ndarray) -> Self:
        """See Predictions."""
        row_id, split, maps, shape = (part[indices] for part in (self.row_id, self.split, self.maps, self.shape))
        return replace(self, row_id=row_id, split=split, maps=maps, shape=shape)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """See Predictions."""
        row_id, split, maps, shape = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("row_id", "split", "maps", "shape")
        )
        return replace(parts[0], row_id=row_id, split=split, maps=maps, shape=shape)


@dataclass(frozen=True)
class Cut(Fitted):
    """What is done to the maps of `c` classes: three settings for each.

    Its threshold, of 0 to 255, becomes one half; holes are filled where it `fills`; a mask of fewer than `least` pixels
    becomes empty.
    """

    thresholds: np.ndarray
    least: np.ndarray
    fills: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(c, h, w)` uint8: a pixel is `HALF` or more where it was at least its class's threshold."""
        made = []
        settings = zip(x, self.thresholds.tolist(), self.least.tolist(), self.fills.tolist(), strict=True)
        for maps, threshold, least, fills in settings:
            ends = [0, max(threshold - 1, 0), threshold, SURE] if threshold else [-1, -1, 0, SURE]
            table = np.interp(np.arange(SURE + 1), ends, [0, HALF - 1, HALF, SURE]).astype(np.uint8)
            one = table[maps]
            one = np.where(filled(one >= HALF), np.maximum(one, HALF), one) if fills else one
            made.append(np.minimum(one, HALF - 1) if (one >= HALF).sum() < least else one)
        return np.stack(made)


def filled(mask: np.ndarray) -> np.ndarray:
    """Return a mask `(h, w)` bool without its holes: what no way over sides of pixels leads out of."""
    from scipy.ndimage import binary_fill_holes

    return np.asarray(binary_fill_holes(mask))


def resized(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return maps `(c, h, w)` uint8 at another height and width: averaged where they shrink, else interpolated."""
    import cv2

    if maps.shape[1:] == shape:
        return maps
    how = cv2.INTER_AREA if maps.shape[1] > shape[0] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(one, shape[::-1], interpolation=how) for one in maps])


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _changed(function: Callable[[np.ndarray], np.ndarray], whole: Callable[[int], np.ndarray], row: int) -> np.ndarray:
    return function(whole(row))


def _read(path: Path, start: int, form: tuple[int, int, int]) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        flat: np.ndarray = file["maps"][start : start + int(np.prod(form))]
    return flat.reshape(form)
