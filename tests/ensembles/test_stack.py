"""Stacking against scikit-learn on the same logits."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from podium.ensembles import EnsembleObjective
from podium.ensembles.stack import Ensemble

LOSS = EnsembleObjective(lambda y, p, w: 0.0)
ANY = EnsembleObjective(lambda y, p, w: 0.0, limits=(-np.inf, np.inf))


def case(k, n=400, m=3):
    rng = np.random.default_rng(k)
    y = rng.integers(0, max(k, 2), n)
    truth = np.eye(k)[y] if k > 1 else y[:, None].astype(float)
    p = np.clip(0.3 * truth + 0.7 * rng.random((m, n, k)), 0.01, 0.99)
    return y, (p / p.sum(axis=2, keepdims=True) if k > 1 else p).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3])
def test_logistic_on_logits(k):
    """Every member's every logit is an input."""
    y, members = case(k)
    p = members.transpose(1, 0, 2).reshape(len(y), -1).astype(float)
    x = StandardScaler().fit_transform(np.log(p / (1 - p)))
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(x, y).predict_proba(x)
    found = Ensemble(C=0.1).fit(members, y, loss=LOSS, seed=0).predict(members)
    np.testing.assert_allclose(found, expected if k > 1 else expected[:, 1:], atol=1e-3)


def test_values_are_stacked_by_ridge():
    """Regression has no logits."""
    rng = np.random.default_rng(0)
    y = rng.normal(10, 5, 200)
    members = np.stack([y + rng.normal(0, 2, 200), y + rng.normal(3, 2, 200)])[:, :, None].astype(np.float32)
    x = StandardScaler().fit_transform(members[:, :, 0].T.astype(float))
    found = Ensemble(C=0.5).fit(members, y, loss=ANY, seed=0).predict(members)[:, 0]
    np.testing.assert_allclose(found, Ridge(alpha=2.0).fit(x, y).predict(x), rtol=1e-4)


@pytest.mark.parametrize("model", ["logistic", "lightgbm"])
def test_each_of_several_labels_is_stacked_by_itself(model):
    """One column per label; a label that no row has gets probability 0."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (300, 3))
    y[:, 1] = 0
    members = np.clip(0.4 * y + 0.6 * rng.random((2, 300, 3)), 0.01, 0.99).astype(np.float32)
    p = Ensemble(model=model).fit(members, y, loss=LOSS, seed=0).predict(members)
    assert p.shape == (300, 3)
    assert (p[:, 1] == 0).all()
    assert p[y[:, 0] == 1, 0].mean() > p[y[:, 0] == 0, 0].mean() + 0.2


def test_a_class_missing_from_the_folds_gets_probability_zero():
    """Its column stays in its place."""
    y, members = case(3)
    seen = y != 1
    p = Ensemble().fit(members[:, seen], y[seen], loss=LOSS, seed=0).predict(members)
    assert p.shape == (len(y), 3)
    assert (p[:, 1] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_trees_learn_what_a_line_cannot():
    """Members that are right together and wrong apart: their interaction."""
    rng = np.random.default_rng(2)
    signs = rng.integers(0, 2, (2, 1000))
    y = (signs[0] == signs[1]).astype(int)
    members = np.clip(signs + rng.normal(0, 0.1, (2, 1000)), 0.05, 0.95)[:, :, None].astype(np.float32)
    trees, line = (
        Ensemble(model=model, C=1.0).fit(members, y, loss=LOSS, seed=0).predict(members)[:, 0]
        for model in ("lightgbm", "logistic")
    )
    assert ((trees > 0.5) == y).mean() > 0.95
    assert ((line > 0.5) == y).mean() < 0.7
