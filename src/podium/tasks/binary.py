"""Two classes: `p_0` is the probability of the positive one."""

from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from podium.contracts.models import Fitted
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError
from podium.tasks import Encoded, LossFn
from podium.tasks.columns import column, flags, numbers
from podium.tasks.threshold import learn_threshold
from podium.tasks.vector import ExclusiveTask


class Task(ExclusiveTask):
    """Which rows are positive: those of a column above a number, of one label, or those marked 1."""

    kind: ClassVar[str] = "binary"

    target: str
    """A column of the competition's labels."""
    above: float | None = None
    """Positive where the column exceeds this number."""
    positive: str | None = None
    """Positive where the column is this label; without `above` and `positive`, it holds 0 and 1."""
    answer: Literal["probability", "label"] = "probability"
    """What the submission asks for."""
    threshold: Literal["half", "learnt"] = "half"
    """`learnt` suits a metric that takes labels, and no other."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.above is not None and self.positive is not None:
            raise ValueError("give `above` or `positive`, not both")
        return self

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """Return `y` of 0, 1 and NaN, and the labels, the positive one last."""
        if self.above is not None:
            value = numbers(rows, self.target, where)
            y = (value > self.above).astype("float64").where(value.notna())
            return Encoded(pd.DataFrame({"y": y}), ["0", "1"])
        if self.positive is None:
            return Encoded(pd.DataFrame({"y": flags(rows, self.target, where)}), ["0", "1"])
        label = column(rows, self.target, where)
        known = sorted(label.dropna().unique())
        if self.positive not in known or len(known) != 2:  # noqa: PLR2004  # binary
            raise PodiumError(
                f"{where}: column {self.target!r} must hold {self.positive!r} and one other label; it holds: "
                + ", ".join(map(repr, known[:10]))
            )
        y = (label == self.positive).astype("float64").where(label.notna())
        return Encoded(pd.DataFrame({"y": y}), [next(name for name in known if name != self.positive), self.positive])

    def targets(self, rows: pd.DataFrame) -> np.ndarray:
        """Return `(n,)` int64 of 0 and 1."""
        return rows["y"].to_numpy(np.int64)

    def columns(self, labels: list[str]) -> list[str]:  # noqa: ARG002  # one column, whatever the labels
        """Return `["p_0"]`."""
        return ["p_0"]

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return `(n,)` int64: 1 from a probability of one half."""
        return (p[:, 0] >= 0.5).astype(np.int64)  # noqa: PLR2004  # one half

    def learn_adjustment(self, p: np.ndarray, y: np.ndarray, loss: LossFn) -> Fitted | None:
        """Return the map that puts the learnt threshold at one half, or nothing."""
        return learn_threshold(p, y, loss) if self.threshold == "learnt" else None

    def prior(self, y: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """Return `(1,)`: the share of positives, which has the least log loss of all constants."""
        return np.atleast_1d(np.average(y, weights=weight)).astype(np.float32)

    def cells(self, predictions: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
        """Return `row_id` and one column of probabilities or labels, or two named after the labels."""
        p = predictions["p_0"]
        if sorted(columns) == sorted(labels):
            return predictions[["row_id"]].assign(**{labels[0]: 1 - p, labels[1]: p})[["row_id", *columns]]
        if len(columns) != 1:
            one_or = f"one column, or {' and '.join(labels)}"
            raise PodiumError(f"the sample submission has columns {', '.join(columns)}; a binary task fills {one_or}")
        values = p if self.answer == "probability" else np.array(labels)[self.decide(p.to_numpy()[:, None])]
        return predictions[["row_id"]].assign(**{columns[0]: values})

    def specs(self, labels: list[str], columns: list[str]) -> dict[str, CellSpec]:
        """Return probabilities, or the two labels."""
        named = self.answer == "label" and len(columns) == 1
        return dict.fromkeys(columns, CellSpec(labels=tuple(labels)) if named else CellSpec(low=0, high=1))

    def read_cells(self, submission: pd.DataFrame, labels: list[str]) -> np.ndarray:
        """Return `(n, 1)`: probabilities, or 1 for the positive label."""
        names = list(submission.columns[1:])
        if len(names) > 1:
            return submission[[labels[1]]].to_numpy(np.float32)
        if self.answer == "label":
            return (submission[names] == labels[1]).to_numpy(np.float32)
        return submission[names].to_numpy(np.float32)
