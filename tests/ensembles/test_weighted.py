"""Convex weights against SciPy's optimiser and a grid."""

import numpy as np
import pytest
from scipy.optimize import minimize

from podium import metrics
from podium.ensembles import EnsembleObjective
from podium.ensembles.weighted import Ensemble
from podium.tasks import binary

TASK = binary.Task(target="x")


def case(m, n=500):
    rng = np.random.default_rng(m)
    y = rng.integers(0, 2, n)
    skill = rng.uniform(0.1, 0.5, (m, 1))
    members = np.clip(skill * y + (1 - skill) * rng.random((m, n)), 0.02, 0.98)
    return y, members[:, :, None].astype(np.float32)


def loss(name):
    return EnsembleObjective(lambda y, p, w: metrics.METRICS[name].loss(y, p, TASK), metric=name)


@pytest.mark.parametrize("m", [2, 6])
def test_log_loss_reaches_the_optimum(m):
    """SLSQP on the simplex finds nothing better by more than 1e-5; log loss is convex, so this is the minimum."""
    y, members = case(m)
    truth = np.where(y == 1, members[:, :, 0], 1 - members[:, :, 0]).astype(float)
    found = Ensemble().fit(members, y, loss=loss("log_loss"), seed=0)
    best = minimize(
        lambda w: -np.log(w @ truth).mean(),
        np.full(m, 1 / m),
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )
    assert -np.log(found.weights @ truth).mean() <= best.fun + 1e-5
    assert found.weights.min() >= 0
    assert found.weights.sum() == pytest.approx(1)


def test_a_metric_without_gradient_is_optimised_too():
    """AUC of two members: as good as the best of a grid of 101 weights, to 1e-3."""
    y, members = case(2)
    auc = loss("auc")
    found = Ensemble().fit(members, y, loss=auc, seed=0)
    grid = [auc(y, w * members[0] + (1 - w) * members[1]) for w in np.linspace(0, 1, 101)]
    assert auc(y, found.predict(members)) <= min(grid) + 1e-3


def test_one_member_has_the_whole_weight():
    """There is nothing to move."""
    y, members = case(1)
    np.testing.assert_allclose(Ensemble().fit(members, y, loss=loss("log_loss"), seed=0).weights, [1])
