"""One class of several: `p_0`, `p_1`, ... are the classes' probabilities, in the order of the sorted labels."""

from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from podium import tasks
from podium.contracts.table import Table
from podium.contracts.tables import PROBABILITIES
from podium.errors import PodiumError, shown
from podium.tasks._columns import column


class Task(tasks.Task):
    """A column of labels."""

    kind: ClassVar[str] = "multiclass"
    schema: ClassVar[Table] = PROBABILITIES

    target: str  # a column of the competition's labels
    top: int = Field(1, ge=1)  # how many labels a submission of one column names, the likeliest first

    def encode(self, rows: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
        """Return `y`, the label's place among the sorted labels (NaN where unknown), and those labels."""
        label = column(rows, self.target, where)
        codes, labels = pd.factorize(label, sort=True)
        if len(labels) < 2:  # noqa: PLR2004  # a class needs another
            raise PodiumError(f"{where}: column {self.target!r} has {len(labels)} labels; a multiclass task needs two")
        y = pd.Series(codes, rows.index, dtype="float64").where(label.notna())
        return pd.DataFrame({"y": y}), [str(name) for name in labels]

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

    def submission(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return `row_id` and a probability per label, or one column of the likeliest labels, space between."""
        p = predictions[self.columns(labels)].to_numpy()
        ids = predictions[["row_id"]]
        if len(columns) == 1:
            likeliest = np.array(labels, dtype=object)[np.argsort(-p, axis=1, kind="stable")[:, : self.top]]
            return ids.assign(**{columns[0]: [" ".join(names) for names in likeliest]})
        if sorted(columns) != sorted(labels):
            odd = sorted(set(columns) ^ set(labels))
            raise PodiumError(
                f"the sample submission's columns are not the labels; in one and not the other: {shown(odd)}"
            )
        by_label = pd.DataFrame(p, index=ids.index, columns=labels)
        return pd.concat([ids, by_label[columns]], axis=1)

    def read_submission(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
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
