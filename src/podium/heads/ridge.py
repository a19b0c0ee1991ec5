"""Least squares with an L2 penalty, solved exactly; calibrated where the task is classes."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Linear
from podium.heads import Range, Training
from podium.heads.shared import calibrated, one_against_rest, per_label, standardize


class Head(heads.Head):
    """Ridge regression on standardised features."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"alpha": Range(1e-3, 30.0)}

    alpha: float = Field(0.3, gt=0)
    """The penalty for each training row, so that one number suits any number of rows."""
    inner: int = Field(5, ge=2)
    """Inner folds for the calibration of classes."""

    def fit(self, data: Training) -> Fitted:
        """Solve for the values themselves, or for +1 and -1 of each class."""
        scale = standardize(data.x)
        data = replace(data, x=scale.predict(data.x))
        if data.task == "regression":
            return Chain((scale, self._solve(data, data.y[:, None])))
        return Chain((scale, per_label(data, lambda rows: calibrated(rows, self._decide, self.inner))))

    def _decide(self, data: Training) -> Linear:
        return self._solve(data, one_against_rest(data))

    def _solve(self, data: Training, y: np.ndarray) -> Linear:
        """Return the weighted ridge solution; scikit-learn takes the smaller of the two Gram matrices."""
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=self.alpha * data.weight.sum(), solver="cholesky")
        model.fit(data.x.astype(np.float64), y, sample_weight=data.weight)
        return Linear(model.coef_.reshape(y.shape[1], -1).T, model.intercept_.reshape(-1))
