"""Cells without pandas are those of each task's own submission."""

import numpy as np
import pandas as pd
import pytest

from podium import plugins
from podium.contracts.dataset import Dataset
from podium.contracts.scores import Scores
from podium.serving.cells import submitted

LABELS = ["a", "b", "c"]
CASES = [
    ("binary", {"target": "x"}, ["no", "yes"], ["x"]),
    ("binary", {"target": "x"}, ["no", "yes"], ["yes", "no"]),
    ("binary", {"target": "x", "answer": "label"}, ["no", "yes"], ["x"]),
    ("multiclass", {"target": "x"}, LABELS, ["c", "a", "b"]),
    ("multiclass", {"target": "x", "top": 2}, LABELS, ["x"]),
    ("multilabel", {"target": "x", "separator": "|"}, LABELS, ["x"]),
    ("multilabel", {"target": "x"}, LABELS, ["b", "c", "a"]),
    ("regression", {"target": "x"}, [], ["x"]),
    ("ordinal", {"target": "x", "low": 0, "high": 4}, [], ["x"]),
]


@pytest.mark.parametrize(("name", "options", "labels", "columns"), CASES)
def test_an_exported_model_fills_the_cells_that_the_task_fills(name, options, labels, columns):
    """Every kind of answer, probabilities and labels, in the sample's order of columns."""
    task = plugins.make("tasks", name, options, "here")
    k = len(task.columns(labels))
    p = np.random.default_rng(0).random((9, k)).astype(np.float32) * (6 if task.is_value else 1) - 0.5 * task.is_value
    ids = np.array([f"r{n}" for n in range(9)], object)
    scores = Scores(ids, np.full(9, "test", object), p, tuple(task.columns(labels)), tuple(labels))
    data = Dataset.in_memory(pd.DataFrame({"row_id": ids}), labels)
    expected = task.submission(scores, data, columns)[columns].to_numpy().tolist()
    found = submitted({"kind": task.kind, **task.model_dump(mode="json")}, labels, p, columns)
    assert [[comparable(cell) for cell in line] for line in found] == expected


def comparable(cell):
    """Return text as it is, and a number as Python's."""
    return cell if isinstance(cell, str) else cell if isinstance(cell, int) else float(cell)


def test_columns_that_the_task_does_not_fill_are_refused():
    """As the task itself does."""
    with pytest.raises(ValueError, match="not the labels: x, y"):
        submitted({"kind": "multiclass", "top": 1}, LABELS, np.ones((1, 3)), ["x", "y"])
