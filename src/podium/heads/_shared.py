"""What several heads do to their inputs and outputs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from podium.heads import Predict, Training

Transform = Callable[[np.ndarray], np.ndarray]


def standardised(x: np.ndarray) -> Transform:
    """Return the map to mean 0 and standard deviation 1 of each column of `x`; a constant column becomes 0."""
    mean = x.mean(axis=0, dtype=np.float64)
    std = x.std(axis=0, dtype=np.float64)
    scale = np.where(std > 1e-6 * (np.abs(mean) + 1e-6), 1 / np.maximum(std, 1e-30), 0.0).astype(np.float32)
    shift = mean.astype(np.float32)
    return lambda new: np.asarray((new - shift) * scale)


def per_label(data: Training, fit: Callable[[Training], Predict]) -> Predict:
    """Fit a model, or for a multilabel task one for each label; a label that all or none have is predicted so."""
    if data.task != "multilabel":
        return fit(data)
    models = [
        _constant(y[0]) if (y == y[0]).all() else fit(replace(data, y=y, task="binary", n_outputs=1)) for y in data.y.T
    ]
    return lambda x: np.hstack([model(x) for model in models])


def probabilities(p: np.ndarray) -> np.ndarray:
    """Return what a library gives as `(n, k)` float32 in [0, 1]."""
    return np.asarray(np.clip(p, 0, 1), dtype=np.float32)


def _constant(value: float) -> Predict:
    return lambda x: np.full((len(x), 1), value, np.float32)
