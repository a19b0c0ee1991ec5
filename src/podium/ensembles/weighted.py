"""Convex weights, optimised on the metric itself."""

import numpy as np
from pydantic import Field

from podium.ensembles import Blend, EnsembleObjective, Objective, WeightedSum
from podium.ensembles import Ensemble as Base

_BLOCK = 1 << 19


class Ensemble(Base):
    """Moves from the mean towards or away from one member at a time, by steps that halve where none gains.

    A pattern search (Hooke and Jeeves 1961) over the simplex: it needs no gradient, so any metric will do.
    """

    precision: float = Field(1e-3, gt=0, lt=1)
    """The last step of the search, as a share of the blend."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # deterministic
        """Return the blend of the weights found, none of them negative."""
        objective = loss.objective(y, members)
        weights = np.full(len(members), 1 / len(members))
        best, step = _losses(objective, weights, np.zeros((1, 2)))[0], 0.5
        while step >= self.precision:
            moves = _moves(weights, step)
            losses = _losses(objective, weights, moves)
            if losses.min() < best:
                best, move = losses.min(), moves[losses.argmin()]
                weights = _moved(weights, int(move[0]), move[1])
            else:
                step /= 2
        return WeightedSum(weights)


def _moves(weights: np.ndarray, step: float) -> np.ndarray:
    """Return `(c, 2)`: a member, and its share of the next blend's change; a negative one takes from its weight."""
    towards = [(member, step) for member in range(len(weights))]
    # The share that leaves a member without weight; none can be taken from the only one.
    away = [(j, -min(step, w / (1 - w))) for j, w in enumerate(weights) if 0 < w < 1]
    return np.array(towards + away)


def _moved(weights: np.ndarray, member: int, share: float) -> np.ndarray:
    moved = weights * (1 - share)
    moved[member] = max(0.0, moved[member] + share)
    rescaled: np.ndarray = moved / moved.sum()
    return rescaled


def _losses(objective: Objective, weights: np.ndarray, moves: np.ndarray) -> np.ndarray:
    members = objective.members
    blend = np.tensordot(weights.astype(np.float32), members, 1)
    block = max(1, _BLOCK // blend.size)
    extra = (1,) * blend.ndim
    losses = []
    for start in range(0, len(moves), block):
        chosen, share = moves[start : start + block, 0].astype(np.int64), moves[start : start + block, 1]
        share = share.astype(np.float32).reshape(-1, *extra)
        losses.append(objective.losses(blend + share * (members[chosen] - blend)))
    return np.concatenate(losses)
