"""The mean of ranks: for metrics that only see the order, such as AUC, and members of unlike scales."""

from dataclasses import dataclass

import numpy as np

from podium.ensembles import Blend, EnsembleObjective, are_distributions
from podium.ensembles import Ensemble as Base


class Ensemble(Base):
    """Averages each prediction's rank among the out-of-fold ones, and turns it back into a value.

    The value is the members' mean quantile at the mean rank, so that probabilities stay probabilities.
    """

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # learns ranks
        """Return the blend; rows are ranked among the out-of-fold predictions `(m, n, k)`, not among themselves."""
        weights = np.full(len(members), 1 / len(members))
        return RankMean(weights, np.sort(members, axis=1), are_distributions(members))


@dataclass(frozen=True)
class RankMean(Blend):
    """`ladder (m, n, k)`: each member's sorted out-of-fold predictions, by column."""

    weights: np.ndarray
    ladder: np.ndarray
    is_simplex: bool
    path: tuple[tuple[int, float], ...] = ()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """See Blend."""
        quantiles = self.ladder.mean(axis=0)
        p = np.empty_like(x[0], dtype=np.float64)
        for column in range(x.shape[2]):
            ranks = [_ranks(self.ladder[j, :, column], member[:, column]) for j, member in enumerate(x)]
            p[:, column] = np.interp(np.mean(ranks, axis=0), np.arange(len(quantiles)), quantiles[:, column])
        if self.is_simplex:
            p /= np.maximum(p.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return p.astype(np.float32)


def _ranks(ladder: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean position of each value among the sorted `ladder`, 0 to n - 1."""
    below, through = (np.searchsorted(ladder, values, side=side) for side in ("left", "right"))
    return np.clip((below + through - 1) / 2, 0, len(ladder) - 1)
