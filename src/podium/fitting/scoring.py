"""How predictions are scored: as they go out, clipped, by the competition's metrics and the rows' weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from podium import metrics
from podium.ensembles import EnsembleObjective
from podium.metrics import Metric
from podium.settings import Settings
from podium.tasks import Task

_DECIMALS = 6


class Submission(Settings):
    """What is done to predictions on the way out; out-of-fold rows get the same before they are scored."""

    clip: tuple[float, float] | None = None
    """The least and the greatest number that goes out: log loss punishes a sure mistake without bound."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.clip is not None and self.clip[0] >= self.clip[1]:
            raise ValueError(
                f"`clip`: the least number, {self.clip[0]:g}, must be below the greatest, {self.clip[1]:g}"
            )
        return self


@dataclass(frozen=True)
class Scoring:
    """A competition's metrics, the official one first, of predictions as they go out. The only place that clips."""

    task: Task
    metrics: tuple[Metric, ...]
    submission: Submission

    @property
    def official(self) -> Metric:
        """Return the metric that the competition ranks by."""
        return self.metrics[0]

    def finished(self, p: Any) -> Any:
        """Return predictions as they go out."""
        return self.task.finished(p, self.submission.clip)

    def scores(self, y: Any, p: Any, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return each metric's score of predictions for the rows of `y`."""
        p = self.finished(p)
        return {metric.name: round(self.task.score(metric, y, p, weight), _DECIMALS) for metric in self.metrics}

    def loss(self, y: Any, p: Any, weight: np.ndarray | None = None) -> float:
        """Return the official score, signed so that lower is better."""
        return self.official.sign * self.task.score(self.official, y, self.finished(p), weight)

    def standard_errors(self, y: Any, p: Any, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return the standard error of each metric's score, by jackknife over rows."""
        p = self.finished(p)
        return {
            metric.name: round(metrics.jackknife(self.task.scorer(metric, y, p, weight), len(y)), _DECIMALS)
            for metric in self.metrics
        }

    def below_constant(self, bank: pd.DataFrame) -> list[str]:
        """Return a warning for each member of the bank table that the best constant prediction beats."""
        name = self.official.name
        scores, constant = bank[name].to_numpy(np.float64), bank["constant"].to_numpy(np.float64)
        return [
            f"warning: {member}: {name} {score:.4f} is worse than a constant prediction's {same:.4f}"
            for member, score, same in zip(bank["member"], scores, constant, strict=True)
            if self.official.sign * (score - same) > 0
        ]

    def objective(self, weight: np.ndarray | None = None) -> EnsembleObjective:
        """Return the official metric as an ensemble's objective, of rows with these weights."""
        smooth = self.task.smooth_metric if self.official.takes == "labels" else None
        return EnsembleObjective(
            lambda y, p, w: self.official.sign * self.task.score_stacked(self.official, y, p, w),
            limits=self.submission.clip or self.task.limits,
            metric=self.official.name,
            weight=weight,
            ties=None if smooth is None else lambda y, p, w: smooth.sign * self.task.score_stacked(smooth, y, p, w),
        )
