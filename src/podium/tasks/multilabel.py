"""Any number of labels a row: `p_0`, `p_1`, ... are the labels' probabilities, each by itself."""

from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from podium.contracts.models import Fitted
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError
from podium.tasks import Encoded, LossFn
from podium.tasks.columns import column, flags
from podium.tasks.threshold import learn_threshold
from podium.tasks.vector import ProbabilityTask


class Task(ProbabilityTask):
    """Labels as one text column of names, or as one column of 0 and 1 each."""

    kind: ClassVar[str] = "multilabel"

    target: str | None = None
    """A column of names with `separator` between; an empty text is a row without labels."""
    separator: str = Field(" ", min_length=1)
    """What stands between names."""
    targets_of: tuple[str, ...] = ()
    """Instead: columns that hold 0 and 1."""
    threshold: Literal["half", "learnt"] = "half"
    """`learnt` suits a metric that takes labels, and no other."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.target is None) == (not self.targets_of):
            raise ValueError("give `target`, a column of names, or `targets_of`, columns of 0 and 1")
        return self

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return `y_0`, `y_1`, ... of 0, 1 and NaN, and the labels: sorted names, or the columns as listed."""
        if self.target is None:
            known = {name: flags(rows, name, where) for name in self.targets_of}
        else:
            text = column(rows, self.target, where)
            names = text.map(lambda value: {name for name in value.split(self.separator) if name}, na_action="ignore")
            labels = sorted(set().union(*names.dropna()))
            known = {
                label: names.map(lambda held, label=label: label in held, na_action="ignore").astype("float64")
                for label in labels
            }
        if not known:
            raise PodiumError(f"{where}: column {self.target!r} names no label")
        return Encoded(pd.DataFrame({f"y_{j}": y for j, y in enumerate(known.values())}), list(known))

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n, n_labels)` int64 of 0 and 1."""
        places = sorted(
            int(name[2:]) for name in map(str, rows.columns) if name.startswith("y_") and name[2:].isdigit()
        )
        return rows[[f"y_{place}" for place in places]].to_numpy(np.int64)

    def columns(self, labels: list[str]) -> list[str]:
        """Return one column per label."""
        return [f"p_{index}" for index in range(len(labels))]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n, n_labels)` int64: 1 from a probability of one half."""
        return (p >= 0.5).astype(np.int64)  # noqa: PLR2004  # one half

    def learn_adjustment(self, p: np.ndarray, y: np.ndarray, loss: LossFn) -> Fitted | None:
        """Return the map that puts the learnt threshold at one half, or nothing."""
        return learn_threshold(p, y, loss) if self.threshold == "learnt" else None

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(n_labels,)`: the share of rows that have each label."""
        return np.average(y, axis=0, weights=weight).astype(np.float32)

    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return `row_id` and a probability per label, or one column of the names of the labels decided for."""
        p = predictions[self.columns(labels)].to_numpy()
        ids = predictions[["row_id"]]
        if sorted(columns) == sorted(labels):
            return pd.concat([ids, pd.DataFrame(p, index=ids.index, columns=labels)[columns]], axis=1)
        if len(columns) != 1:
            raise PodiumError(f"the sample submission's columns are not the labels: {', '.join(columns)}")
        names = np.array(labels, dtype=object)
        chosen = [self.separator.join(names[row == 1]) for row in self.decide(p)]
        return ids.assign(**{columns[0]: chosen})

    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:
        """Return probabilities, or any number of labels, none too."""
        if set(columns) == set(labels):
            return dict.fromkeys(columns, CellSpec(low=0, high=1))
        return dict.fromkeys(columns, CellSpec(labels=tuple(labels), separator=self.separator))

    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
        """Return `(n, n_labels)`: probabilities, or 1 for each label named."""
        if set(submission.columns[1:]) == set(labels):
            return submission[labels].to_numpy(np.float32)
        named = [set(cell.split(self.separator)) for cell in submission.iloc[:, 1].fillna("")]
        return np.array([[label in row for label in labels] for row in named], dtype=np.float32)
