"""Grades: whole numbers of which near ones are nearly right. Predicted as values `y`, and rounded at learnt cuts."""

from typing import ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from podium.contracts.models import Fitted
from podium.contracts.steps import Interpolate
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError, preview
from podium.tasks import Encoded, LossFn
from podium.tasks.columns import numbers
from podium.tasks.vector import ValueTask

_SWEEPS = 3
_CANDIDATES = 30  # places between its neighbours that a cut is tried at, in each sweep


class Task(ValueTask):
    """A column of grades from `low` to `high`.

    Heads see a regression. The ensemble then learns where one grade ends and the next begins, by the competition's
    metric and on the other folds, and bends its predictions so that rounding them does the same.
    """

    kind: ClassVar[str] = "regression"

    target: str
    """A column of the competition's labels."""
    low: int
    """The lowest grade."""
    high: int
    """The highest grade."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.high <= self.low:
            raise ValueError("`high` must be above `low`")
        return self

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return `y`, NaN where unknown; there are no labels."""
        y = numbers(rows, self.target, where)
        wrong = y.notna() & ~y.isin(range(self.low, self.high + 1))
        if wrong.any():
            ids = preview(rows["row_id"][wrong])
            raise PodiumError(f"{where}: column {self.target!r} must hold {self.low} to {self.high}: row_id {ids}")
        return Encoded(pd.DataFrame({"y": y}), [])

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n,)` float64."""
        return rows["y"].to_numpy(np.float64)

    def columns(self, labels: list[str]) -> list[str]:  # noqa: ARG002  # one column, and no labels
        """Return `["y"]`."""
        return ["y"]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n,)` float64: the nearest grade."""
        return np.asarray(np.rint(p[:, 0]).clip(self.low, self.high), np.float64)

    def learn_adjustment(self, p: np.ndarray, y: np.ndarray, loss: LossFn) -> Fitted:
        """Return the map that puts the best cuts between grades where rounding has its own.

        One cut after the other is moved to where the loss is least, starting from the middles between grades.
        """
        middles = np.arange(self.low, self.high) + 0.5
        rounded_at = np.concatenate([[middles[0] - 1], middles, [middles[-1] + 1]])

        def cut_at(cuts: np.ndarray) -> Interpolate:
            return Interpolate(np.concatenate([[cuts[0] - 1], cuts, [cuts[-1] + 1]]), rounded_at)

        cuts, least = middles.astype(np.float64), loss(y, cut_at(middles).predict(p))
        for _ in range(_SWEEPS):
            for index in range(len(cuts)):
                below = cuts[index - 1] if index else float(p.min()) - 1
                above = cuts[index + 1] if index + 1 < len(cuts) else float(p.max()) + 1
                for cut in np.linspace(below, above, _CANDIDATES + 2)[1:-1]:
                    tried = np.concatenate([cuts[:index], [cut], cuts[index + 1 :]])
                    found = loss(y, cut_at(tried).predict(p))
                    if found < least:
                        cuts, least = tried, found
        return cut_at(cuts)

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(1,)`: the mean, which rounds to a grade that is near to most."""
        return np.atleast_1d(np.average(y, weights=weight)).astype(np.float32)

    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:  # noqa: ARG002
        """Return `row_id` and the grades."""
        if len(columns) != 1:
            raise PodiumError(f"the sample submission has columns {', '.join(columns)}; an ordinal task fills one")
        return predictions[["row_id"]].assign(**{columns[0]: self.decide(predictions[["y"]].to_numpy()).astype(int)})

    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:  # noqa: ARG002  # no labels
        """Return whole numbers from `low` to `high`."""
        return dict.fromkeys(columns, CellSpec(low=self.low, high=self.high, whole=True))

    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:  # noqa: ARG002  # no labels
        """Return `(n, 1)` grades."""
        return submission.iloc[:, 1:].to_numpy(np.float32)
