"""The nearest training rows' targets, the nearer the heavier."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Neighbours
from podium.heads import Range, Training
from podium.heads.shared import reduce, training_rows


class Head(heads.Head):
    """By cosine similarity of standardised features or their principal components."""

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {"neighbours": Range(5, 200), "temperature": Range(0.02, 0.5)}

    neighbours: int = Field(30, ge=1)
    """How many training rows vote."""
    temperature: float = Field(0.1, gt=0)
    """A neighbour's weight is exp(similarity / temperature)."""
    pca: int | None = Field(128, ge=1)
    """Principal components to compare by; null: all features."""
    prior: float = Field(1.0, ge=0)
    """Rows' worth of the mean target that is added, so that no probability is 0."""

    def fit(self, data: Training) -> Fitted:
        """Keep the training rows; nothing is random."""
        scale = reduce(data.x, self.pca)
        is_class = data.task == "multiclass"
        targets = np.eye(data.n_outputs)[data.y] if is_class else data.y.reshape(len(data.y), -1).astype(np.float64)
        neighbours = Neighbours(
            rows=training_rows(data, scale, scale.predict(data.x)),
            targets=targets,
            mean=np.average(targets, axis=0, weights=data.weight),
            weight=data.weight,
            n_near=min(self.neighbours, len(data.x)),
            temperature=self.temperature,
            prior=self.prior,
        )
        return Chain((scale, neighbours))
