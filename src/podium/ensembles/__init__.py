"""Predictions -> predictions. One module per method; each defines `class Ensemble`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.frozen import Frozen

Loss = Callable[[np.ndarray, np.ndarray], float]  # (y, p (n, k)) -> lower is better


@dataclass(frozen=True)
class Blend:
    """A fitted ensemble: `combine` maps `(m, n, k)` to `(n, k)`; `weights` is `(m,)`, summing to 1, or None."""

    combine: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None


class Ensemble(Frozen):
    """A way to combine the bank's members."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: Loss, seed: int) -> Blend:
        """Learn from out-of-fold predictions `(m, n, k)` float32 and targets `y`, by `loss`."""
        raise NotImplementedError
