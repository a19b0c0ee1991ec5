"""Grades, rounded at cuts that are learnt."""

import numpy as np
import pandas as pd
import pytest

from podium import metrics
from podium.contracts.submission import CellSpec
from podium.tasks.ordinal import Task

TASK = Task(target="grade", low=0, high=4)
KAPPA = metrics.METRICS["quadratic_weighted_kappa"]


def loss(y, p):
    return KAPPA.loss(y, p, TASK)


@pytest.fixture
def shrunk():
    """Grades, and predictions in the right order but drawn together, as regression on noisy labels gives them."""
    rng = np.random.default_rng(0)
    y = rng.choice(5, 400, p=[0.5, 0.1, 0.2, 0.1, 0.1]).astype(float)
    return y, (1 + 0.4 * y + rng.normal(0, 0.05, 400))[:, None].astype(np.float32)


def test_cuts_are_learnt_from_the_metric(shrunk):
    """Rounding alone confuses the grades; the learnt cuts find nearly all."""
    y, p = shrunk
    adjusted = TASK.learn_adjustment(p, y, loss).predict(p)
    assert (TASK.decide(p) == y).mean() < 0.3
    assert (TASK.decide(adjusted) == y).mean() > 0.97
    assert loss(y, adjusted) < loss(y, p) - 0.2


def test_an_adjustment_keeps_the_order(shrunk):
    """A bend, not a shuffle; and the same for rows that it has not seen."""
    y, p = shrunk
    adjust = TASK.learn_adjustment(p[:200], y[:200], loss).predict
    order = np.argsort(p[:, 0])
    assert (np.diff(adjust(p)[order, 0]) >= 0).all()
    assert (TASK.decide(adjust(p[200:])) == y[200:]).mean() > 0.95


def test_good_predictions_stay_as_good():
    """Where rounding is best already, nothing is lost."""
    y = np.arange(5.0).repeat(20)
    p = (y + np.random.default_rng(0).uniform(-0.4, 0.4, 100))[:, None].astype(np.float32)
    assert loss(y, TASK.learn_adjustment(p, y, loss).predict(p)) == loss(y, p)


def test_a_submission_holds_whole_grades():
    """Within their range."""
    predictions = pd.DataFrame({"row_id": list("abcd"), "split": "test", "y": np.float32([-1, 0.4, 2.6, 9])})
    cells = TASK.cells(predictions, [], ["diagnosis"])
    assert cells["diagnosis"].tolist() == [0, 0, 3, 4]
    assert TASK.specs([], ["diagnosis"]) == {"diagnosis": CellSpec(low=0, high=4, whole=True)}
    assert TASK.read_cells(cells.astype(str), []).tolist() == [[0], [0], [3], [4]]
