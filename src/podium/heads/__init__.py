"""Features -> predictions. One module per head; each defines `class Head(podium.heads.Head)`.

A module imports its library inside `fit`, so that checking params.yaml loads none of them.
"""

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from podium.frozen import Frozen

Predict = Callable[[np.ndarray], np.ndarray]  # (n, d) float32 -> (n, k) float32


class Head(Frozen):
    """A classifier or regressor with its settings as fields."""

    tasks: ClassVar[tuple[str, ...]]  # the kinds of task it handles

    def fit(
        self, x: np.ndarray, y: np.ndarray, *, task: str, n_outputs: int, group: np.ndarray, weight: np.ndarray, seed: int
    ) -> Predict:
        """Fit everything (scaler, PCA, calibration, early stopping) on the given rows only.

        Args:
            x: `(n, d)` float32 features; the views of one row are rows of their own.
            y: `(n,)` or `(n, n_labels)`, as the task codes it.
            task: binary, multiclass, multilabel or regression.
            n_outputs: `k`, the number of prediction columns.
            group: `(n,)` int codes; rows of one group (an image's views) stay together in an inner split.
            weight: `(n,)` float64, positive.
            seed: the only source of randomness.

        Returns a function from `(m, d)` float32 to `(m, k)` float32, probabilities or values.
        """
        raise NotImplementedError
