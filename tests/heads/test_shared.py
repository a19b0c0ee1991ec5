"""Scaling, principal components and calibration against scikit-learn."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from podium import heads
from podium.heads import Training, knn, ridge, shared


@pytest.mark.parametrize("n", [30, 200])
def test_components_are_scikit_learns_but_for_one_scale(n):
    """With more rows than features and with fewer; distances are what a kernel needs."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(n, 60)) @ rng.normal(size=(60, 60)) + 3).astype(np.float32)
    new = x[:10] + 1
    scaler = StandardScaler().fit(x)
    oracle = PCA(8, svd_solver="full").fit(scaler.transform(x)).transform(scaler.transform(new))
    ours = shared.reduce(x, 8).predict
    assert ours(x).shape == (n, 8)
    assert ours(x).var() == pytest.approx(1, rel=1e-3)

    def distances(points):
        return np.linalg.norm(points[:, None] - points, axis=2)

    ratio = distances(ours(new))[0, 1] / distances(oracle)[0, 1]
    np.testing.assert_allclose(distances(ours(new)), ratio * distances(oracle), atol=1e-3)


def test_more_components_than_there_are_is_said_once(capsys):
    """All are taken; a fold of the same size has nothing to add."""
    shared._say.cache_clear()
    x = np.random.default_rng(0).normal(size=(30, 60)).astype(np.float32)
    all_of_them = shared.reduce(x, 30).predict(x)
    assert not capsys.readouterr().err
    for _ in range(2):
        np.testing.assert_array_equal(shared.reduce(x, 256).predict(x), all_of_them)
    assert capsys.readouterr().err == "pca: 256 components of 30 rows with 60 features: all 30 that there are\n"


def test_a_constant_column_is_no_division_by_zero():
    """It becomes 0, for new rows too."""
    x = np.array([[1, 5], [2, 5], [3, 5]], np.float32)
    assert shared.standardize(x).predict(np.array([[2, 9]], np.float32)).tolist() == [[0, 0]]


def test_platts_sigmoid():
    """Slope and offset agree with scikit-learn's, for decisions on a scale of their own."""
    rng = np.random.default_rng(1)
    n = 400
    truth = rng.random(n) < 0.3
    decision = 50 * (truth + rng.normal(size=n)) - 20
    weight = rng.uniform(0.5, 2, n)
    oracle = _SigmoidCalibration().fit(decision, truth.astype(int), weight)
    slope, offset = shared._platt(decision, truth, weight)
    new = np.linspace(-100, 100, 9)
    np.testing.assert_allclose(1 / (1 + np.exp(-(slope * new + offset))), oracle.predict(new), atol=5e-3)


def test_platts_sigmoid_of_separable_decisions_is_finite():
    """Smoothed targets keep probabilities from 0 and 1."""
    slope, offset = shared._platt(np.repeat([-1.0, 1.0], 50), np.repeat([False, True], 50), np.ones(100))
    assert 0.95 < 1 / (1 + np.exp(-(slope + offset))) < 0.995


class Cheat(heads.Head):
    """Knows by heart what it was trained on, and nothing of other rows."""

    def fit(self, data):
        """Keep the rows."""
        known = {row.tobytes(): 10.0 * y for row, y in zip(data.x, data.y, strict=True)}
        return SimpleNamespace(predict=lambda x: np.array([[known.get(row.tobytes(), 5.0)] for row in x]))


def test_calibration_trusts_only_decisions_on_unseen_rows():
    """A model that knows its training rows by heart and nothing else is worth nothing: about the prior."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(90, 2)).astype(np.float32), np.arange(90) % 3 == 0
    data = Training(x, y.astype(int), "binary", 1, np.arange(90), np.ones(90), seed=0)
    p = shared.calibrated(data, Cheat().fit, 3).predict(x)
    np.testing.assert_allclose(p, 1 / 3, atol=0.1)


@pytest.mark.parametrize("n", [40, 300])
def test_ridge_is_the_closed_form(n):
    """For values, with weights, with more features than rows and with fewer: the normal equations by hand."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 80)).astype(np.float32)
    y, weight = x[:, 0] + rng.normal(size=n), rng.uniform(0.5, 2, n)
    data = Training(x, y, "regression", 1, np.arange(n), weight, seed=0)
    scaled = np.column_stack([StandardScaler().fit_transform(x), np.ones(n)])
    penalty = 0.3 * weight.sum() * np.diag([1.0] * 80 + [0.0])  # the intercept has none
    solution = np.linalg.solve((scaled.T * weight) @ scaled + penalty, (scaled.T * weight) @ y)
    oracle = scaled @ solution
    np.testing.assert_allclose(ridge.Head(alpha=0.3).fit(data).predict(x)[:, 0], oracle, atol=1e-3)


def test_neighbours_are_scikit_learns():
    """At a high temperature all weigh the same; without a prior it is the share of the neighbours' classes."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 6)).astype(np.float32)
    y = x[:, :3].argmax(axis=1)
    data = Training(x[:150], y[:150], "multiclass", 3, np.arange(150), np.ones(150), seed=0)
    scaler = StandardScaler().fit(x[:150])
    oracle = KNeighborsClassifier(7, metric="cosine").fit(scaler.transform(x[:150]), y[:150])
    head = knn.Head(neighbours=7, temperature=1e6, pca=None, prior=0)
    np.testing.assert_allclose(
        head.fit(data).predict(x[150:]), oracle.predict_proba(scaler.transform(x[150:])), atol=1e-4
    )
    heavy = dataclasses.replace(data, weight=np.where(y[:150] == 0, 1e6, 1.0))
    assert (head.fit(heavy).predict(x[150:])[:, 0] > 0.99).mean() > 0.6
