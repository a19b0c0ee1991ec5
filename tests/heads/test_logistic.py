"""Logistic regression against scikit-learn's on standardised features."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from podium.heads import Training
from podium.heads.logistic import Head


def data_of(y, x, task, n_outputs):
    """Return rows of weight 1."""
    return Training(x.astype(np.float32), y, task, n_outputs, np.arange(len(x)), np.ones(len(x)), seed=0)


@pytest.fixture(params=["binary", "multiclass"])
def data(request):
    """Features of different scales, one of them constant."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 3))
    x = hidden @ rng.normal(size=(3, 8)) * [1, 10, 0.1, 1, 1, 1, 0, 100] + 5
    x += 0.5 * x.std(axis=0) * rng.normal(size=(300, 8))
    if request.param == "binary":
        return data_of((hidden[:, 0] > 0).astype(int), x, "binary", 1)
    return data_of(hidden.argmax(axis=1), x, "multiclass", 3)


@pytest.mark.parametrize("C", [0.003, 1.0])
def test_agrees_with_scikit_learn(data, C):
    """Probabilities agree to three places, for two classes P(positive) alone."""
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000, tol=1e-8)).fit(data.x, data.y)
    expected = oracle.predict_proba(data.x)[:, 1 if data.task == "binary" else 0 :]
    np.testing.assert_allclose(Head(C=C, tolerance=1e-9).fit(data).predict(data.x), expected, atol=5e-4)


def test_weight_two_is_the_row_twice(data):
    """But for the scaler, which takes rows as they are: hence features of unit scale."""
    x = (data.x - data.x.mean(axis=0)) / np.maximum(data.x.std(axis=0), 1e-3)
    half = np.arange(len(x)) % 2
    data = dataclasses.replace(data, x=np.concatenate([x, x]).astype(np.float32), y=np.tile(data.y, 2))
    weighted = dataclasses.replace(data, weight=np.tile(1.0 + half, 2), group=np.arange(len(data.x)))
    at = np.concatenate([np.arange(len(data.x)), np.flatnonzero(np.tile(half, 2))])
    twice = dataclasses.replace(data, x=data.x[at], y=data.y[at], weight=np.ones(len(at)), group=np.arange(len(at)))
    np.testing.assert_allclose(Head(C=0.1).fit(weighted).predict(x), Head(C=0.1).fit(twice).predict(x), atol=0.02)


def test_a_label_that_no_row_has_is_predicted_so():
    """A fold may lack a rare label: no crash, and no other label's loss."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 4))
    y = np.column_stack([x[:, 0] > 0, np.zeros(80), np.ones(80)]).astype(np.int64)
    p = Head(C=1.0).fit(data_of(y, x, "multilabel", 3)).predict(x.astype(np.float32))
    assert (p[:, 1] == 0).all()
    assert (p[:, 2] == 1).all()
    assert ((p[:, 0] > 0.5) == y[:, 0]).mean() > 0.9


def test_labels_are_fitted_at_once_as_if_alone():
    """Each label's probabilities are those of its own binary model."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(120, 5)).astype(np.float32)
    y = (x[:, :3] + rng.normal(size=(120, 3)) > [0, 1, -1]).astype(np.int64)
    together = Head(C=0.1, tolerance=1e-9).fit(data_of(y, x, "multilabel", 3)).predict(x)
    for j in range(3):
        alone = Head(C=0.1, tolerance=1e-9).fit(data_of(y[:, j], x, "binary", 1)).predict(x)
        np.testing.assert_allclose(together[:, j], alone[:, 0], atol=1e-4)


def test_of_a_grid_the_best_on_inner_folds_is_taken(data):
    """Noise features ask for a strong penalty, which the grid's choice has; the whole grid costs no accuracy."""
    rng = np.random.default_rng(3)
    noise = data_of(data.y, rng.normal(size=(300, 100)), data.task, data.n_outputs)
    grid = (1.0, 1e-5, 0.1)
    np.testing.assert_allclose(
        Head(C=grid).fit(noise).predict(noise.x), Head(C=1e-5).fit(noise).predict(noise.x), atol=1e-3
    )
    chosen = Head(C=grid, tolerance=1e-9).fit(data).predict(data.x)
    alone = [Head(C=C, tolerance=1e-9).fit(data).predict(data.x) for C in grid]
    assert min(np.abs(chosen - p).max() for p in (alone[0], alone[2])) < 1e-3


def test_a_rare_class_converges_like_the_others():
    """One row of fifty: the preconditioner is not for balanced classes only."""
    rng = np.random.default_rng(4)
    y = (rng.random(2000) < 0.02).astype(int)
    x = rng.normal(size=(2000, 30)) + 1.5 * y[:, None] * rng.normal(size=30)
    data = data_of(y, x, "binary", 1)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000, tol=1e-8)).fit(data.x, y)
    ours = Head(C=0.1, tolerance=1e-9).fit(data).predict(data.x)
    np.testing.assert_allclose(ours[:, 0], oracle.predict_proba(data.x)[:, 1], atol=1e-3)
