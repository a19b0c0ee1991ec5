"""Features -> predictions. One module per head; each defines `class Head(podium.heads.Head)`.

A module imports its library inside `fit`, so that checking params.yaml loads none of them.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from podium.contracts.models import Fitted
from podium.settings import Settings


@dataclass(frozen=True)
class Training:
    """What a model is fitted on: the training rows of one fold, an image's views as rows of their own."""

    x: np.ndarray  # (n, d) float32 features
    y: np.ndarray  # (n,) or (n, n_labels), as the task codes it; every class occurs
    task: str  # binary, multiclass, multilabel or regression
    n_outputs: int  # k, the number of prediction columns
    group: np.ndarray  # (n,) int codes; rows of one group stay together in an inner split
    weight: np.ndarray  # (n,) float64, positive
    seed: int  # the only source of randomness
    source: np.ndarray | None = None  # (m, d) float32: the features of all folds' rows,
    index: np.ndarray | None = None  # (n,) int64: and which of them `x` was
    width: int | None = None  # columns of each image where a row's are packed: contracts/bags.py

    def of(self, rows: np.ndarray) -> Self:
        """Return the chosen rows, by mask or position."""
        index = None if self.index is None else self.index[rows]
        parts = {name: getattr(self, name)[rows] for name in ("x", "y", "group", "weight")}
        return replace(self, **parts, index=index)


@dataclass(frozen=True)
class Range:
    """Where tuning looks for a number: among whole numbers between whole bounds; evenly, or by its logarithm."""

    low: float
    high: float
    log: bool = True


class Head(Settings):
    """A classifier or regressor with its settings as fields."""

    tasks: ClassVar[tuple[str, ...]]  # the kinds of task it handles
    space: ClassVar[dict[str, Range]] = {}  # the fields that are worth tuning
    takes: ClassVar[Literal["mean", "images"]] = "mean"  # of a row's images, or each of them
    is_linear: ClassVar[bool] = False  # in its logits, or values: then class activation maps are exact

    seeds: int = Field(1, ge=1)
    """Models that differ in their seed only and are averaged."""
    views: Literal["rows", "mean"] = "rows"
    """An image's views are rows of their own, or one row of their mean features."""
    refit: Literal["folds", "full"] = "folds"
    """Test rows are predicted by the mean of the folds' models, or by one model of all rows."""

    def fit(self, data: Training) -> Fitted:
        """Fit everything (scaler, PCA, calibration, early stopping) on the given rows only.

        Returns a model that predicts `(m, k)` probabilities or values from features `(m, d)` float32, and that can be
        saved: see contracts/steps.py.
        """
        raise NotImplementedError
