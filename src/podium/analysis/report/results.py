"""What the report is made of: the scored rows, with targets and predictions in one order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from podium.contracts.dataset import Dataset
from podium.fitting.scoring import Scoring
from podium.metrics import Metric


@dataclass(frozen=True)
class Results:
    """`n` scored rows in the order of their ids; every prediction is out of fold and as it would be submitted.

    `y` are the rows' targets, `p` the ensemble's predictions and `members` the bank's, the best first. `folds` has the
    columns `position` (in that order), `repeat` and `fold`.
    """

    scoring: Scoring
    data: Dataset
    ids: np.ndarray
    y: Any
    p: Any
    members: Mapping[str, Any]
    weight: np.ndarray | None
    folds: pd.DataFrame

    @property
    def metric(self) -> Metric:
        """Return the official metric."""
        return self.scoring.official

    def scorer(self, p: Any) -> Callable[[np.ndarray], float]:
        """Return the function from positions of rows to the official score of predictions `p` of all rows."""
        return self.scoring.task.scorer(self.metric, self.y, p, self.weight)


@dataclass(frozen=True)
class Groups:
    """The groups that rows are coloured by: their names, and each row's `code (n,)`; `wrong` are positions of rows."""

    names: Sequence[str]
    code: np.ndarray
    wrong: np.ndarray
