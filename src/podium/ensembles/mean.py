"""The plain mean: nothing to learn, so nothing to overfit."""

import numpy as np

from podium.ensembles import Blend, EnsembleObjective, WeightedSum
from podium.ensembles import Ensemble as Base


class Ensemble(Base):
    """Every member with the same weight."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # learns nothing
        """Return the mean of the members `(m, n, k)`."""
        return WeightedSum(np.full(len(members), 1 / len(members)))
