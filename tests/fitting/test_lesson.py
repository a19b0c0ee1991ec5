"""Soft targets as answers with weights: what they average to, and what heads make of them."""

import numpy as np
import pandas as pd
import pytest

from podium import plugins
from podium.fitting.crossfit import fit
from podium.fitting.lesson import Lesson
from podium.fitting.row_features import RowFeatures

N = 40
TASKS = {
    "binary": ({"target": "t"}, 1),
    "multiclass": ({"target": "t"}, 3),
    "multilabel": ({"targets_of": ["a", "b", "c"]}, 3),
    "regression": ({"target": "t"}, 1),
}


def task_of(kind):
    return plugins.make("tasks", kind, TASKS[kind][0], "x")


def soft(kind, seed=0):
    """Return random targets in the columns of predictions."""
    p = np.random.default_rng(seed).random((N, TASKS[kind][1]))
    return (p / p.sum(axis=1, keepdims=True) if kind == "multiclass" else p).astype(np.float32)


def lesson_of(p):
    return Lesson(np.array([f"r{k:02d}" for k in range(len(p))], object), p, np.linspace(0.5, 2, len(p)))


@pytest.mark.parametrize("kind", TASKS)
def test_a_rows_answers_average_to_its_soft_target(kind):
    """By their weights, which sum to the row's own; each answer is one that a label could be."""
    task, lesson = task_of(kind), lesson_of(soft(kind))
    row, y, weight = lesson.answers(task)
    k = TASKS[kind][1]
    columns = np.eye(k)[y] if kind == "multiclass" else y.reshape(len(y), -1)
    assert np.allclose(np.bincount(row, weight), lesson.weight)
    for column in range(k):
        assert np.allclose(
            np.bincount(row, weight * columns[:, column]) / lesson.weight, lesson.p[:, column], atol=3e-3
        )
    if kind != "regression":
        assert set(np.unique(columns)) == {0, 1}


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_certain_target_is_a_label(kind):
    """One line a row, and the same model, to the bit, as of labels."""
    task = task_of(kind)
    p = soft(kind)
    hard = np.eye(3)[p.argmax(axis=1)] if kind == "multiclass" else p > 0.5
    lesson = lesson_of(hard.astype(np.float32))
    row, y, _ = lesson.answers(task)
    assert row.tolist() == list(range(N))
    coded = pd.DataFrame(y if y.ndim > 1 else y[:, None]).astype(float)
    coded.columns = ["y"] if y.ndim == 1 else [f"y_{k}" for k in range(3)]
    rows = pd.DataFrame({"row_id": lesson.row_id, "weight": lesson.weight, "group": lesson.row_id}).join(coded)
    x = np.random.default_rng(1).normal(size=(N, 2, 4)).astype(np.float32)
    head = plugins.make("heads", "logistic", {"C": 1.0}, "x")
    labels = ["a", "b"] if kind == "binary" else ["a", "b", "c"]
    features = RowFeatures(lesson.row_id, x)
    by_labels, taught = (fit(head, task, labels, rows, features, 0, given) for given in (None, lesson))
    assert np.array_equal(by_labels.predict(x[:, 0]), taught.predict(x[:, 0]))


def test_a_head_learns_the_soft_target_itself():
    """A logistic model of one certain feature predicts the targets' mean, not that of rounded targets."""
    p = np.full((N, 1), 0.2, np.float32)
    p[::2] = 0.7
    lesson = Lesson(np.array([f"r{k:02d}" for k in range(N)], object), p, np.ones(N))
    x = np.zeros((N, 1, 1), np.float32)
    x[::2] = 1
    rows = pd.DataFrame({"row_id": lesson.row_id, "y": 0.0, "weight": 1.0, "group": lesson.row_id})
    head = plugins.make("heads", "logistic", {"C": 1e4, "tolerance": 1e-9}, "x")
    model = fit(head, task_of("binary"), ["a", "b"], rows, RowFeatures(lesson.row_id, x), 0, lesson)
    assert np.allclose(model.predict(np.array([[0.0], [1.0]]))[:, 0], [0.2, 0.7], atol=2e-3)


def test_a_regression_is_taught_values():
    """The rows' own targets are not looked at."""
    ids = np.array([f"r{k:02d}" for k in range(N)], object)
    x = np.linspace(0, 1, N).astype(np.float32)[:, None, None]
    rows = pd.DataFrame({"row_id": ids, "y": np.nan, "weight": 0.0, "group": ids})
    head = plugins.make("heads", "ridge", {"alpha": 1e-6}, "x")
    lesson = Lesson(ids, (3 * x[:, 0] + 1).astype(np.float32), np.ones(N))
    model = fit(head, task_of("regression"), [], rows, RowFeatures(ids, x), 0, lesson)
    assert np.allclose(model.predict(np.array([[0.0], [1.0]]))[:, 0], [1, 4], atol=1e-2)
