"""Run-length codes of masks: pairs of a run's first pixel and its length, as Kaggle's competitions write them."""

from typing import Literal

import numpy as np

Order = Literal["columns", "rows"]


def encode(mask: np.ndarray, order: Order = "columns", first: int = 1) -> str:
    """Return the runs of a mask `(h, w)` bool, in order; an empty text where nothing is set.

    Pixels are counted from `first` on, down the columns from the left one on, or along the rows from the top.
    """
    flat = _turned(mask, order).reshape(-1)
    inner = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([np.flatnonzero(flat[:1]), inner, np.flatnonzero(flat[-1:]) + len(flat)])
    edges[1::2] -= edges[::2]  # ends become lengths
    edges[::2] += first
    return str(edges.tolist())[1:-1].replace(",", "")


def decode(runs: str, shape: tuple[int, int], order: Order = "columns", first: int = 1) -> np.ndarray:
    """Return the mask `(h, w)` bool; raises ValueError for what is no list of runs within `shape`, in order."""
    start, stop = _checked(runs, shape[0] * shape[1], first)
    edges = np.column_stack([start, stop]).reshape(-1)
    lengths = np.diff(edges, prepend=0, append=shape[0] * shape[1])
    flat = np.repeat(np.arange(len(lengths), dtype=np.uint8) & 1, lengths)
    height, width = shape
    return _turned(flat.reshape((width, height) if order == "columns" else shape), order).view(bool)


def fault(runs: str, shape: tuple[int, int], first: int = 1) -> str | None:
    """Return what is wrong with the runs of a mask of `shape`, or None."""
    try:
        _checked(runs, shape[0] * shape[1], first)
    except ValueError as error:
        return str(error)
    return None


def area(runs: str) -> int:
    """Return the number of pixels that are set."""
    return sum(map(int, runs.split()[1::2]))


def _turned(mask: np.ndarray, order: Order) -> np.ndarray:
    import cv2  # its transposition takes a tenth of NumPy's copy

    pixels = np.ascontiguousarray(mask).view(np.uint8)
    return np.asarray(cv2.transpose(pixels)) if order == "columns" else pixels


def _checked(runs: str, n_pixels: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `(r,)` the place of each run's first pixel, from 0 on, and that behind its last."""
    try:
        numbers = np.array(list(map(int, runs.split())), np.int64)
    except (ValueError, OverflowError):
        raise ValueError(f"run-length codes are whole numbers, not {runs[:40]!r}") from None
    if len(numbers) % 2:
        raise ValueError(f"run-length codes are pairs of first pixel and length, and there are {len(numbers)} numbers")
    start, length = numbers[::2] - first, numbers[1::2]
    stop = start + length
    for is_wrong, reason in (
        (start < 0, f"begins before pixel {first}"),
        (length < 1, "has no pixel"),
        (stop > n_pixels, f"ends beyond the image's {n_pixels} pixels"),
        (np.append(False, start[1:] < stop[:-1]), "overlaps the one before it, or comes out of order"),
    ):
        if is_wrong.any():
            run = int(is_wrong.argmax())
            raise ValueError(f"the run {numbers[2 * run]} {numbers[2 * run + 1]} {reason}")
    return start, stop
