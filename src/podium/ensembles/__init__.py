"""Predictions -> predictions. One module per method; each defines `class Ensemble`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.frozen import Frozen


@dataclass(frozen=True)
class Objective:
    """A loss over blends, in the smallest form that gives the same number.

    A blend is linear in the members, so what the loss reads of a prediction is taken from each member once:
    `members` is `(m, ...)` float32, and `losses` maps blends of them, `(c, ...)`, to `(c,)`.
    """

    members: np.ndarray
    losses: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Loss:
    """What an ensemble minimises: `score(clip(p))` of `(y, p (n, k))`, lower is better.

    `is_log_loss` says that `score` is the mean of -log of what each truth was given, rows rescaled to sum to 1.
    """

    score: Callable[[np.ndarray, np.ndarray], float]
    clip: tuple[float, float] | None = None
    is_log_loss: bool = False

    def __call__(self, y: np.ndarray, p: np.ndarray) -> float:
        """Return the loss of predictions `(n, k)`."""
        return self.score(y, p if self.clip is None else p.clip(*self.clip))

    def objective(self, y: np.ndarray, members: np.ndarray) -> Objective:
        """Return the loss of blends of `members` `(m, n, k)`; of log loss only the truth's share is kept."""
        if self.is_log_loss and members.shape[2] == 1:
            return _binary_log_loss(y, members[:, :, 0], self.clip or (0.0, 1.0))
        if self.is_log_loss and self.clip is None and np.allclose(members.sum(axis=2), 1.0, atol=1e-4):
            truth = np.ascontiguousarray(members[:, np.arange(len(y)), y.astype(np.int64)])
            return Objective(truth, _mean_log)
        return Objective(members, lambda blends: np.array([self(y, blend) for blend in blends]))


def _binary_log_loss(y: np.ndarray, members: np.ndarray, clip: tuple[float, float]) -> Objective:
    positive = y == 1
    low = np.where(positive, clip[0], 1 - clip[1]).astype(np.float32)
    high = np.where(positive, clip[1], 1 - clip[0]).astype(np.float32)
    return Objective(np.where(positive, members, 1 - members), lambda truth: _mean_log(truth.clip(low, high)))


def _mean_log(truth: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(np.maximum(truth, np.float32(1e-15))).mean(axis=1))


@dataclass(frozen=True)
class Blend:
    """A fitted ensemble: `combine` maps `(m, n, k)` to `(n, k)`; `weights` is `(m,)`, summing to 1, or None."""

    combine: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None


def linear(weights: np.ndarray) -> Blend:
    """Return the weighted sum. Added one by one in float64: the same row gives the same bits in any company."""

    def combine(members: np.ndarray) -> np.ndarray:
        total = np.zeros(members.shape[1:])
        for k in np.flatnonzero(weights):
            total += weights[k] * members[k]
        return total.astype(np.float32)

    return Blend(combine, weights)


class Ensemble(Frozen):
    """A way to combine the bank's members, which come sorted by name."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: Loss, seed: int) -> Blend:
        """Learn from out-of-fold predictions `(m, n, k)` float32 and targets `y`, by `loss`."""
        raise NotImplementedError

    def cross_fit(self, members: np.ndarray, y: np.ndarray, folds: np.ndarray, *, loss: Loss, seed: int) -> np.ndarray:
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
