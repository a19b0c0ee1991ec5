"""Greedy ensemble selection with replacement (Caruana et al., ICML 2004), bagged on request."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from podium.ensembles import Blend, EnsembleObjective, Objective, WeightedSum
from podium.ensembles import Ensemble as Base
from podium.ensembles.screens import Screen

_DIGITS = 12  # losses that agree in as many are the same number, rounded twice
_BLOCK = 1 << 19  # numbers; 2 MB of float32 stay in a core's cache while a block of candidates is scored


class Ensemble(Base):
    """Adds, `rounds` times, the member whose addition gives the lowest loss, and keeps the best prefix.

    `best` limits the choice to so many members of the lowest loss. Each of `bags` climbs among a random `fraction`
    of them (Caruana's guard against fitting noise), and their weights are averaged. `negative` also takes members
    away, below zero. Where a metric with steps (accuracy) sees no difference, log loss decides; then the member that
    comes first, which is the first by name.
    """

    rounds: int = Field(100, ge=1)
    """Steps of the search."""
    best: int | None = Field(None, ge=1)
    """Choose among so many members of the lowest loss; null: among all."""
    bags: int = Field(1, ge=1)
    """Searches whose weights are averaged, each among a random `fraction` of the members."""
    fraction: float = Field(0.5, gt=0, le=1)
    """The share of the members in each of several bags."""
    negative: bool = False
    """Whether a member may get a weight below zero."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:
        """Return the blend whose weights are how often each member was chosen; the path is the first bag's."""
        objective = loss.objective(y, members, convex=not self.negative)
        weights, climbs = np.zeros(len(members)), []
        for chosen in self._bags(objective, seed):
            climb = _climb(replace(objective, members=objective.members[chosen]), self.rounds, self.negative)
            weights[chosen] += climb.weights / self.bags
            climbs.append(tuple((int(chosen[member]), value) for member, value in climb.path))
        return WeightedSum(weights, *loss.limits, climbs[0])

    def _bags(self, objective: Objective, seed: int) -> Iterator[np.ndarray]:
        """Yield the positions of the members that each bag may choose."""
        pool = np.arange(len(objective.members))
        if self.best is not None:
            alone = _losses(objective, np.zeros_like(objective.members[0]), 0, 1, None)
            pool = np.sort(np.argsort(alone, kind="stable")[: self.best])
        if self.bags == 1:
            yield pool
            return
        rng = np.random.default_rng(seed)
        for _ in range(self.bags):
            yield np.sort(rng.choice(pool, max(1, round(self.fraction * len(pool))), replace=False))


@dataclass(frozen=True)
class _Climb:
    weights: np.ndarray  # (m,), summing to 1
    path: tuple[tuple[int, float], ...]  # every step's member and loss, past the best prefix too


def _climb(objective: Objective, rounds: int, negative: bool) -> _Climb:  # noqa: FBT001  # private, and named at the call
    members, screen = objective.members, objective.screen(objective.members)
    total, counts = np.zeros_like(members[0]), np.zeros(len(members), dtype=np.int64)
    path, best, best_counts = [], (np.inf, np.inf), counts
    for _ in range(rounds):
        count, step = int(counts.sum()), 1
        candidates = _losses(objective, total, count, step, screen)
        if negative and count > 1:
            without = _losses(objective, total, count, -1, screen)
            if without.min() < candidates.min():
                candidates, step = without, -1
        choice, second = _choice(objective, candidates, total, count, step)
        total += np.float32(step) * members[choice]
        counts[choice] += step
        path.append((choice, float(candidates[choice])))
        reached = (float(candidates[choice]) if objective.ties is None else round(candidates[choice], _DIGITS), second)
        if reached < best:
            best, best_counts = reached, counts.copy()
    return _Climb(best_counts / best_counts.sum(), tuple(path))


def _choice(objective: Objective, losses: np.ndarray, total: np.ndarray, count: int, step: int) -> tuple[int, float]:
    """Return the member of the least loss, of equals that of the least second loss, and the latter (0 without one)."""
    if objective.ties is None:
        return int(losses.argmin()), 0.0
    losses = losses.round(_DIGITS)
    equal = np.flatnonzero(losses == losses.min())
    second = _losses(Objective(objective.members[equal], objective.ties), total, count, step, None)
    return int(equal[second.argmin()]), float(second.min())


def _losses(objective: Objective, total: np.ndarray, count: int, step: int, screen: Screen | None) -> np.ndarray:
    """Return `(m,)`: the loss of the mean of the `count` chosen and, added or taken away, each member.

    Infinity for those that `screen` says cannot be the least.
    """
    members, block = objective.members, max(1, _BLOCK // total.size)
    scale, share = np.float32(1 / (count + step)), np.float32(step)
    possible = np.arange(len(members))
    if screen is not None:
        low, high = screen(total, count, step)
        possible = np.flatnonzero(low <= high.min())
    losses = np.full(len(members), np.inf)
    for start in range(0, len(possible), block):
        some = possible[start : start + block]
        is_slice = len(some) == some[-1] + 1 - some[0]
        part = members[some[0] : some[-1] + 1] if is_slice else members[some]  # a slice is no copy
        losses[some] = objective.losses((total + share * part) * scale)
    return losses
