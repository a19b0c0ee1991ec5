"""Students score no better than they are: on labels that are pure noise they gain nothing, and a leak would."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_moons
from sklearn.metrics import roc_auc_score

from podium import plugins
from podium.contracts import models
from podium.contracts.blends import WeightedSum
from podium.contracts.dataset import Dataset
from podium.contracts.models import of_fold
from podium.contracts.scores import Scores
from podium.fitting.fit_inputs import FitInputs, fit_member
from podium.fitting.member import Member
from podium.fitting.row_features import RowFeatures
from podium.splits import folds
from podium.teaching import Student
from podium.teaching.students import HeadStudent, lessons, others
from podium.teaching.teachers import HeadTeacher, Teacher, Teachers

pytestmark = pytest.mark.slow

TASK = plugins.make("tasks", "binary", {"target": "t"}, "x")
LABELS = ["no", "yes"]
K = 4
TEACHER = Member(backbones=("x",), head=plugins.make("heads", "knn", {"neighbours": 2}, "x"))
PUPIL = Member(backbones=("x",), head=plugins.make("heads", "knn", {"neighbours": 3}, "x"))


@dataclass
class World:
    """Rows with one view of features, a fitted teacher and its out-of-fold predictions."""

    inputs: FitInputs
    truth: pd.Series  # by row_id
    folder: object
    bank: Scores
    teacher: Member = TEACHER
    pupil: Member = PUPIL

    def teachers(self, cls=HeadTeacher):
        """Return the teacher alone, of weight 1 in every fold."""
        one = cls(self.inputs, TASK, self.teacher, ("x",), self.folder, 0)
        return Teachers({"one": one}, {(0, fold): WeightedSum(np.ones(1)) for fold in range(K)})

    def student(self, teachers, folder, **settings):
        """Return the AUC of a student's out-of-fold rows, the accuracy on test rows, and its lessons."""
        student = Student(member=self.pupil, **settings)
        learner = HeadStudent(self.inputs, TASK, self.pupil, 0)
        data = self.inputs.data
        taught = lessons(student, learner, TASK, data, others(student, data), teachers)
        found = learner.fit(taught, folder)
        return self.auc(found), self.accuracy(found), taught

    def auc(self, scores):
        train = scores.of_split("train")
        return roc_auc_score(self.truth[train.row_id], train.p[:, 0])

    def accuracy(self, scores):
        test = scores.of_split("test")
        if not len(test):
            return None
        return ((test.p[:, 0] > 0.5) == self.truth[test.row_id].to_numpy()).mean()


def world(x, y, split, folder, teacher=TEACHER, pupil=PUPIL):
    ids = np.array([f"r{k:04d}" for k in range(len(x))], object)
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": np.where(split == "train", y, np.nan)})
    rows = rows.assign(weight=1.0, group=ids)
    table = folds.make(rows, "plain", K, seed=1)
    features = {"x": RowFeatures(ids, x.astype(np.float32)[:, None])}
    data = Dataset.in_memory(rows, LABELS, images=pd.DataFrame())
    inputs = FitInputs(data, table, features, features)
    bank = fit_member(inputs, TASK, teacher, ("x",), 0, folder)
    return World(inputs, pd.Series(y, ids), folder, bank, teacher, pupil)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Threes of rows that are nearly alike: two to train on, whose labels are drawn apart, and one test row."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(150, 5)), 3, axis=0) + rng.normal(0, 0.05, (450, 5))
    split = np.where(np.arange(450) % 3 == 2, "test", "train")
    return world(x, rng.integers(0, 2, 450), split, tmp_path_factory.mktemp("noise") / "one")


class Knowing(HeadTeacher):
    """What a careless implementation asks: of test rows all models, of train rows the bank's predictions."""

    def of_others(self, split, ids):
        return np.mean([super(Knowing, self).of_others(replace(split, fold=fold), ids) for fold in range(K)], axis=0)

    def of_labelled(self, split):
        from podium.fitting.crossfit import cross_fit

        train, predicted = self.inputs.side_by_side(self.backbones, metadata=False)
        data = self.inputs.data
        found = cross_fit(self.member.head, TASK, LABELS, data.rows, self.inputs.folds, train, predicted, 0)
        return found.of_split("train").by_id(split.train, "bank")


ERROR = 0.5 / 300**0.5 * 1.2  # the standard error of an AUC of 300 rows, half of either class, is 0.033


@pytest.mark.parametrize(
    "settings", [{"confidence": 0.4}, {"rounds": 2}, {"splits": (), "distill": 1.0}, {"splits": (), "distrust": 0.3}]
)
def test_noise_teaches_nothing(noise, tmp_path, settings):
    """The AUC stays within two standard errors of one half, where a teacher that saw the fold lifts it far above."""
    honest, _, _ = noise.student(noise.teachers(), tmp_path / "honest", **settings)
    careless, _, _ = noise.student(noise.teachers(Knowing), tmp_path / "careless", **settings)
    assert abs(honest - 0.5) < 2 * ERROR
    assert careless > 0.5 + 4 * ERROR


