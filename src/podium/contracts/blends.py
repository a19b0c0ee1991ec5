"""Fitted ensembles: from the predictions of members to those that go out.

The file imports NumPy and the model format only, so that an exported model can run the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.contracts.models import Fitted
from podium.contracts.steps import predict

_EDGE = 1e-4  # probabilities nearer to 0 or 1 count as this sure: their logits would outweigh all others
_ROUNDING = 1e-4  # of the float32 sum of many classes' probabilities


class Blend(Fitted):
    """A fitted ensemble. `weights` is `(m,)`, summing to 1, or None where members have none.

    `path` is the (member, loss) of each step of a search, for a person to see where it stopped gaining.
    """

    weights: np.ndarray | None
    path: tuple[tuple[int, float], ...]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)` float32 of the members' predictions `(m, n, k)`, row by row."""
        raise NotImplementedError


@dataclass(frozen=True)
class WeightedSum(Blend):
    """The members' weighted sum, brought back within `[low, high]` where a weight is negative.

    Members are added one by one in float64, so that a row's bits do not depend on the rest of the batch.
    """

    weights: np.ndarray
    low: float = 0.0
    high: float = 1.0
    path: tuple[tuple[int, float], ...] = ()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """See Blend."""
        total = np.zeros(x.shape[1:])
        for k in np.flatnonzero(self.weights):
            total += self.weights[k] * x[k]
        if self.weights.min() < 0:
            total = total.clip(self.low, self.high)
            if are_distributions(x):
                total /= total.sum(axis=1, keepdims=True)
        return total.astype(np.float32)


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


@dataclass(frozen=True)
class Stacked(Blend):
    """A model on the members' logits, or on their values, within `[low, high]`."""

    weights: None
    model: Fitted
    is_value: bool
    low: float
    high: float
    path: tuple[tuple[int, float], ...] = ()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """See Blend."""
        p = predict(self.model, stack_inputs(x, is_value=self.is_value))
        return np.asarray(p.clip(self.low, self.high), dtype=np.float32)


@dataclass(frozen=True)
class Complement(Fitted):
    """The probability of the second of two classes, to the probabilities of both."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, 2)` of `(n, 1)`."""
        return np.hstack([1 - x, x])


@dataclass(frozen=True)
class EnsembleModel(Fitted):
    """Members by name, how they are blended, and what their blend goes through at its end."""

    names: tuple[str, ...]
    blend: Blend
    adjustment: Fitted | None
    clip: tuple[float, float] | None

    def combine(self, task: Any, members: Sequence[Any]) -> Any:
        """Return predictions as they go out, of the members' predictions in the order of `names`."""
        adjusted = task.adjusted(task.blended(self.blend, members), self.adjustment)
        return task.finished(adjusted, self.clip)


def stack_inputs(members: np.ndarray, *, is_value: bool) -> np.ndarray:
    """Return `(n, m * k)` logits, or the values themselves."""
    flat = np.moveaxis(members, 0, 1).reshape(members.shape[1], -1).astype(np.float64)
    if is_value:
        return flat
    p = flat.clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def are_distributions(p: np.ndarray) -> bool:
    """Tell whether `(..., k)` are probabilities of several classes: rows that sum to 1."""
    if p.shape[-1] == 1:
        return False
    sums = np.einsum("...k->...", p)  # six times faster than sum over so short an axis
    return bool(np.abs(sums - 1).max() <= _ROUNDING)
