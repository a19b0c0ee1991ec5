"""The mean of ranks: for metrics that only see the order, such as AUC, and members of unlike scales."""

from typing import ClassVar

import numpy as np

from podium.contracts.blends import Blend, RankMean
from podium.ensembles import Ensemble as Base
from podium.ensembles import EnsembleObjective, are_distributions


class Ensemble(Base):
    """Averages each prediction's rank among the out-of-fold ones, and turns it back into a value.

    The value is the members' mean quantile at the mean rank, so that probabilities stay probabilities.
    """

    needs_vectors: ClassVar[bool] = True

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # learns ranks
        """Return the blend; rows are ranked among the out-of-fold predictions `(m, n, k)`, not among themselves."""
        weights = np.full(len(members), 1 / len(members))
        return RankMean(weights, np.sort(members, axis=1), are_distributions(members))
