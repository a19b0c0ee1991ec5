"""Least squares with a Gaussian kernel, solved exactly; calibrated where the task is classes."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Affine, Chain, Kernel, similarities
from podium.errors import PodiumError
from podium.heads import Range, Training
from podium.heads.shared import calibration, one_against_rest, reduce, training_rows

_MOST = 20_000  # training rows: 3.2 GB of similarities
_OFFSET = 1.0  # added to the kernel, so that the model has an intercept


class Head(heads.Head):
    """One of the strongest heads up to ten thousand rows; one inverse gives the model and its calibration.

    Calibration needs each row's decision by a model that saw no row of its group. With G the inverse of the kernel
    matrix plus penalty, and a = G y, that of a group B is `y_B - G_BB^-1 a_B`: leave-one-out in closed form (Rasmussen
    and Williams 2006, section 5.4.2), for groups. Time grows with the cube of the rows: `views: mean` counts here.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"alpha": Range(0.01, 3.0), "gamma": Range(0.1, 3.0)}

    alpha: float = Field(0.1, gt=0)
    """The penalty; a row's kernel with itself is 1."""
    gamma: float = Field(0.5, gt=0)
    """The kernel's width, times 1 / (number of features x their variance)."""
    pca: int | None = Field(None, ge=1)
    """Principal components to fit on; null: all features."""

    def fit(self, data: Training) -> Fitted:
        """Solve for the values, or for +1 and -1 of every class or label; nothing is random."""
        from scipy.linalg import inv

        if len(data.x) > _MOST:
            advice = "`views: mean` makes an image one row, rbf_svm and knn take more"
            raise PodiumError(f"kernel_ridge: {len(data.x):,} training rows, and {_MOST:,} at most; {advice}")
        scale, is_value = reduce(data.x, self.pca), data.task == "regression"
        mean, std = (float(data.y.mean()), float(data.y.std()) or 1.0) if is_value else (0.0, 1.0)
        y = (data.y[:, None] - mean) / std if is_value else one_against_rest(data)
        x = scale.predict(data.x)
        gamma = self.gamma / max(x.shape[1] * float(x.var()), 1e-12)
        inverse = similarities(x, x, gamma, _OFFSET)
        inverse[np.diag_indices_from(inverse)] += self.alpha * data.weight.mean() / data.weight
        inverse = inv(inverse, overwrite_a=True, assume_a="pos")
        dual = inverse @ y
        last = Affine(std, mean) if is_value else calibration(data, y - _errors(inverse, dual, data.group))
        return Chain((scale, Kernel(training_rows(data, scale, x), gamma, dual, _OFFSET, 0.0), last))


def _errors(inverse: np.ndarray, dual: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return `(n, k)`: what each row's target exceeds its decision by, where its group was left out."""
    errors = np.empty_like(dual)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        errors[rows] = np.linalg.solve(inverse[np.ix_(rows, rows)], dual[rows])
    return errors
