"""A student, fitted once a fold: a head on features, or a network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from podium.contracts.averages import predict_views
from podium.contracts.dataset import Dataset
from podium.contracts.models import of_fold
from podium.contracts.predictions import Predictions
from podium.contracts.tables import by_id
from podium.fitting.crossfit import fit
from podium.fitting.fit_inputs import FitInputs, fit_member
from podium.fitting.lesson import Lesson
from podium.fitting.member import Member
from podium.splits.folds import Split, seed_of
from podium.tasks.vector import VectorTask
from podium.teaching import Student
from podium.teaching.lessons import Learn, Lessons
from podium.teaching.teachers import Teachers
from podium.training.finetuning import Finetuning, FoldModel
from podium.training.progress import Progress


def others(student: Student, data: Dataset) -> np.ndarray:
    """Return the sorted ids of the rows that only teachers say something of: those without a label."""
    rows = data.rows
    is_other = rows["split"].isin(student.splits) & ((rows["split"] == "test") | (rows["weight"] == 0))
    if len(data.images):
        is_other &= rows["row_id"].isin(data.images["row_id"])
    return np.sort(rows.loc[is_other, "row_id"].to_numpy(object))


@dataclass(frozen=True)
class HeadStudent:
    """A head: what it learns from, and how."""

    inputs: FitInputs
    task: VectorTask
    member: Member
    seed: int

    def learn(self, asked: np.ndarray) -> Learn:
        """Return how it learns a lesson and then speaks of these rows."""
        train, predicted = self.inputs.side_by_side(self.member.backbones, self.member.metadata)
        if self.member.head.views == "mean":
            train, predicted = train.merged(), predicted.merged()
        data = self.inputs.data
        rows = self.inputs.folds.grouped(data.rows)

        def learn(split: Split, lesson: Lesson, number: int) -> np.ndarray:
            name, seed = of_fold(split.repeat, split.fold), seed_of(self.seed, split.repeat, split.fold, number)
            known = by_id(rows, lesson.row_id, "rows.parquet")
            model = fit(self.member.head, self.task, data.labels, known, train.of_model(name), seed, lesson)
            return predict_views(model, predicted.of_model(name).of(asked))

        return learn

    def fit(self, lessons: Lessons, folder: Path) -> Predictions:
        """Write its models, and return what they predict."""
        return fit_member(self.inputs, self.task, self.member, self.member.backbones, self.seed, folder, lessons)


@dataclass(frozen=True)
class NetworkStudent:
    """A network: what it learns from, and how."""

    finetuning: Finetuning
    views: Sequence[str]
    name: str

    def learn(self, asked: np.ndarray) -> Learn:
        """Return how it learns a lesson and then speaks of these rows."""

        def learn(split: Split, lesson: Lesson, number: int) -> np.ndarray:
            model = FoldModel(replace(self.finetuning, lessons=lambda _: lesson), split)
            with Progress(f"{self.name} {model.name}, round {number}") as progress:
                return model.asked(asked, self.views, progress)

        return learn

    def fit(self, lessons: Lessons, folder: Path) -> Predictions:
        """Write its networks, and return what they predict."""
        taught = replace(self.finetuning, lessons=lessons)
        for model in taught.models:
            with Progress(f"{self.name} {model.name}") as progress:
                model.complete(taught.wanted(model, self.views), progress)
        return taught.predictions(self.views, taught.save(folder))


def lessons(
    student: Student,
    learner: HeadStudent | NetworkStudent,
    task: VectorTask,
    data: Dataset,
    ids: np.ndarray,
    teachers: Teachers,
) -> Lessons:
    """Return the lessons of every fold; `ids` are the rows without labels, of `others`."""
    return Lessons(student, task, data.labels, data.rows, ids, teachers, learner.learn(ids))
