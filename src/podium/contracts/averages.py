"""From a network's features to a row's prediction: every mean on the way, in the order in which it is taken.

The stages, `podium predict` and an exported model all call these. The file imports NumPy and the steps only, so that an
exported model can run the same code.
"""

from collections.abc import Iterable

import numpy as np

from podium.contracts.models import Fitted
from podium.contracts.steps import BLOCK, predict

_HALF_MAX = float(np.finfo(np.float16).max)


def fits_half(features: np.ndarray) -> np.ndarray:
    """Return `(n,)` bool: which rows of `(n, d)` are kept as float16; the others hold a number out of its range."""
    return np.asarray((np.abs(features) <= _HALF_MAX).all(axis=1))


def as_kept(features: np.ndarray) -> np.ndarray:
    """Return features `(n, d)` as float32 with the numbers that the cache of rows would keep."""
    kept = features.astype(np.float32)
    fits = fits_half(kept)
    kept[fits] = kept[fits].astype(np.float16)
    return kept


def mean_by_row(x: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return `(n_rows, ...)` of `x (n_images, ...)`: row i is the mean of the `count[i]` images from `first[i]` on.

    A lone image's numbers stay as they are, to the bit.
    """
    if len(first) == len(x):
        return x
    count = count.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
    return np.asarray(np.add.reduceat(x, first, axis=0) / count)


def mean_view(x: np.ndarray) -> np.ndarray:
    """Return `(n, 1, d)` of features by view `(n, v, d)`."""
    return np.asarray(x.mean(axis=1, keepdims=True))


def predict_views(model: Fitted, x: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Return `(n, k)` float64: the mean of a model's predictions for `(n, v, d)` over the views."""
    n, n_views, d = x.shape
    p = predict(model, x.reshape(n * n_views, d), block)
    return np.asarray(p.reshape(n, n_views, p.shape[1]).mean(axis=1, dtype=np.float64))


def mean_over_models(n: int, parts: Iterable[tuple[np.ndarray | slice, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each row's predictions, `(n, k)` float64, and `(n,)` bool: whether it has any.

    Each of several models' `parts` holds positions of rows and the predictions for them, summed in their order.
    """
    parts = list(parts)
    total, count = np.zeros((n, parts[0][1].shape[1])), np.zeros((n, 1))
    for rows, p in parts:
        total[rows] += p
        count[rows] += 1
    return total / np.maximum(count, 1), count[:, 0] > 0
