"""Predictions -> predictions. One module per method; each defines `class Ensemble`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from podium.contracts.blends import Blend, WeightedSum, are_distributions
from podium.ensembles.screens import Screen, screen
from podium.settings import Settings

__all__ = ["Blend", "Ensemble", "EnsembleObjective", "Objective", "WeightedSum", "are_distributions", "crossed"]


@dataclass(frozen=True)
class Objective:
    """A loss over blends, in the smallest form that gives the same number.

    A blend is linear in the members, so what the loss reads of a prediction is taken from each member once:
    `members` is `(m, ...)` float32, and `losses` maps blends of them, `(c, ...)`, to `(c,)`.
    """

    members: np.ndarray
    losses: Callable[[np.ndarray], np.ndarray]
    ties: Callable[[np.ndarray], np.ndarray] | None = None  # as `losses`: a second loss, which chooses among equals
    screen: Callable[[np.ndarray], Screen | None] = lambda _members: None  # of some members: bounds of their losses


@dataclass(frozen=True)
class EnsembleObjective:
    """What an ensemble minimises: `score` of `(y, p (n, k), weight)`, lower is better, of predictions within `limits`.

    `metric` is the name of the metric that `score` is, where a faster way to the same numbers may be known. `weight` is
    `(n,)`, of the rows that are fitted, or None where all count alike. `ties` is a second score where `score` has
    steps, like accuracy: of blends that are equal by `score`, the one with the least is better.
    """

    score: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
    limits: tuple[float, float] = (0.0, 1.0)
    metric: str = ""
    weight: np.ndarray | None = None
    ties: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float] | None = None

    def __call__(self, y: np.ndarray, p: np.ndarray) -> float:
        """Return the loss of predictions `(n, k)`."""
        return self.score(y, p.clip(*self.limits), self.weight)

    def of(self, rows: np.ndarray) -> Self:
        """Return the objective of some of the rows, by mask or position."""
        return self if self.weight is None else replace(self, weight=self.weight[rows])

    def objective(self, y: np.ndarray, members: np.ndarray, *, convex: bool = True) -> Objective:
        """Return the loss of blends of `members` `(m, n, k)`; of log loss only the truth's share is kept.

        `convex` says that no weight is negative, so that the rows of several classes sum to 1 without rescaling.
        """
        is_log_loss = self.metric == "log_loss"
        if is_log_loss and members.shape[2] == 1:
            return _binary_log_loss(y, members[:, :, 0], self.limits, self.weight)
        if is_log_loss and convex and self.limits == (0.0, 1.0) and are_distributions(members):
            truth = np.ascontiguousarray(members[:, np.arange(len(y)), y.astype(np.int64)])
            return Objective(truth, lambda blends: _mean_log(blends, self.weight))
        ties = self.ties

        def losses(blends: np.ndarray) -> np.ndarray:
            return np.array([self(y, blend) for blend in blends])

        def second(blends: np.ndarray) -> np.ndarray:
            assert ties is not None
            return np.array([ties(y, blend.clip(*self.limits), self.weight) for blend in blends])

        def bounds(some: np.ndarray) -> Screen | None:
            return screen(self.metric, some, y, self.limits, self.weight) if convex else None

        return Objective(members, losses, None if ties is None else second, bounds)


def _binary_log_loss(
    y: np.ndarray, members: np.ndarray, limits: tuple[float, float], weight: np.ndarray | None
) -> Objective:
    positive = y == 1
    low = np.where(positive, limits[0], 1 - limits[1]).astype(np.float32)
    high = np.where(positive, limits[1], 1 - limits[0]).astype(np.float32)
    truth = np.where(positive, members, 1 - members)
    return Objective(truth, lambda blends: _mean_log(blends.clip(low, high), weight))


def _mean_log(truth: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    logs = -np.log(np.maximum(truth, np.float32(1e-15)))
    return np.asarray(logs.mean(axis=1) if weight is None else logs @ (weight / weight.sum()))


class Ensemble(Settings):
    """A way to combine the bank's members, which come sorted by name."""

    combines: ClassVar[tuple[str, ...]] = ("scores", "sequences", "masks")  # kinds of predictions
    needs_vectors: ClassVar[bool] = False  # what a column stands for must be the same in every row

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:
        """Learn from out-of-fold predictions `(m, n, k)` float32 and targets `y`, by `loss`."""
        raise NotImplementedError

    def fit_folds(
        self, members: np.ndarray, y: np.ndarray, folds: np.ndarray, *, loss: EnsembleObjective, seed: int
    ) -> dict[tuple[int, int], Blend]:
        """Return the blend of each (repeat, fold), learnt on the rows of the other folds; `folds` is `(n, repeats)`."""
        return {
            (repeat, int(fold)): self.fit(
                members[:, fold_of != fold], y[fold_of != fold], loss=loss.of(fold_of != fold), seed=seed
            )
            for repeat, fold_of in enumerate(folds.T)
            for fold in np.unique(fold_of)
        }

    def cross_fit(
        self, members: np.ndarray, y: np.ndarray, folds: np.ndarray, *, loss: EnsembleObjective, seed: int
    ) -> np.ndarray:
        """Return predictions `(n, k)` of blends that never saw the row: learnt on the other folds."""
        return crossed(self.fit_folds(members, y, folds, loss=loss, seed=seed), members, folds)


def crossed(blends: Mapping[tuple[int, int], Blend], members: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return `(n, k)` float32: each row by the blend that did not see its fold, the mean over repeats."""
    total = np.zeros(members.shape[1:])
    for (repeat, fold), blend in blends.items():
        inside = folds[:, repeat] == fold
        total[inside] += blend.predict(members[:, inside])
    mean: np.ndarray = (total / folds.shape[1]).astype(np.float32)
    return mean
