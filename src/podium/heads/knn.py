"""The nearest training rows' targets, the nearer the heavier."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.heads import Predict, Range, Training
from podium.heads.shared import reduced

_AT_ONCE = 1024  # rows to predict: with 100,000 training rows, 400 MB of similarities


class Head(heads.Head):
    """By cosine similarity of standardised features or their principal components."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"neighbours": Range(5, 200), "temperature": Range(0.02, 0.5)}

    neighbours: int = Field(30, ge=1)
    temperature: float = Field(0.1, gt=0)  # a neighbour's weight is exp(similarity / temperature)
    pca: int | None = Field(128, ge=1)
    prior: float = Field(1.0, ge=0)  # rows' worth of the mean target, so that no probability is 0

    def fit(self, data: Training) -> Predict:
        """Keep the training rows; nothing is random."""
        scale = reduced(data.x, self.pca)
        known = _directions(scale(data.x))
        is_class = data.task == "multiclass"
        targets = np.eye(data.n_outputs)[data.y] if is_class else data.y.reshape(len(data.y), -1).astype(np.float64)
        mean = np.average(targets, axis=0, weights=data.weight)
        n_near = min(self.neighbours, len(known))

        def some(new: np.ndarray) -> np.ndarray:
            similarity = _directions(scale(new)) @ known.T
            near = np.argpartition(-similarity, n_near - 1, axis=1)[:, :n_near]
            closeness = np.take_along_axis(similarity, near, axis=1)
            # Relative to the nearest: far rows are as sure of their neighbours as near ones.
            weight = np.exp((closeness - closeness.max(axis=1, keepdims=True)) / self.temperature) * data.weight[near]
            total = (weight[:, :, None] * targets[near]).sum(axis=1) + self.prior * mean
            return np.asarray(total / (weight.sum(axis=1, keepdims=True) + self.prior), dtype=np.float32)

        return lambda new: np.concatenate([some(new[i : i + _AT_ONCE]) for i in range(0, len(new), _AT_ONCE)])


def _directions(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))
