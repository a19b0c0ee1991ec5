"""Greedy ensemble selection with replacement (Caruana et al., ICML 2004)."""

import numpy as np
from pydantic import Field

from podium.ensembles import Blend, Loss, Objective, linear
from podium.ensembles import Ensemble as Base

_BLOCK = 1 << 19  # numbers; 2 MB of float32 stay in a core's cache while a block of candidates is scored


class Ensemble(Base):
    """Adds, `rounds` times, the member whose addition gives the lowest loss, and keeps the best prefix.

    Ties go to the member that comes first, which is the first by name.
    """

    rounds: int = Field(100, ge=1)

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: Loss, seed: int) -> Blend:  # noqa: ARG002  # deterministic
        """Return the mean of the chosen members, each as often as it was chosen."""
        chosen = climb(loss.objective(y, members), self.rounds)
        return linear(np.bincount(chosen, minlength=len(members)) / len(chosen))


def climb(objective: Objective, rounds: int) -> np.ndarray:
    """Return the positions of the chosen members, in order of choice; up to `rounds` of them."""
    total = np.zeros_like(objective.members[0])
    chosen, losses = [], []
    for count in range(1, rounds + 1):
        candidates = _losses(objective, total, count)
        best = int(candidates.argmin())
        chosen.append(best)
        losses.append(candidates[best])
        total += objective.members[best]
    return np.array(chosen[: int(np.argmin(losses)) + 1])


def _losses(objective: Objective, total: np.ndarray, count: int) -> np.ndarray:
    """Return `(m,)`: the loss of the mean of `count` members, for each that may be the next."""
    members, step = objective.members, max(1, _BLOCK // total.size)
    blocks = (members[k : k + step] for k in range(0, len(members), step))
    return np.concatenate([objective.losses((block + total) / np.float32(count)) for block in blocks])
