"""Least squares with an L2 penalty, solved exactly; calibrated where the task is classes."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.heads import Predict, Range, Training
from podium.heads.shared import calibrated, one_against_rest, per_label, standardised


class Head(heads.Head):
    """On standardised features. `alpha` is the penalty for each training row, so it suits any number of rows."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"alpha": Range(1e-3, 30.0)}

    alpha: float = Field(0.3, gt=0)
    inner: int = Field(5, ge=2)

    def fit(self, data: Training) -> Predict:
        """Solve for the values themselves, or for +1 and -1 of each class."""
        scale = standardised(data.x)
        data = replace(data, x=scale(data.x))
        if data.task == "regression":
            predict = self._solve(data, data.y[:, None])
        else:
            predict = per_label(data, lambda rows: calibrated(rows, self._decide, self.inner))
        return lambda new: predict(scale(new))

    def _decide(self, data: Training) -> Predict:
        return self._solve(data, one_against_rest(data))

    def _solve(self, data: Training, y: np.ndarray) -> Predict:
        """Return the weighted ridge solution; by the smaller of the two Gram matrices."""
        share = data.weight / data.weight.sum()
        x_mean, y_mean = share @ data.x, share @ y
        root = np.sqrt(share)[:, None]
        x, residual = ((data.x - x_mean) * root).astype(np.float64), (y - y_mean) * root
        n, d = x.shape
        if d <= n:
            w = np.linalg.solve(x.T @ x + self.alpha * np.eye(d), x.T @ residual)
        else:
            w = x.T @ np.linalg.solve(x @ x.T + self.alpha * np.eye(n), residual)
        return lambda new: np.asarray((new - x_mean) @ w + y_mean, dtype=np.float32)
