"""Predictions -> predictions. One module per method; each defines `class Ensemble`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.frozen import Frozen

_ROUNDING = 1e-4  # of the float32 sum of many classes' probabilities


@dataclass(frozen=True)
class Objective:
    """A loss over blends, in the smallest form that gives the same number.

    A blend is linear in the members, so what the loss reads of a prediction is taken from each member once:
    `members` is `(m, ...)` float32, and `losses` maps blends of them, `(c, ...)`, to `(c,)`.
    """

    members: np.ndarray
    losses: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class EnsembleObjective:
    """What an ensemble minimises: `score` of `(y, p (n, k))`, lower is better, of predictions within `limits`.

    `is_log_loss` says that `score` is the mean of -log of what each truth was given, rows rescaled to sum to 1.
    """

    score: Callable[[np.ndarray, np.ndarray], float]
    limits: tuple[float, float] = (0.0, 1.0)
    is_log_loss: bool = False

    def __call__(self, y: np.ndarray, p: np.ndarray) -> float:
        """Return the loss of predictions `(n, k)`."""
        return self.score(y, p.clip(*self.limits))

    def objective(self, y: np.ndarray, members: np.ndarray, *, convex: bool = True) -> Objective:
        """Return the loss of blends of `members` `(m, n, k)`; of log loss only the truth's share is kept.

        `convex` says that no weight is negative, so that the rows of several classes sum to 1 without rescaling.
        """
        if self.is_log_loss and members.shape[2] == 1:
            return _binary_log_loss(y, members[:, :, 0], self.limits)
        if self.is_log_loss and convex and self.limits == (0.0, 1.0) and are_distributions(members):
            truth = np.ascontiguousarray(members[:, np.arange(len(y)), y.astype(np.int64)])
            return Objective(truth, _mean_log)
        return Objective(members, lambda blends: np.array([self(y, blend) for blend in blends]))


def are_distributions(p: np.ndarray) -> bool:
    """Tell whether `(..., k)` are probabilities of several classes: rows that sum to 1."""
    if p.shape[-1] == 1:
        return False
    sums = np.einsum("...k->...", p)  # six times faster than sum over so short an axis
    return bool(np.abs(sums - 1).max() <= _ROUNDING)


def _binary_log_loss(y: np.ndarray, members: np.ndarray, limits: tuple[float, float]) -> Objective:
    positive = y == 1
    low = np.where(positive, limits[0], 1 - limits[1]).astype(np.float32)
    high = np.where(positive, limits[1], 1 - limits[0]).astype(np.float32)
    return Objective(np.where(positive, members, 1 - members), lambda truth: _mean_log(truth.clip(low, high)))


def _mean_log(truth: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(np.maximum(truth, np.float32(1e-15))).mean(axis=1))


@dataclass(frozen=True)
class Blend:
    """A fitted ensemble: `combine` maps `(m, n, k)` to `(n, k)`, row by row.

    `weights` is `(m,)`, summing to 1, or None where members have none. `path` is the (member, loss) of each step
    of a search, for a person to see where it stopped gaining.
    """

    combine: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None
    path: tuple[tuple[int, float], ...] = ()


def linear(
    weights: np.ndarray, limits: tuple[float, float] = (0.0, 1.0), path: tuple[tuple[int, float], ...] = ()
) -> Blend:
    """Return the weighted sum, brought back within `limits` where a weight is negative.

    Members are added one by one in float64: the same row gives the same bits in any company.
    """

    def combine(members: np.ndarray) -> np.ndarray:
        total = np.zeros(members.shape[1:])
        for k in np.flatnonzero(weights):
            total += weights[k] * members[k]
        if weights.min() < 0:
            total = total.clip(*limits)
            if are_distributions(members):
                total /= total.sum(axis=1, keepdims=True)
        return total.astype(np.float32)

    return Blend(combine, weights, path)


class Ensemble(Frozen):
    """A way to combine the bank's members, which come sorted by name."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:
        """Learn from out-of-fold predictions `(m, n, k)` float32 and targets `y`, by `loss`."""
        raise NotImplementedError

    def cross_fit(
        self, members: np.ndarray, y: np.ndarray, folds: np.ndarray, *, loss: EnsembleObjective, seed: int
    ) -> np.ndarray:
        """Return predictions `(n, k)` of blends that never saw the row: learnt on the other folds.

        `folds` is `(n, repeats)`; each repeat gives one prediction, and their mean is returned.
        """
        total = np.zeros(members.shape[1:])
        for fold_of in folds.T:
            for fold in np.unique(fold_of):
                inside = fold_of == fold
                blend = self.fit(members[:, ~inside], y[~inside], loss=loss, seed=seed)
                total[inside] += blend.combine(members[:, inside])
        mean: np.ndarray = (total / folds.shape[1]).astype(np.float32)
        return mean
