"""Thresholds learnt by a metric that takes labels."""

import numpy as np
import pytest

from podium import plugins
from podium.metrics import find


def loss_of(task, name="f1"):
    """The loss of an ensemble: the metric's, after the task has decided."""
    metric = find(name, "here")
    return lambda y, p: metric.loss(y, p, task)


def adjusted(task, p, y, loss):
    """The predictions after what the task learns from them."""
    adjustment = task.learn_adjustment(p, y, loss)
    return p if adjustment is None else adjustment.predict(p)


@pytest.mark.parametrize(("kind", "name"), [("binary", "f1"), ("multilabel", "f1_micro")])
def test_the_threshold_of_a_rare_label_is_found(kind, name):
    """P(label) is half of what it should be: the learnt threshold is where the labels part, at 0.25."""
    rng = np.random.default_rng(0)
    shape = (500, 1) if kind == "binary" else (500, 3)
    truth = rng.random(shape) < 0.2
    p = np.clip(np.where(truth, 0.35, 0.15) + 0.03 * rng.normal(size=shape), 0, 1).astype(np.float32)
    y = truth[:, 0].astype(int) if kind == "binary" else truth.astype(int)
    task = plugins.make("tasks", kind, {"target": "t", "threshold": "learnt"}, "x")
    loss = loss_of(task, name)
    found = adjusted(task, p, y, loss)
    assert loss(y, p) > -0.1
    assert loss(y, found) < -0.98
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.argsort(found[:, 0], kind="stable") == np.argsort(p[:, 0], kind="stable")).all()


def test_one_half_stays_unless_learning_is_asked_for_and_helps():
    """Without the option predictions are untouched; with it, where one half is best already."""
    p, y = np.array([[0.1], [0.4], [0.6], [0.9]], np.float32), np.array([0, 0, 1, 1])
    for options in ({}, {"threshold": "learnt"}):
        task = plugins.make("tasks", "binary", {"target": "t", **options}, "x")
        np.testing.assert_allclose(adjusted(task, p, y, loss_of(task)), p)
