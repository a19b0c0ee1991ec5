"""Support vector machine with a Gaussian kernel, calibrated."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.heads import Predict, Range, Training
from podium.heads.shared import fit_svm


class Head(heads.Head):
    """On standardised features or their principal components; one of the strongest heads up to ten thousand rows.

    Time grows with the square of the rows, and calibration fits `inner` models beside the one that predicts.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"C": Range(0.1, 100.0), "gamma": Range(0.1, 10.0), "pca": Range(32, 512)}

    C: float = Field(2.0, gt=0)
    gamma: float = Field(1.0, gt=0)  # times 1 / (number of features x their variance)
    pca: int | None = Field(256, ge=1)
    inner: int = Field(4, ge=2)
    epsilon: float = Field(0.1, ge=0)  # regression: errors below this many standard deviations are none

    def fit(self, data: Training) -> Predict:
        """Fit one machine, or one per label; several classes one against another."""
        return fit_svm(data, self.pca, self.inner, self._decide, self._regress)

    def _decide(self, data: Training) -> Predict:
        from sklearn.svm import SVC

        model = SVC(C=self.C, gamma=self._gamma(data.x), cache_size=1000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        return lambda new: model.decision_function(new).reshape(len(new), -1)

    def _regress(self, data: Training) -> Predict:
        from sklearn.svm import SVR

        model = SVR(C=self.C, gamma=self._gamma(data.x), epsilon=self.epsilon, cache_size=1000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        return lambda new: np.asarray(model.predict(new)[:, None])

    def _gamma(self, x: np.ndarray) -> float:
        return float(self.gamma / (x.shape[1] * x.var()))
