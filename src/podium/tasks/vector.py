"""Tasks whose answer is a vector of numbers a row: classes, labels, values. What they share."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium import tasks
from podium.contracts import imports
from podium.contracts.dataset import Dataset
from podium.contracts.models import Fitted
from podium.contracts.scores import PROBABILITIES, VALUES, Scores, stacked
from podium.contracts.steps import Chain, Sigmoid
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError, preview
from podium.metrics import METRICS, Metric
from podium.storage import csv_table
from podium.tasks import Encoded, LossFn
from podium.tasks.columns import SOLUTION, solution


class VectorTask(tasks.Task):
    """Targets `y`: `(n,)` binary 0/1, class index or value, or `(n, n_labels)` 0/1; predictions `(n, k)` float32.

    `k` is 1 for binary tasks and values. Heads on features can learn these tasks, and no others.
    """

    predictions: ClassVar[type[Scores]] = Scores
    is_value: ClassVar[bool] = False  # predictions are values, not probabilities
    is_exclusive: ClassVar[bool] = False  # a row has exactly one class

    @abstractmethod
    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `y` of rows of the Rows table whose targets are all known."""

    @abstractmethod
    def columns(self, labels: list[str]) -> list[str]:
        """Return the names of the prediction columns."""

    @abstractmethod
    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return the labels that probabilities `(n, k)` stand for: same shape and coding as `y`."""

    @abstractmethod
    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(k,)`: the best constant prediction."""

    @abstractmethod
    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return the submission of a predictions table: row_id, then the sample's `columns`."""

    @abstractmethod
    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:
        """Return what a submission's cells may hold, for each of the sample's `columns` after the id."""

    @abstractmethod
    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
        """Return `(n, k)` float32 of a submission's text cells, the id's column first: the inverse of `cells`.

        Labels become probabilities that stand for them: 1 for the label named, less for those named after it.
        """

    @abstractmethod
    def activation(self) -> Fitted:
        """Return the step from a network's outputs to predictions."""

    @property
    def smooth_metric(self) -> Metric:
        """Return a metric without steps, for choices that a network or a selection makes on its way."""
        return METRICS["rmse" if self.is_value else "log_loss"]

    def truth(self, data: Dataset, row_ids: Iterable[str]) -> np.ndarray:
        """See Task."""
        return self.targets(data.of(row_ids))

    def write_solution(self, encoded: Encoded, rows: pd.DataFrame, folder: Path) -> None:
        """See Task."""
        known = rows[["row_id", *encoded.columns]].dropna().sort_values("row_id")
        csv_table.write(known, folder / SOLUTION)

    def read_solution(self, folder: Path) -> tuple[list[str], np.ndarray]:
        """See Task."""
        table = solution(folder)
        numbers = {column: "float64" for column in table.columns if column != "row_id"}
        return list(table["row_id"]), self.targets(table.astype(numbers))

    def score(self, metric: Metric, y: np.ndarray, p: Scores, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return metric.score(y, p.p, self, weight)

    def scorer(
        self, metric: Metric, y: np.ndarray, p: Scores, weight: np.ndarray | None = None
    ) -> Callable[[np.ndarray], float]:
        """See Task."""
        return lambda rows: metric.score(y[rows], p.p[rows], self, None if weight is None else weight[rows])

    def finished(self, p: Scores, clip: tuple[float, float] | None) -> Scores:
        """See Task."""
        return p if clip is None else p.with_p(p.p.clip(*clip))

    def stacked(self, members: Sequence[Scores]) -> np.ndarray:
        """See Task."""
        return stacked(members)

    @property
    def limits(self) -> tuple[float, float]:
        """See Task."""
        return super().limits if self.is_value else (0.0, 1.0)

    def score_stacked(self, metric: Metric, y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return metric.score(y, p, self, weight)

    def blended(self, blend: Fitted, members: Sequence[Scores]) -> Scores:
        """See Task."""
        return members[0].with_p(blend.predict(stacked(members)))

    def adjustment(self, p: Scores, y: np.ndarray, loss: LossFn) -> Fitted | None:
        """See Task."""
        return self.learn_adjustment(p.p, y, lambda truth, q: loss(truth, p.with_p(q)))

    def learn_adjustment(self, p: np.ndarray, y: np.ndarray, loss: LossFn) -> Fitted | None:  # noqa: ARG002
        """Return the map of predictions `(n, k)` that has the least loss; None: nothing is adjusted."""
        return None

    def adjusted(self, p: Scores, adjustment: Fitted | None) -> Scores:
        """See Task."""
        return p if adjustment is None else p.with_p(adjustment.predict(p.p))

    def fallback(self, data: Dataset, row_ids: Iterable[str]) -> Scores:
        """See Task; the prior of all rows with a target."""
        ids = np.asarray(list(row_ids), dtype=object)
        trained = data.rows[(data.rows["split"] != "test") & (data.rows["weight"] > 0)]
        prior = self.prior(self.targets(trained), trained["weight"].to_numpy())
        columns = tuple(self.columns(data.labels))
        p = np.tile(prior.astype(np.float32), (len(ids), 1))
        return Scores(ids, np.full(len(ids), "test", object), p, columns, tuple(data.labels))

    def submission(self, p: Scores, data: Dataset, columns: list[str]) -> pd.DataFrame:
        """See Task."""
        return self.cells(p.table(), data.labels, columns)

    def cell_specs(self, data: Dataset, columns: list[str]) -> dict[str, CellSpec]:
        """See Task."""
        return self.specs(data.labels, columns)

    def read_submission(self, submission: pd.DataFrame, data: Dataset) -> Scores:
        """See Task."""
        p = self.read_cells(submission, data.labels)
        ids = submission.iloc[:, 0].to_numpy(object)
        columns = tuple(self.columns(data.labels))
        return Scores(ids, np.full(len(ids), "test", object), p, columns, tuple(data.labels))

    def read_import(self, path: Path, data: Dataset) -> tuple[Scores, np.ndarray | None]:
        """See Task; the columns are called p_0, p_1, ... or by the labels: see contracts.imports."""
        labels = data.labels
        columns = self.columns(labels)
        table = imports.read_predictions(path, columns, labels)
        schema = VALUES if columns[0].startswith("y") else PROBABILITIES
        checked = schema.check(table[["row_id", *columns]].assign(split="train"), str(path))
        found = Scores.of_table(checked, labels)
        # Folds are names: which rows are together is what counts.
        return found, np.array(list(map(str, table["fold"])), object) if "fold" in table.columns else None

    # What a trained network needs of a task; these two run where Keras is loaded.

    @abstractmethod
    def network_loss(self, label_smoothing: float, focal: float | None = None) -> Any:
        """Return the Keras loss of logits, or of standardised values; `focal` is the exponent of the focal loss."""

    @abstractmethod
    def network_metric(self) -> Any:
        """Return the Keras metric to watch while it trains."""

    def network_targets(self, y: np.ndarray, n_labels: int) -> np.ndarray:  # noqa: ARG002  # classes need it
        """Return `(n, k)` float32 targets as a network's loss takes them."""
        return y.reshape(len(y), -1).astype(np.float32)

    def strata(self, y: np.ndarray) -> np.ndarray:
        """Return `(n,)` int64 codes that balanced sampling draws equally often; 0 where there are no classes."""
        return np.zeros(len(y), np.int64)

    def require_all(self, y: np.ndarray, labels: Sequence[str], where: str) -> None:
        """Raise PodiumError where a fold's training rows lack something that could then never be predicted."""

    def class_weights(
        self,
        y: np.ndarray,
        wanted: str | Mapping[str, float] | None,
        labels: Sequence[str],  # noqa: ARG002
        where: str,  # noqa: ARG002
    ) -> np.ndarray:
        """Return `(n,)` float64 weights of rows by their class; 1 where a task has no classes."""
        assert wanted is None
        return np.ones(len(y))


class ValueTask(VectorTask):
    """A vector task whose predictions are values: regression, and grades that are learnt as values."""

    is_value: ClassVar[bool] = True

    def activation(self) -> Fitted:
        """See VectorTask; a value is one already."""
        return Chain(())

    def network_loss(self, label_smoothing: float, focal: float | None = None) -> Any:  # noqa: ARG002  # no labels
        """See VectorTask."""
        import keras

        return keras.losses.MeanSquaredError()

    def network_metric(self) -> Any:
        """See VectorTask."""
        import keras

        return keras.metrics.MeanAbsoluteError("mae")


class ProbabilityTask(VectorTask):
    """A vector task whose predictions are probabilities, each by itself: binary and multilabel."""

    def network_loss(self, label_smoothing: float, focal: float | None = None) -> Any:
        """See VectorTask."""
        import keras

        if focal is not None:
            return keras.losses.BinaryFocalCrossentropy(gamma=focal, from_logits=True, label_smoothing=label_smoothing)
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def network_metric(self) -> Any:
        """See VectorTask."""
        import keras

        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)

    def activation(self) -> Fitted:
        """See VectorTask."""
        return Sigmoid()


class ExclusiveTask(ProbabilityTask):
    """A task of which each row has exactly one class: `y` is `(n,)` int64 class indices."""

    is_exclusive: ClassVar[bool] = True

    def require_classes(self, rows: pd.DataFrame, where: str) -> None:
        """See Task."""
        y = rows.loc[rows["split"] == "train", "y"]
        if y.nunique() < 2:  # noqa: PLR2004  # two classes
            columns = ", ".join(self.label_columns())
            raise PodiumError(f"{where}: task: {columns} puts all {len(y)} rows to train on into one class")

    def require_all(self, y: np.ndarray, labels: Sequence[str], where: str) -> None:
        """See VectorTask; each class needs a row."""
        if missing := sorted(set(range(len(labels))) - set(y.tolist())):
            names = preview([labels[code] for code in missing])
            raise PodiumError(f"{where}: the training rows of a fold have no {names}; choose other `folds`")

    def strata(self, y: np.ndarray) -> np.ndarray:
        """See VectorTask."""
        return y

    def class_weights(
        self, y: np.ndarray, wanted: str | Mapping[str, float] | None, labels: Sequence[str], where: str
    ) -> np.ndarray:
        """Return `(n,)` float64: `balanced`, by label (1 where none is given), or 1.

        Raises PodiumError for a label that the competition does not have.
        """
        if wanted is None:
            return np.ones(len(y))
        if isinstance(wanted, str):
            counts = np.bincount(y, minlength=len(labels))
            return np.asarray(len(y) / (len(counts) * counts[y]))
        if unknown := sorted(set(wanted) - set(labels)):
            choices = preview(labels, most=20)
            raise PodiumError(f"{where}.class_weight: no label {preview(unknown)}; choose from: {choices}")
        by_code = np.array([float(wanted.get(label, 1.0)) for label in labels])
        return np.asarray(by_code[y])
