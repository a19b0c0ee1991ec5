"""A number: column `y`."""

from typing import ClassVar

import numpy as np
import pandas as pd

from podium.contracts.submission import CellSpec
from podium.errors import PodiumError
from podium.tasks import Encoded
from podium.tasks.columns import numbers
from podium.tasks.vector import ValueTask


class Task(ValueTask):
    """A column of numbers."""

    kind: ClassVar[str] = "regression"

    target: str
    """A column of the competition's labels."""

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return `y`, NaN where unknown; there are no labels."""
        return Encoded(pd.DataFrame({"y": numbers(rows, self.target, where)}), [])

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n,)` float64."""
        return rows["y"].to_numpy(np.float64)

    def columns(self, labels: list[str]) -> list[str]:  # noqa: ARG002  # one column, and no labels
        """Return `["y"]`."""
        return ["y"]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n,)`: the values themselves."""
        return p[:, 0]

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(1,)`: the mean, which has the least squared error of all constants."""
        return np.atleast_1d(np.average(y, weights=weight)).astype(np.float32)

    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:  # noqa: ARG002
        """Return `row_id` and the values."""
        if len(columns) != 1:
            raise PodiumError(f"the sample submission has columns {', '.join(columns)}; a regression task fills one")
        return predictions[["row_id"]].assign(**{columns[0]: predictions["y"]})

    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:  # noqa: ARG002  # no labels
        """Return any finite number."""
        return dict.fromkeys(columns, CellSpec())

    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:  # noqa: ARG002  # no labels
        """Return `(n, 1)` values."""
        return submission.iloc[:, 1:].to_numpy(np.float32)
