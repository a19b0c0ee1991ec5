"""What a row of predictions means. One module per task; each defines `class Task(podium.tasks.Task)`."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pandas as pd

from podium.contracts.submission import CellSpec
from podium.contracts.table import Table
from podium.frozen import Frozen

LossFn = Callable[[np.ndarray, np.ndarray], float]  # of y and p, lower is better


class Task(Frozen):
    """Targets in, predictions out.

    `y` is `(n,)` (binary 0/1, multiclass class index, regression value) or `(n, n_labels)` (multilabel),
    float64 or int64; `p` is `(n, k)` float32: probabilities in [0, 1] (`k = 1` for binary) or values.
    """

    kind: ClassVar[str]  # "binary", "multiclass", "multilabel" or "regression": what heads ask for
    schema: ClassVar[Table]  # type: ignore[assignment]  # of the predictions file; hides pydantic's deprecated method

    def label_columns(self) -> tuple[str, ...]:
        """Return the competition's columns that hold what is to be predicted."""
        target = getattr(self, "target", None)
        return (*([target] if target else []), *getattr(self, "targets_of", ()))

    def encode(self, rows: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
        """Return the target columns (`y`, or `y_0`, ...; NaN where unknown) and the labels, in order."""
        raise NotImplementedError

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `y` of rows whose targets are all known."""
        raise NotImplementedError

    def columns(self, labels: list[str]) -> list[str]:
        """Return the names of the prediction columns."""
        raise NotImplementedError

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return the labels that probabilities stand for: same shape and coding as `y`."""
        raise NotImplementedError

    def adjustment(self, p: np.ndarray, y: np.ndarray, loss: LossFn) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG002
        """Return what the ensemble's predictions `(n, k)` go through at its end, learnt by `loss`: here, nothing."""
        return lambda new: new

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(k,)`: the best constant prediction, for a row whose image cannot be read."""
        raise NotImplementedError

    def submission(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return one line per row of `predictions`, in its order, with the sample's `columns` after the id."""
        raise NotImplementedError

    def cell_specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:
        """Return what a submission's cells may hold, for each of the sample's `columns` after the id."""
        raise NotImplementedError

    def read_submission(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
        """Return `(n, k)` float32 of a submission's text cells, the id's column first: the inverse of `submission`.

        Labels become probabilities that stand for them: 1 for the label named, less for those named after it.
        """
        raise NotImplementedError
