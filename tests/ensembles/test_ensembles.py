"""What every ensemble method keeps to."""

import numpy as np
import pytest

from podium import metrics, plugins
from podium.contracts import models
from podium.ensembles import EnsembleObjective
from podium.errors import PodiumError
from podium.tasks import binary, multiclass

METRIC = metrics.METRICS["log_loss"]


def make_loss(k):
    task = binary.Task(target="x") if k == 1 else multiclass.Task(target="x")
    return EnsembleObjective(lambda y, p, w: METRIC.loss(y, p, task), metric="log_loss")


def make_bank(n=300, m=5, k=1, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, max(k, 2), n)
    truth = (np.eye(k)[y] if k > 1 else y[:, None]).astype(float)
    p = np.clip(truth * 0.4 + rng.random((m, n, k)) * 0.6, 0.01, 0.99)
    p = p / p.sum(axis=2, keepdims=True) if k > 1 else p
    return y, p.astype(np.float32), rng.integers(0, 4, (n, 2))


def _of_scores():
    """Return the methods that combine vectors; tests of boxes are beside their own."""
    return [name for name in plugins.names("ensembles") if "boxes" not in plugins.find("ensembles", name, "x").combines]


@pytest.fixture(params=_of_scores())
def ensemble(request):
    return plugins.make("ensembles", request.param, {}, "here", "method")


@pytest.fixture(params=[1, 3], ids=["binary", "multiclass"])
def case(request):
    return (*make_bank(k=request.param), make_loss(request.param))


def test_predictions_are_probabilities(ensemble, case):
    """Float32 in [0, 1], one line per row; the rows of several classes sum to 1."""
    y, members, _, loss = case
    p = ensemble.fit(members, y, loss=loss, seed=0).predict(members)
    assert p.shape == members.shape[1:]
    assert p.dtype == np.float32
    assert p.min() >= 0
    assert p.max() <= 1
    if p.shape[1] > 1:
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_weights_sum_to_one(ensemble, case):
    """Where a method has weights of members, there is one each."""
    y, members, _, loss = case
    weights = ensemble.fit(members, y, loss=loss, seed=0).weights
    if weights is not None:
        assert weights.shape == (len(members),)
        assert weights.sum() == pytest.approx(1)


def test_the_same_seed_gives_the_same_bits(ensemble, case):
    """Twice the same input, twice the same output."""
    y, members, folds, loss = case
    once, again = (ensemble.cross_fit(members, y, folds, loss=loss, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_row_is_predicted_the_same_in_any_company(ensemble, case):
    """A fitted blend looks at one row at a time."""
    y, members, _, loss = case
    blend = ensemble.fit(members, y, loss=loss, seed=0)
    np.testing.assert_allclose(blend.predict(members[:, 10:17]), blend.predict(members)[10:17], atol=1e-7)


def test_a_saved_blend_predicts_the_same_bits(ensemble, case, tmp_path):
    """Weights, stacked models and rank tables alike."""
    y, members, _, loss = case
    blend = ensemble.fit(members, y, loss=loss, seed=0)
    models.save(blend, tmp_path, "full")
    np.testing.assert_array_equal(models.load(tmp_path, "full").predict(members), blend.predict(members))


def test_inputs_stay_as_they_are(ensemble, case):
    """Members are read, never written."""
    y, members, folds, loss = case
    before = members.copy()
    ensemble.cross_fit(members, y, folds, loss=loss, seed=0)
    np.testing.assert_array_equal(members, before)


def test_cross_fitting_never_sees_the_row_s_own_fold(ensemble, case):
    """Other labels in one fold change nothing there: the weights come from the other folds."""
    y, members, folds, loss = case
    folds = folds[:, :1]
    inside = folds[:, 0] == 2
    rng = np.random.default_rng(9)
    spoilt = np.where(inside, rng.permutation(y), y)
    before, after = (ensemble.cross_fit(members, labels, folds, loss=loss, seed=0) for labels in (y, spoilt))
    np.testing.assert_array_equal(before[inside], after[inside])


def test_repeats_are_averaged():
    """Two repeats give the mean of each by itself."""
    y, members, folds = make_bank()
    ensemble = plugins.make("ensembles", "hill_climb", {}, "here", "method")
    both, first, second = (
        ensemble.cross_fit(members, y, part, loss=make_loss(1), seed=0) for part in (folds, folds[:, :1], folds[:, 1:])
    )
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-6)


def test_weights_that_fit_noise_gain_naively_and_not_cross_fitted():
    """400 members of pure noise: the naive accuracy rises by choosing among them, the cross-fitted one does not."""
    rng = np.random.default_rng(4)
    n = 400
    y = rng.integers(0, 2, n)
    members = rng.random((400, n, 1)).astype(np.float32)
    accuracy, task = metrics.METRICS["accuracy"], binary.Task(target="x")
    loss = EnsembleObjective(lambda y, p, w: accuracy.loss(y, p, task))
    ensemble = plugins.make("ensembles", "hill_climb", {"rounds": 10}, "here", "method")
    naive = -loss(y, ensemble.fit(members, y, loss=loss, seed=0).predict(members))
    crossed = -loss(y, ensemble.cross_fit(members, y, rng.integers(0, 5, (n, 1)), loss=loss, seed=0))
    assert naive > 0.65
    assert crossed < 0.56


def test_the_mean_is_the_mean():
    """Against NumPy."""
    y, members, _ = make_bank()
    blend = plugins.make("ensembles", "mean", {}, "here", "method").fit(members, y, loss=make_loss(1), seed=0)
    np.testing.assert_allclose(blend.predict(members), members.mean(axis=0), atol=1e-7)


def test_each_fold_s_blend_is_fitted_on_the_other_rows_with_their_weights(ensemble):
    """The very blend of these rows alone, in each repeat."""
    y, members, folds = make_bank(n=90)
    weight = np.random.default_rng(1).uniform(0.1, 3, 90)
    task = binary.Task(target="x")
    loss = EnsembleObjective(lambda y, p, w: METRIC.loss(y, p, task, w), metric="log_loss", weight=weight)
    fitted = ensemble.fit_folds(members, y, folds, loss=loss, seed=0)
    assert set(fitted) == {(repeat, fold) for repeat in (0, 1) for fold in range(4)}
    for repeat, fold in ((0, 1), (1, 3)):
        rest = np.flatnonzero(folds[:, repeat] != fold)
        alone = EnsembleObjective(loss.score, metric="log_loss", weight=weight[rest])
        expected = ensemble.fit(members[:, rest], y[rest], loss=alone, seed=0).predict(members)
        np.testing.assert_array_equal(fitted[repeat, fold].predict(members), expected)


@pytest.mark.parametrize(
    ("name", "key", "good", "bad"),
    [
        ("hill_climb", "rounds", [1, 500], [0]),
        ("hill_climb", "best", [1, None], [0]),
        ("hill_climb", "bags", [1, 20], [0]),
        ("hill_climb", "fraction", [0.01, 1.0], [0.0, 1.01]),
        ("stack", "C", [1e-9, 5.0], [0.0, -1.0]),
        ("stack", "trees", [1], [0]),
        ("weighted", "precision", [1e-9, 0.99], [0.0, 1.0]),
    ],
)
def test_bounds_of_settings(name, key, good, bad):
    """Each end of a range belongs to it or does not."""
    for value in good:
        assert getattr(plugins.make("ensembles", name, {key: value}, "here", "method"), key) == value
    for value in bad:
        with pytest.raises(PodiumError, match=key):
            plugins.make("ensembles", name, {key: value}, "here", "method")
