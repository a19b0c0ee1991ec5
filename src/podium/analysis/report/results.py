"""What the report is made of: the scored rows, with labels and predictions in one order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podium.metrics import Metric
from podium.tasks import Task


@dataclass(frozen=True)
class Results:
    """`n` scored rows in the order of their ids; every prediction is out of fold and as it would be submitted.

    `y` is coded by the task, `p` `(n, k)` is the ensemble's and `members` are the bank's, the best first.
    `folds` has the columns `position` (in that order), `repeat` and `fold`.
    """

    task: Task
    labels: list[str]
    metric: Metric
    ids: np.ndarray
    y: np.ndarray
    p: np.ndarray
    members: Mapping[str, np.ndarray]
    folds: pd.DataFrame

    @property
    def exclusive(self) -> bool:
        """Return whether a row has exactly one label."""
        return self.task.kind in {"binary", "multiclass"}

    @property
    def decided(self) -> np.ndarray:
        """Return the ensemble's labels, coded as `y`."""
        return self.task.decide(self.p)

    def score(self, rows: np.ndarray, p: np.ndarray) -> float:
        """Return the official score of predictions for the rows at these positions."""
        return self.metric.score(self.y[rows], p, self.task)

    def shown_labels(self, y: np.ndarray) -> list[str]:
        """Return targets, coded as `y`, as a person writes them."""
        if self.task.kind == "regression":
            return [f"{value:g}" for value in y.reshape(len(y), -1)[:, 0]]
        if self.exclusive:
            return [self.labels[code] for code in y.astype(np.int64)]
        return [" ".join(name for name, on in zip(self.labels, row, strict=True) if on) or "(none)" for row in y]

    def shown_predictions(self) -> list[str]:
        """Return the ensemble's labels with the probability of the likeliest, or its value."""
        if self.task.kind == "regression":
            return [f"{value:.4g}" for value in self.p[:, 0]]
        chosen = self.shown_labels(self.decided)
        likely = np.maximum(self.p, 1 - self.p).max(axis=1) if self.p.shape[1] == 1 else self.p.max(axis=1)
        return [f"{name} {share:.0%}" for name, share in zip(chosen, likely, strict=True)]
