"""Linear support vector machine, calibrated."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.heads import Predict, Range, Training
from podium.heads.shared import fit_svm


class Head(heads.Head):
    """Squared hinge loss on standardised features or their principal components; classes one against the rest."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"C": Range(1e-6, 1.0)}

    C: float = Field(0.001, gt=0)
    pca: int | None = Field(None, ge=1)
    inner: int = Field(4, ge=2)
    epsilon: float = Field(0.0, ge=0)  # regression: errors below this many standard deviations are none

    def fit(self, data: Training) -> Predict:
        """Fit one machine, or one per class or label."""
        return fit_svm(data, self.pca, self.inner, self._decide, self._regress)

    def _decide(self, data: Training) -> Predict:
        from sklearn.svm import LinearSVC

        model = LinearSVC(C=self.C, dual="auto", random_state=data.seed, max_iter=5000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        return lambda new: model.decision_function(new).reshape(len(new), -1)

    def _regress(self, data: Training) -> Predict:
        from sklearn.svm import LinearSVR

        model = LinearSVR(
            C=self.C, epsilon=self.epsilon, loss="squared_epsilon_insensitive", dual="auto", random_state=data.seed
        )
        model.fit(data.x, data.y, sample_weight=data.weight)
        return lambda new: np.asarray(model.predict(new)[:, None])
