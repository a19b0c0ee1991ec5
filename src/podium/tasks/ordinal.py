"""Grades: whole numbers of which near ones are nearly right. Predicted as values `y`, and rounded at learnt cuts."""

from collections.abc import Callable
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from podium import tasks
from podium.contracts.submission import CellSpec
from podium.contracts.table import Table
from podium.contracts.tables import VALUES
from podium.errors import PodiumError, preview
from podium.tasks.columns import numbers

_SWEEPS = 3
_CANDIDATES = 30  # places between its neighbours that a cut is tried at, in each sweep


class Task(tasks.Task):
    """A column of grades from `low` to `high`.

    Heads see a regression. The ensemble then learns where one grade ends and the next begins, by the competition's
    metric and on the other folds, and bends its predictions so that rounding them does the same.
    """

    kind: ClassVar[str] = "regression"
    schema: ClassVar[Table] = VALUES

    target: str  # a column of the competition's labels
    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.high <= self.low:
            raise ValueError("`high` must be above `low`")
        return self

    def encode(self, rows: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
        """Return `y`, NaN where unknown; there are no labels."""
        y = numbers(rows, self.target, where)
        wrong = y.notna() & ~y.isin(range(self.low, self.high + 1))
        if wrong.any():
            ids = preview(rows["row_id"][wrong])
            raise PodiumError(f"{where}: column {self.target!r} must hold {self.low} to {self.high}: row_id {ids}")
        return pd.DataFrame({"y": y}), []

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n,)` float64."""
        return rows["y"].to_numpy(np.float64)

    def columns(self, labels: list[str]) -> list[str]:  # noqa: ARG002  # one column, and no labels
        """Return `["y"]`."""
        return ["y"]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n,)` float64: the nearest grade."""
        return np.asarray(np.rint(p[:, 0]).clip(self.low, self.high), np.float64)

    def adjustment(self, p: np.ndarray, y: np.ndarray, loss: tasks.LossFn) -> Callable[[np.ndarray], np.ndarray]:
        """Return the bend that puts the best cuts between grades where rounding has its own.

        One cut after the other is moved to where the loss is least, starting from the middles between grades.
        """
        middles = np.arange(self.low, self.high) + 0.5

        def bend(cuts: np.ndarray, p: np.ndarray) -> np.ndarray:
            known = np.concatenate([[cuts[0] - 1], cuts, [cuts[-1] + 1]])
            to = np.concatenate([[middles[0] - 1], middles, [middles[-1] + 1]])
            return np.asarray(np.interp(p, known, to), np.float32)

        cuts, least = middles.astype(np.float64), loss(y, bend(middles, p))
        for _ in range(_SWEEPS):
            for place in range(len(cuts)):
                below = cuts[place - 1] if place else float(p.min()) - 1
                above = cuts[place + 1] if place + 1 < len(cuts) else float(p.max()) + 1
                for cut in np.linspace(below, above, _CANDIDATES + 2)[1:-1]:
                    tried = np.concatenate([cuts[:place], [cut], cuts[place + 1 :]])
                    found = loss(y, bend(tried, p))
                    if found < least:
                        cuts, least = tried, found
        return lambda new: bend(cuts, new)

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(1,)`: the mean, which rounds to a grade that is near to most."""
        return np.atleast_1d(np.average(y, weights=weight)).astype(np.float32)

    def submission(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:  # noqa: ARG002
        """Return `row_id` and the grades."""
        if len(columns) != 1:
            raise PodiumError(f"the sample submission has columns {', '.join(columns)}; an ordinal task fills one")
        return predictions[["row_id"]].assign(**{columns[0]: self.decide(predictions[["y"]].to_numpy()).astype(int)})

    def cell_specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:  # noqa: ARG002  # no labels
        """Return whole numbers from `low` to `high`."""
        return dict.fromkeys(columns, CellSpec(low=self.low, high=self.high, whole=True))

    def read_submission(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:  # noqa: ARG002  # no labels
        """Return `(n, 1)` grades."""
        return submission.iloc[:, 1:].to_numpy(np.float32)
