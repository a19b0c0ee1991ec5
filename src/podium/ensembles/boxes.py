"""Boxes of several members fused into one set: how, at which overlap, with which weights and from which score on."""

from collections.abc import Iterator
from itertools import product
from typing import ClassVar

import numpy as np
from pydantic import Field

from podium.contracts.box_blends import FusedBoxes, Fusion
from podium.ensembles import Blend, EnsembleObjective
from podium.ensembles import Ensemble as Base

_SHARES = (0.0, 0.5, 2.0)  # what a member's weight is tried at, beside 1


class Ensemble(Base):
    """Weighted boxes fusion, NMS or soft-NMS, whichever does best, with all of its numbers learnt.

    The score from which on boxes go out is learnt with them: a metric that counts boxes, such as F1, needs one. Each
    member by itself is among what is tried.
    """

    combines: ClassVar[tuple[str, ...]] = ("boxes",)

    methods: tuple[Fusion, ...] = Field(("wbf", "nms", "soft_nms"), min_length=1)
    """The methods to choose from."""
    iou: tuple[float, ...] = Field((0.4, 0.5, 0.6, 0.7), min_length=1)
    """The overlaps to choose from, above which two boxes are one object."""
    floor: float = Field(0.01, ge=0, lt=1)
    """Boxes of a lower score take no part."""
    cuts: int = Field(24, ge=1)
    """Scores to choose from, evenly spread among those of all boxes; 1 lets all boxes out."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:  # noqa: ARG002  # deterministic
        """Return the fusion of the least loss of all that are tried."""
        n_members = len(members)
        equal = np.ones(n_members)
        tried = [equal, *(np.eye(n_members) if n_members > 1 else [])]
        best = min((self._cut(members, y, loss, *how) for how in self._ways(tried)), key=lambda found: found[0])
        for _ in range(2 if n_members > 1 else 0):
            before = best[0]
            for member, share in product(range(n_members), _SHARES):
                weights = best[1].weights.copy()
                weights[member] = share
                if weights.any():
                    found = self._cut(members, y, loss, weights, best[1].method, best[1].iou)
                    best = min(best, found, key=lambda found: found[0])
            if best[0] >= before:
                break
        return best[1]

    def _ways(self, weights: list[np.ndarray]) -> Iterator[tuple[np.ndarray, str, float]]:
        yield from product(weights, self.methods, self.iou)

    def _cut(
        self, members: np.ndarray, y: np.ndarray, loss: EnsembleObjective, weights: np.ndarray, method: str, iou: float
    ) -> tuple[float, FusedBoxes]:
        """Return the loss and the fusion with the best score to cut at; of equals, the middle one."""
        fused = FusedBoxes(weights, method, iou, 0.0, self.floor).predict(members).reshape(len(y), -1, 6)
        scores = fused[..., 4][fused[..., 5] >= 0]
        cuts = np.unique(np.quantile(scores, np.arange(self.cuts) / self.cuts)) if len(scores) else np.zeros(1)
        cuts[0] = 0.0
        losses = []
        for cut in cuts:
            kept = fused.copy()
            kept[kept[..., 4] < cut] = (0, 0, 0, 0, 0, -1)
            losses.append(loss(y, kept.reshape(len(y), -1)))
        equal = np.flatnonzero(np.array(losses) <= min(losses))
        chosen = int(equal[len(equal) // 2])
        return losses[chosen], FusedBoxes(weights, method, iou, float(cuts[chosen]), self.floor)
