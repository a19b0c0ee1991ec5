"""Linear support vector machine, calibrated."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Linear
from podium.heads import Range, Training
from podium.heads.shared import fit_svm


class Head(heads.Head):
    """Squared hinge loss on standardised features or their principal components; classes one against the rest."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"C": Range(1e-6, 1.0)}

    C: float = Field(0.001, gt=0)
    """The inverse strength of the penalty."""
    pca: int | None = Field(None, ge=1)
    """Principal components to fit on; null: all features."""
    inner: int = Field(4, ge=2)
    """Inner folds for the calibration of classes."""
    epsilon: float = Field(0.0, ge=0)
    """Regression: errors below this many standard deviations count as none."""

    def fit(self, data: Training) -> Fitted:
        """Fit one machine, or one per class or label."""
        return fit_svm(data, self.pca, self.inner, self._decide, self._regress)

    def _decide(self, data: Training) -> Linear:
        from sklearn.svm import LinearSVC

        model = LinearSVC(C=self.C, dual="auto", random_state=data.seed, max_iter=5000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        return Linear(np.ascontiguousarray(model.coef_.T), model.intercept_)

    def _regress(self, data: Training) -> Linear:
        from sklearn.svm import LinearSVR

        model = LinearSVR(
            C=self.C, epsilon=self.epsilon, loss="squared_epsilon_insensitive", dual="auto", random_state=data.seed
        )
        model.fit(data.x, data.y, sample_weight=data.weight)
        return Linear(model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_))
