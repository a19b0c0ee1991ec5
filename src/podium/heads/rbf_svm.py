"""Support vector machine with a Gaussian kernel, calibrated."""

from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Kernel, Rows, Votes
from podium.heads import Range, Training
from podium.heads.shared import fit_svm


class Head(heads.Head):
    """On standardised features or their principal components; one of the strongest heads up to ten thousand rows.

    Time grows with the square of the rows, and calibration fits `inner` models beside the one that predicts.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"C": Range(0.1, 100.0), "gamma": Range(0.1, 10.0), "pca": Range(32, 512)}

    C: float = Field(2.0, gt=0)
    """The inverse strength of the penalty."""
    gamma: float = Field(1.0, gt=0)
    """The kernel's width, times 1 / (number of features x their variance)."""
    pca: int | None = Field(256, ge=1)
    """Principal components to fit on; null: all features."""
    inner: int = Field(4, ge=2)
    """Inner folds for the calibration of classes."""
    epsilon: float = Field(0.1, ge=0)
    """Regression: errors below this many standard deviations count as none."""

    def fit(self, data: Training) -> Fitted:
        """Fit one machine, or one per label; several classes one against another."""
        return fit_svm(data, self.pca, self.inner, self._decide, self._regress)

    def _decide(self, data: Training) -> Fitted:
        from sklearn.svm import SVC

        model = SVC(C=self.C, gamma=self._gamma(data.x), cache_size=1000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        n_classes = len(model.classes_)
        if n_classes == 2:  # noqa: PLR2004  # one machine
            return self._kernel(data, model, model.dual_coef_.T, model.intercept_)
        return Chain((self._kernel(data, model, _pairs(model), model.intercept_), Votes(n_classes)))

    def _regress(self, data: Training) -> Fitted:
        from sklearn.svm import SVR

        model = SVR(C=self.C, gamma=self._gamma(data.x), epsilon=self.epsilon, cache_size=1000)
        model.fit(data.x, data.y, sample_weight=data.weight)
        return self._kernel(data, model, model.dual_coef_.T, model.intercept_)

    def _kernel(self, data: Training, model: Any, dual: np.ndarray, intercept: np.ndarray) -> Kernel:
        vectors = data.x[model.support_]
        rows = Rows(vectors, np.arange(len(vectors)), Chain(()))
        return Kernel(rows, self._gamma(data.x), np.ascontiguousarray(dual), 0.0, intercept)

    def _gamma(self, x: np.ndarray) -> float:
        return float(self.gamma / (x.shape[1] * x.var()))


def _pairs(model: Any) -> np.ndarray:
    """Return `(n_vectors, n_pairs)`: each pair's dual coefficients, from libsvm's layout by class of the vectors.

    A vector of class i has, for each other class in order, its coefficient in the machine of the two.
    """
    of_class = np.repeat(np.arange(len(model.n_support_)), model.n_support_)
    columns = []
    for a, b in combinations(range(len(model.n_support_)), 2):
        column = np.where(of_class == a, model.dual_coef_[b - 1], 0.0)
        columns.append(np.where(of_class == b, model.dual_coef_[a], column))
    return np.stack(columns, axis=1)