def test_labels_of_a_fold_reach_none_of_its_teachers(noise, tmp_path):
    """Other labels in one fold: its lessons are as they were, to the bit, and those of other folds are not."""
    data, table = noise.inputs.data, noise.inputs.folds
    inside = set(table.table.loc[table.table["fold"] == 2, "row_id"])
    turned = data.rows.assign(y=data.rows["y"].where(~data.rows["row_id"].isin(inside), 1 - data.rows["y"]))
    inputs = replace(noise.inputs, data=Dataset.in_memory(turned, LABELS, images=pd.DataFrame()))
    fit_member(inputs, TASK, TEACHER, ("x",), 0, tmp_path / "turned")
    other = replace(noise, inputs=inputs, folder=tmp_path / "turned")
    settings = {"rounds": 2, "distill": 0.5, "distrust": 0.1}
    before, after = (one.student(one.teachers(), tmp_path / "models", **settings)[2].table() for one in (noise, other))
    same = {
        fold: before[before["fold"] == fold]
        .reset_index(drop=True)
        .equals(after[after["fold"] == fold].reset_index(drop=True))
        for fold in range(K)
    }
    assert same == {0: False, 1: False, 2: True, 3: False}


def test_rows_without_labels_help_where_they_show_the_shape(tmp_path):
    """Two moons of which few rows have labels: a student of several rounds finds more of the test rows."""
    x, y = make_moons(300, noise=0.1, random_state=1)
    split = np.where(np.arange(300) < 24, "train", "test")
    member = Member(backbones=("x",), head=plugins.make("heads", "kernel_ridge", {"gamma": 2.0, "alpha": 1.0}, "x"))
    moons = world(x, y, split, tmp_path / "one", member, member)
    _, found, taught = moons.student(moons.teachers(), tmp_path / "student", rounds=6)
    assert found > moons.accuracy(moons.bank) + 0.01
    assert set(taught.said) == {of_fold(0, fold) for fold in range(K)}
    assert models.folds(tmp_path / "student") == sorted(taught.said)


def test_a_lesson_holds_labels_and_the_sure_rows_alone(noise, tmp_path):
    """A row with a label counts 1 and is what it is; one without counts its weight, if its teacher is sure."""
    _, _, taught = noise.student(noise.teachers(), tmp_path / "models", confidence=0.8, weight=0.25)
    split, lesson = taught.said["r0f1"]
    is_train = np.isin(lesson.row_id, split.train)
    assert lesson.row_id[is_train].tolist() == split.train.tolist()
    assert lesson.p[is_train, 0].tolist() == noise.truth[split.train].tolist()
    assert set(lesson.weight[is_train]) == {1.0}
    assert set(lesson.weight[~is_train]) == {0.25}
    said = noise.teachers().of_others(split, others(taught.student, noise.inputs.data))[:, 0]
    assert (~is_train).sum() == (np.maximum(said, 1 - said) >= 0.8).sum() > 10
    assert not np.isin(lesson.row_id, split.valid).any()


def test_rows_that_their_teachers_contradict_are_left_out(noise, tmp_path):
    """By teachers that saw neither the row nor the fold; turned labels are among them."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    x = rng.normal(size=(200, 3)) * 0.5 + 2 * y[:, None]
    turned = rng.random(200) < 0.1
    spoilt = world(x, np.where(turned, 1 - y, y), np.full(200, "train"), tmp_path / "one")
    _, _, taught = spoilt.student(spoilt.teachers(), tmp_path / "models", splits=(), distrust=0.2)
    for split, lesson in taught.said.values():
        left = np.setdiff1d(split.train, lesson.row_id)
        is_turned = pd.Series(turned, spoilt.truth.index)
        assert is_turned[left].mean() > 0.7
        assert is_turned[lesson.row_id].mean() < 0.3 * turned.mean()


def test_teachers_are_weighed_and_averaged(noise):
    """By the weights of the fold."""

    class Fixed(Teacher):
        def __init__(self, value):
            self.value = value

        def of_others(self, split, ids):
            return np.full((len(ids), 1), self.value)

    both = Teachers({"a": Fixed(0.2), "b": Fixed(0.8)}, {(0, 0): WeightedSum(np.array([0.75, 0.25]))})
    [split] = [split for split in folds.splits(noise.inputs.folds, noise.inputs.data.rows) if split.fold == 0]
    assert np.allclose(both.of_others(split, np.array(["r0002"], object)), 0.35)
