"""What a student of one fold is taught: its rows' labels, and its teachers' word on these rows and on others."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from podium.contracts.models import of_fold
from podium.contracts.tables import by_id
from podium.fitting.lesson import Lesson
from podium.splits.folds import Split
from podium.tasks.vector import VectorTask
from podium.teaching import Student
from podium.teaching.teachers import Teachers

Learn = Callable[[Split, Lesson, int], np.ndarray]  # what a student, so taught in this round, says of the other rows


@dataclass(frozen=True)
class Lessons:
    """The lesson of every fold, made when it is asked for; `said` keeps what each fold's teachers said last.

    `others` are the sorted ids of the rows without labels; `rows` is the Rows table.
    """

    student: Student
    task: VectorTask
    labels: list[str]
    rows: pd.DataFrame
    others: np.ndarray
    teachers: Teachers
    learn: Learn
    said: dict[str, tuple[Split, Lesson]] = field(default_factory=dict)

    def __call__(self, split: Split) -> Lesson:
        """Return what the student of this fold learns, in its last round."""
        name = of_fold(split.repeat, split.fold)
        if name not in self.said:
            known = self._of_labelled(split)
            said = self._of_others(self.teachers.of_others(split, self.others)) if len(self.others) else None
            for number in range(1, self.student.rounds):
                assert said is not None
                said = self._of_others(self.learn(split, _joined(known, said), number))
            self.said[name] = split, _joined(known, said)
        return self.said[name][1]

    def table(self) -> pd.DataFrame:
        """Return a line for each fold and row that its student learnt from: repeat, fold, row_id, weight, then p."""
        parts = []
        for split, lesson in self.said.values():
            p = pd.DataFrame(lesson.p, columns=self.task.columns(self.labels))
            ids = pd.DataFrame({"repeat": split.repeat, "fold": split.fold, "row_id": lesson.row_id})
            parts.append(pd.concat([ids, pd.Series(lesson.weight, name="weight"), p], axis=1))
        return pd.concat(parts, ignore_index=True)

    def _of_labelled(self, split: Split) -> Lesson:
        """Return the rows' own labels, mixed with the teachers' word, without those that they contradict."""
        known = by_id(self.rows, split.train, "rows.parquet")
        y = self.task.targets(known)
        p = self.task.network_targets(y, len(self.labels)).astype(np.float64)
        weight = known["weight"].to_numpy(np.float64)
        if self.student.asks_of_labelled:
            said = self.teachers.of_labelled(split)
            word = pd.DataFrame(said.p, index=said.row_id).reindex(split.train).to_numpy(np.float64)
            is_asked = ~np.isnan(word).any(axis=1)  # the scheme `time` has no model for its first folds
            if self.student.distrust is not None:
                weight = np.where(is_asked & (_agreement(p, word) < self.student.distrust), 0.0, weight)
            p[is_asked] = (1 - self.student.distill) * p[is_asked] + self.student.distill * word[is_asked]
        kept = weight > 0
        return Lesson(split.train[kept], p[kept].astype(np.float32), weight[kept])

    def _of_others(self, p: np.ndarray) -> Lesson:
        """Return the rows without labels that the teachers are sure of."""
        sure = _certainty(self.task, p) >= self.student.confidence
        own = by_id(self.rows, self.others, "rows.parquet")["weight"].to_numpy(np.float64)
        # Rows that no label teaches weigh nothing of their own.
        weight = self.student.weight * np.where(own > 0, own, 1.0)
        return Lesson(self.others[sure], p[sure].astype(np.float32), weight[sure])


def _joined(known: Lesson, said: Lesson | None) -> Lesson:
    """Return both lessons as one, in the order of the ids."""
    if said is None:
        return known
    ids = np.concatenate([known.row_id, said.row_id])
    order = np.argsort(ids, kind="stable")
    p, weight = np.concatenate([known.p, said.p]), np.concatenate([known.weight, said.weight])
    return Lesson(ids[order], p[order], weight[order])


def _certainty(task: VectorTask, p: np.ndarray) -> np.ndarray:
    """Return `(n,)`: the probability of the likeliest answer; of several labels, of all of them; of values, 1."""
    if task.is_value:
        return np.ones(len(p))
    if task.is_exclusive and p.shape[1] > 1:
        return np.asarray(p.max(axis=1))
    return np.asarray(np.maximum(p, 1 - p).prod(axis=1))


def _agreement(truth: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return `(n,)`: the probability that `p` gives the label, whose indicators are `truth (n, k)`."""
    if p.shape[1] > 1:
        return np.asarray((truth * p).sum(axis=1))
    return np.asarray((truth * p + (1 - truth) * (1 - p))[:, 0])
