"""The mean of ranks: for metrics that only see the order, such as AUC, and members of unlike scales."""

import numpy as np

from podium.ensembles import Blend, EnsembleObjective, are_distributions
from podium.ensembles import Ensemble as Base


class Ensemble(Base):
    """Averages each prediction's rank among the out-of-fold ones, and gives it back as a value.

    The value is the members' mean quantile at the mean rank, so that probabilities stay probabilities.
    """

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # learns ranks
        """Return the blend; a row is ranked among the out-of-fold predictions `(m, n, k)`, not in its company."""
        ladder = np.sort(members, axis=1)
        quantiles = ladder.mean(axis=0)
        simplex = are_distributions(members)

        def combine(members: np.ndarray) -> np.ndarray:
            p = np.empty_like(members[0], dtype=np.float64)
            for column in range(members.shape[2]):
                ranks = [_ranks(ladder[j, :, column], member[:, column]) for j, member in enumerate(members)]
                p[:, column] = np.interp(np.mean(ranks, axis=0), np.arange(len(quantiles)), quantiles[:, column])
            if simplex:
                p /= np.maximum(p.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
            return p.astype(np.float32)

        return Blend(combine, np.full(len(members), 1 / len(members)))


def _ranks(ladder: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean position of each value among the sorted `ladder`, 0 to n - 1."""
    below, through = (np.searchsorted(ladder, values, side=side) for side in ("left", "right"))
    return np.clip((below + through - 1) / 2, 0, len(ladder) - 1)
