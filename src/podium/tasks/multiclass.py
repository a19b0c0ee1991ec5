"""One class of several: `p_0`, `p_1`, ... are the classes' probabilities, in the order of the sorted labels."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from podium.contracts.dataset import Dataset
from podium.contracts.models import Fitted
from podium.contracts.scores import Scores
from podium.contracts.steps import Softmax
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError, preview
from podium.tasks import Encoded
from podium.tasks.columns import column, flags
from podium.tasks.vector import ExclusiveTask


class Task(ExclusiveTask):
    """A column of labels, or one column of 0 and 1 per label."""

    kind: ClassVar[str] = "multiclass"

    target: str | None = None
    """A column of the competition's labels."""
    targets_of: tuple[str, ...] = ()
    """Instead: columns of which each row has 1 in one and 0 in the others."""
    top: int = Field(1, ge=1)
    """How many labels a submission of one column names, the likeliest first."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.target is None) == (not self.targets_of):
            raise ValueError("give `target`, a column of labels, or `targets_of`, columns of 0 and 1")
        return self

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return `y`, the label's place in the labels (NaN where unknown), and the labels: sorted, or as listed."""
        if self.target is None:
            return Encoded(pd.DataFrame({"y": self._marked(rows, where)}), list(self.targets_of))
        label = column(rows, self.target, where)
        codes, labels = pd.factorize(label, sort=True)
        if len(labels) < 2:  # noqa: PLR2004  # a class needs another
            raise PodiumError(f"{where}: column {self.target!r} has {len(labels)} labels; a multiclass task needs two")
        y = pd.Series(codes, rows.index, dtype="float64").where(label.notna())
        return Encoded(pd.DataFrame({"y": y}), [str(name) for name in labels])

    def _marked(self, rows: pd.DataFrame, where: str) -> pd.Series:
        """Return the place of each row's 1."""
        marks = pd.DataFrame({name: flags(rows, name, where) for name in self.targets_of})
        wrong = marks.notna().any(axis=1) & (marks.sum(axis=1, skipna=False) != 1)
        if wrong.any():
            ids = preview(rows["row_id"][wrong])
            raise PodiumError(f"{where}: one of {', '.join(self.targets_of)} must be 1 and the others 0: row_id {ids}")
        places = pd.Series(marks.fillna(0).to_numpy().argmax(axis=1), rows.index, dtype="float64")
        return places.where(marks.notna().all(axis=1))

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n,)` int64 class indices."""
        return rows["y"].to_numpy(np.int64)

    def columns(self, labels: list[str]) -> list[str]:
        """Return one column per class."""
        return [f"p_{index}" for index in range(len(labels))]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n,)` int64: the likeliest class, the first of equals."""
        return np.asarray(p.argmax(axis=1))

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(k,)`: the classes' shares."""
        counts = np.bincount(y, weights=weight)
        return np.asarray(counts / counts.sum(), dtype=np.float32)

    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return `row_id` and a probability per label, or one column of the likeliest labels, space between."""
        p = predictions[self.columns(labels)].to_numpy()
        ids = predictions[["row_id"]]
        if len(columns) == 1:
            likeliest = np.array(labels, dtype=object)[np.argsort(-p, axis=1, kind="stable")[:, : self.top]]
            return ids.assign(**{columns[0]: [" ".join(names) for names in likeliest]})
        if sorted(columns) != sorted(labels):
            odd = sorted(set(columns) ^ set(labels))
            raise PodiumError(
                f"the sample submission's columns are not the labels; in one and not the other: {preview(odd)}"
            )
        by_label = pd.DataFrame(p, index=ids.index, columns=labels)
        return pd.concat([ids, by_label[columns]], axis=1)

    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:
        """Return probabilities, or one label, or up to `top` of them with a space between."""
        if len(columns) > 1:
            return dict.fromkeys(columns, CellSpec(low=0, high=1))
        separator = " " if self.top > 1 else None
        return dict.fromkeys(columns, CellSpec(labels=tuple(labels), separator=separator, least=1, most=self.top))

    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
        """Return `(n, k)`: probabilities, or 1, 1/2, 1/3, ... for the labels named, in their order."""
        if len(submission.columns) > 2:  # noqa: PLR2004  # the id and one answer
            return submission[labels].to_numpy(np.float32)
        p = np.zeros((len(submission), len(labels)), np.float32)
        for row, named in enumerate(submission.iloc[:, 1]):
            # A label may hold a space itself, where a row names one only.
            chosen = [named] if self.top == 1 else named.split(" ")
            for rank, label in enumerate(chosen, start=1):
                p[row, labels.index(label)] = 1 / rank
        return p

    def read_import(self, path: Path, data: Dataset) -> tuple[Scores, np.ndarray | None]:
        """See VectorTask; a row of zeros is refused, which no rescaling makes a distribution."""
        found, folds = super().read_import(path, data)
        is_empty = found.p.sum(axis=1) <= 0
        if is_empty.any():
            raise PodiumError(f"{path}: no class has any probability for row_id {preview(found.row_id[is_empty])}")
        return found, folds

    def activation(self) -> Fitted:
        """See VectorTask."""
        return Softmax()

    def network_targets(self, y: np.ndarray, n_labels: int) -> np.ndarray:
        """Return `(n, n_labels)` float32: a 1 in the column of the class."""
        return np.asarray(np.eye(n_labels, dtype=np.float32)[y])

    def network_loss(self, label_smoothing: float, focal: float | None = None) -> Any:
        """See VectorTask."""
        import keras

        if focal is not None:
            return keras.losses.CategoricalFocalCrossentropy(
                alpha=1.0, gamma=focal, from_logits=True, label_smoothing=label_smoothing
            )
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def network_metric(self) -> Any:
        """See VectorTask."""
        import keras

        return keras.metrics.CategoricalAccuracy("accuracy")
