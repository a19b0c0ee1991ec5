"""Where P(label) becomes the label: one half, or a threshold that is learnt by the competition's metric.

Probabilities are mapped so that the learnt threshold becomes one half: whatever decides later needs no threshold.
"""

import numpy as np

from podium.contracts.steps import Interpolate
from podium.tasks import LossFn

_CANDIDATES = 60


def learn_threshold(p: np.ndarray, y: np.ndarray, loss: LossFn) -> Interpolate:
    """Return the map of probabilities `(n, k)` that has the least loss; one threshold for all columns.

    Thresholds at quantiles of the probabilities are tried, and one half, which stays where none is better.
    """
    tried = [0.5, *np.unique(np.quantile(p, np.linspace(0, 1, _CANDIDATES + 2)[1:-1]).clip(0.001, 0.999)).tolist()]
    maps = [Interpolate(np.array([0.0, threshold, 1.0]), np.array([0.0, 0.5, 1.0])) for threshold in tried]
    losses = [loss(y, one.predict(p)) for one in maps]
    return maps[int(np.argmin(losses))]
