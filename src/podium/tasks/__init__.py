"""What is asked of a row, and what a prediction of it means. One module per task; each defines `class Task`."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium.contracts.dataset import Dataset
from podium.contracts.models import Fitted
from podium.contracts.predictions import Predictions
from podium.contracts.submission import CellSpec
from podium.metrics import Metric
from podium.settings import Settings

LossFn = Callable[[Any, Any], float]  # of targets and predictions, lower is better


@dataclass(frozen=True)
class Encoded:
    """A competition's targets as podium keeps them.

    `columns` has the rows' index and a column `y`, or `y_0`, `y_1`, ...: NaN where the target is unknown. Where targets
    are no numbers, `y` is what folds are stratified by, and `files` writes the targets of some rows to a folder.
    """

    columns: pd.DataFrame
    labels: list[str]
    files: Callable[[Iterable[str], Path], None] | None = None


class Task(Settings):
    """Targets in, submissions out: everything that depends on the kind of answer that a competition wants.

    `y` stands for the targets of some rows and can be indexed by positions; predictions are a type of
    `podium.contracts.predictions`, one row each.
    """

    kind: ClassVar[str]  # what heads, metrics and messages call it: "binary", "multiclass", ...
    predictions: ClassVar[type[Predictions]]
    is_directed: ClassVar[bool] = False  # a mirrored or turned picture has another answer, or none
    sample_cell: ClassVar[Any] = 0.5  # what a sample submission made here holds

    def label_columns(self) -> tuple[str, ...]:
        """Return the competition's columns that hold what is to be predicted."""
        target = getattr(self, "target", None)
        return (*([target] if target else []), *getattr(self, "targets_of", ()))

    def read_files(self, rows: pd.DataFrame, images: pd.DataFrame, raw: Path, where: str) -> pd.DataFrame:  # noqa: ARG002
        """Return the layout's `rows`, with what files of their own say of targets; raises PodiumError as `encode` does.

        `images` has row_id and source of each row's images, and `raw` is the folder of the competition's files.
        """
        return rows

    @abstractmethod
    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return the targets of the competition's own table, which is text; raises PodiumError opening with `where`."""

    def require_classes(self, rows: pd.DataFrame, where: str) -> None:
        """Raise PodiumError where the train rows of the Rows table leave nothing to learn."""

    @abstractmethod
    def truth(self, data: Dataset, row_ids: Iterable[str]) -> Any:
        """Return the targets of these rows, in their order."""

    @abstractmethod
    def write_solution(self, encoded: Encoded, rows: pd.DataFrame, folder: Path) -> None:
        """Write the known targets of test rows, which no stage but score reads; `rows` has them in its columns."""

    @abstractmethod
    def read_solution(self, folder: Path) -> tuple[list[str], Any]:
        """Return the ids of the test rows whose targets are known, and these targets; none where all are hidden."""

    @abstractmethod
    def score(self, metric: Metric, y: Any, p: Any, weight: np.ndarray | None = None) -> float:
        """Return a metric's score of predictions for the rows of `y`."""

    def scorer(self, metric: Metric, y: Any, p: Any, weight: np.ndarray | None = None) -> Callable[[np.ndarray], float]:
        """Return the function from positions of rows to their score, for standard errors and paired differences."""
        return lambda rows: self.score(metric, y[rows], p.take(rows), None if weight is None else weight[rows])

    def differing(self, y: Any, other: Any) -> np.ndarray:
        """Return `(n,)` bool: the rows whose targets are not the same in both."""
        return np.asarray((y != other).reshape(len(y), -1).any(axis=1))

    def finished(self, p: Any, clip: tuple[float, float] | None) -> Any:  # noqa: ARG002  # not every answer has a range
        """Return predictions as they go out of the house, clipped where they are numbers."""
        return p

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and greatest number that a prediction may hold."""
        return -math.inf, math.inf

    @property
    def smooth_metric(self) -> Metric | None:
        """Return a metric without steps, by which a search goes on where the official one sees no difference."""
        return None

    @abstractmethod
    def stacked(self, members: Sequence[Any]) -> np.ndarray:
        """Return what ensembles are fitted on, `(m, n, k)` float32, of members with the same rows in the same order."""

    def stacked_truth(self, y: Any, members: Sequence[Any]) -> Any:  # noqa: ARG002  # where the columns differ by row
        """Return what `score_stacked` takes for `y`: targets, with what tells the columns of `stacked` if need be."""
        return y

    @abstractmethod
    def score_stacked(self, metric: Metric, y: Any, p: np.ndarray, weight: np.ndarray | None = None) -> float:
        """Return the score of a blend `(n, k)` of what `stacked` returns."""

    @abstractmethod
    def blended(self, blend: Fitted, members: Sequence[Any]) -> Any:
        """Return the members' predictions combined by a fitted ensemble."""

    def adjustment(self, p: Any, y: Any, loss: LossFn) -> Fitted | None:  # noqa: ARG002
        """Return what the ensemble's predictions go through at its end, learnt by `loss`; None: nothing."""
        return None

    def adjusted(self, p: Any, adjustment: Fitted | None) -> Any:
        """Return predictions after `adjustment`."""
        assert adjustment is None
        return p

    @abstractmethod
    def fallback(self, data: Dataset, row_ids: Iterable[str]) -> Any:
        """Return predictions for test rows without a readable image: the best constant ones."""

    def line_ids(self, row_ids: Iterable[str]) -> list[str]:
        """Return the ids of the submission's lines that are of these rows."""
        return list(row_ids)

    @abstractmethod
    def submission(self, p: Any, data: Dataset, columns: list[str]) -> pd.DataFrame:
        """Return the submission of these rows, in their order: row_id, then the sample's `columns`."""

    @abstractmethod
    def cell_specs(self, data: Dataset, columns: list[str]) -> dict[str, CellSpec]:
        """Return what a submission's cells may hold, for each of the sample's `columns` after the id."""

    @abstractmethod
    def read_submission(self, submission: pd.DataFrame, data: Dataset) -> Any:
        """Return the predictions that a submission's text cells stand for: the inverse of `submission`."""

    @abstractmethod
    def read_import(self, path: Path, data: Dataset) -> tuple[Any, np.ndarray | None]:
        """Return predictions made elsewhere, ids unchecked and split unset, and each row's fold if the file has it."""
