"""Hill climbing against a naive loop that knows nothing of its shortcuts."""

from dataclasses import replace

import numpy as np
import pytest

from podium import metrics
from podium.contracts import models
from podium.ensembles import EnsembleObjective
from podium.ensembles.hill_climb import Ensemble
from podium.ensembles.screens import screen
from podium.fitting.scoring import Scoring, Submission
from podium.tasks import binary, multiclass

BINARY, MULTICLASS = binary.Task(target="x"), multiclass.Task(target="x")


def loss(name, task, clip=None):
    metric = metrics.find(name, "here")
    return EnsembleObjective(lambda y, p, w: metric.loss(y, p, task), limits=clip or (0.0, 1.0), metric=name)


def bank(rng, m, n, k):
    """Members of varied skill; `k` = 1 is binary."""
    y = rng.integers(0, max(k, 2), n)
    truth = np.eye(k)[y] if k > 1 else y[:, None]
    noise = rng.random((m, n, k))
    skill = rng.uniform(0.1, 0.6, (m, 1, 1))
    p = skill * truth + (1 - skill) * noise
    return y, (p / p.sum(axis=2, keepdims=True) if k > 1 else p).astype(np.float32)


def test_values_without_limits_are_kept_on_disk(tmp_path):
    """JSON has no infinity; the blend predicts the same when it is read back."""
    rng = np.random.default_rng(0)
    y, members = bank(rng, 3, 50, 1)
    unbounded = loss("log_loss", BINARY, clip=(-np.inf, np.inf))
    blend = Ensemble(rounds=5).fit(members, y, loss=unbounded, seed=0)
    models.save(blend, tmp_path, "full")
    np.testing.assert_array_equal(models.load(tmp_path, "full").predict(members), blend.predict(members))


def naive(members, y, score, rounds):
    """Caruana's algorithm as one would explain it."""
    chosen, best = [], (np.inf, 0)
    for _ in range(rounds):
        tries = [score(y, np.mean([members[j] for j in [*chosen, new]], axis=0)) for new in range(len(members))]
        chosen.append(int(np.argmin(tries)))
        if min(tries) < best[0] - 1e-9:
            best = (min(tries), len(chosen))
    return np.bincount(chosen[: best[1]], minlength=len(members)) / best[1]


@pytest.mark.parametrize("clip", [None, (0.1, 0.7)])
@pytest.mark.parametrize(("k", "task"), [(1, BINARY), (4, MULTICLASS)])
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "auc"])
def test_agrees_with_the_naive_loop(metric, k, task, clip):
    """The same weights for each metric, clipped or not, and by the shortcut of log loss or without it."""
    y, members = bank(np.random.default_rng(k), 6, 150, k)
    score = loss(metric, task, clip)
    fitted = Ensemble(rounds=15).fit(members, y, loss=score, seed=0)
    expected = naive(members.astype(np.float64), y, score, 15)
    if metric == "log_loss":
        np.testing.assert_allclose(fitted.weights, expected)
    # Metrics with ties may choose another member where two sums differ in the last bit; never a worse one.
    best = score(y, np.tensordot(expected, members, 1))
    assert score(y, fitted.predict(members)) <= best + 1e-3


@pytest.mark.parametrize(
    ("how", "clip"),
    [({}, None), ({}, (0.2, 0.6)), ({"best": 4}, None), ({"bags": 2}, (0.1, 0.9)), ({"negative": True}, None)],
)
@pytest.mark.parametrize(("name", "k"), [(name, k) for name in ("accuracy", "auc", "brier") for k in (1, 3)])
def test_bounds_change_no_choice(name, k, how, clip):
    """Weighted, or with rounded probabilities, so that many tie: the same members in the same order and losses."""
    task, metric, smooth = (MULTICLASS, BINARY)[k == 1], metrics.METRICS[name], metrics.METRICS["log_loss"]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        y, members = bank(rng, 8, 50, k)
        plain = EnsembleObjective(
            lambda y, p, w: metric.loss(y, p, task, w),
            limits=clip or (0.0, 1.0),
            weight=rng.integers(1, 4, 50).astype(float) if seed % 2 else None,
            ties=(lambda y, p, w: smooth.loss(y, p + 1e-3, task, w)) if name == "accuracy" and seed < 3 else None,
        )
        one, other = (
            Ensemble(rounds=10, **how).fit(members.round(1) if seed else members, y, loss=objective, seed=0)
            for objective in (plain, replace(plain, metric=name))
        )
        np.testing.assert_array_equal(one.weights, other.weights)
        assert one.path == other.path


@pytest.mark.parametrize(("name", "k"), [("accuracy", 4), ("auc", 1), ("auc", 4), ("brier", 4)])
def test_bounds_hold_and_leave_few(name, k):
    """Every candidate's loss is within its bounds, and most need not be computed."""
    rng = np.random.default_rng(3)
    y, members = bank(rng, 40, 500, k)
    members = (members + 5 * rng.dirichlet(np.ones(max(k, 2)), (40, 500))[..., :k].astype(np.float32)) / 6
    bounds = screen(name, members, y, (0.0, 1.0), None)
    total, task = members[0] + members[5], (MULTICLASS, BINARY)[k == 1]
    low, high = bounds(total, 2, 1)
    exact = [metrics.METRICS[name].loss(y, (total + member) / np.float32(3), task) for member in members]
    assert (low <= exact).all()
    assert (exact <= high).all()
    assert (low <= high.min()).sum() <= 4


def test_multiclass_rows_that_do_not_sum_to_one_take_the_long_way():
    """The shortcut is for probabilities only; scores that the metric rescales give the naive loop's weights too."""
    y, members = bank(np.random.default_rng(5), 5, 120, 3)
    members = members * np.random.default_rng(6).uniform(0.2, 1.0, (5, 120, 1)).astype(np.float32)
    score = loss("log_loss", MULTICLASS)
    fitted = Ensemble(rounds=10).fit(members, y, loss=score, seed=0)
    np.testing.assert_allclose(fitted.weights, naive(members.astype(np.float64), y, score, 10))


def test_multilabel_log_loss_is_its_mean_over_labels():
    """Targets `(n, labels)` are scored by the metric itself."""
    rng = np.random.default_rng(7)
    y = rng.integers(0, 2, (80, 3))
    members = np.clip(rng.random((4, 80, 3)) * 0.6 + 0.4 * y, 0, 1).astype(np.float32)
    score = loss("log_loss", None)
    fitted = Ensemble(rounds=10).fit(members, y, loss=score, seed=0)
    np.testing.assert_allclose(fitted.weights, naive(members.astype(np.float64), y, score, 10))


def test_a_tie_goes_to_the_first_name():
    """Two members with the same predictions: the first one gets the whole weight."""
    y, members = bank(np.random.default_rng(1), 1, 100, 1)
    twins = np.concatenate([members, members])
    fitted = Ensemble().fit(twins, y, loss=loss("log_loss", BINARY), seed=0)
    np.testing.assert_array_equal(fitted.weights, [1, 0])


def test_blocks_of_candidates_do_not_change_the_choice(monkeypatch):
    """The block length is a matter of speed."""
    y, members = bank(np.random.default_rng(3), 9, 100, 1)
    score = loss("log_loss", BINARY)
    expected = Ensemble().fit(members, y, loss=score, seed=0).weights
    monkeypatch.setattr("podium.ensembles.hill_climb._BLOCK", 1)
    np.testing.assert_array_equal(Ensemble().fit(members, y, loss=score, seed=0).weights, expected)


def test_never_worse_than_the_best_member():
    """The first step is the best member, and only a better prefix replaces it."""
    y, members = bank(np.random.default_rng(2), 8, 200, 1)
    score = loss("log_loss", BINARY)
    fitted = Ensemble().fit(members, y, loss=score, seed=0)
    assert score(y, fitted.predict(members)) <= min(score(y, p) for p in members) + 1e-6


def test_best_limits_the_choice():
    """The two members of the lowest loss, and no other."""
    y, members = bank(np.random.default_rng(4), 8, 200, 1)
    score = loss("log_loss", BINARY)
    fitted = Ensemble(best=2).fit(members, y, loss=score, seed=0)
    assert set(np.flatnonzero(fitted.weights)) <= set(np.argsort([score(y, p) for p in members])[:2])


def test_bags_are_averaged_over_random_halves():
    """Each bag may use half of the members; another seed gives other bags, the same seed the same ones."""
    y, members = bank(np.random.default_rng(4), 10, 200, 1)
    score = loss("log_loss", BINARY)
    first, again, other = (
        Ensemble(bags=5, rounds=20).fit(members, y, loss=score, seed=seed).weights for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    lone = Ensemble(rounds=20).fit(members, y, loss=score, seed=1).weights
    assert np.count_nonzero(first) > np.count_nonzero(lone)


@pytest.mark.parametrize(("k", "task"), [(1, BINARY), (3, MULTICLASS)])
def test_negative_weights_undo_a_shared_error(k, task):
    """A member that is another's error: only taking it away helps, and the blend stays within the limits."""
    rng = np.random.default_rng(6)
    y = rng.integers(0, max(k, 2), 400)
    truth = np.eye(k)[y] if k > 1 else y[:, None].astype(float)
    error = rng.dirichlet(np.ones(k), 400) if k > 1 else rng.random((400, 1))
    clean = 0.5 * truth + 0.5 / max(k, 2)
    members = np.stack([0.6 * clean + 0.4 * error, error]).astype(np.float32)
    score = loss("log_loss", task)
    plain, negative = (Ensemble(negative=flag).fit(members, y, loss=score, seed=0) for flag in (False, True))
    assert negative.weights[1] < 0 <= plain.weights[1]
    assert negative.weights.sum() == pytest.approx(1)
    p = negative.predict(members)
    assert score(y, p) < score(y, plain.predict(members)) - 0.01
    assert 0 <= p.min() <= p.max() <= 1


def test_the_path_tells_each_step():
    """Its last gain is the loss of the blend; every step is there, also those after it."""
    y, members = bank(np.random.default_rng(2), 5, 200, 1)
    score = loss("log_loss", BINARY)
    fitted = Ensemble(rounds=12).fit(members, y, loss=score, seed=0)
    assert len(fitted.path) == 12
    assert min(value for _, value in fitted.path) == pytest.approx(score(y, fitted.predict(members)), abs=1e-5)


def test_where_accuracy_sees_no_difference_log_loss_decides():
    """Members that decide alike: without it the first by name is taken, however poor its probabilities."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    sure = np.where(rng.random(200) < 0.8, y, 1 - y)
    poor, good = (np.where(sure == 1, 0.5 + by, 0.5 - by)[:, None] for by in (0.01, 0.3))
    members = np.stack([poor, good]).astype(np.float32)
    scored = Scoring(BINARY, (metrics.METRICS["accuracy"],), Submission())
    blind = replace(scored.objective(), ties=None)
    assert Ensemble(rounds=20).fit(members, y, loss=blind, seed=0).weights.tolist() == [1.0, 0.0]
    fitted = Ensemble(rounds=20).fit(members, y, loss=scored.objective(), seed=0)
    log_loss = loss("log_loss", BINARY)
    assert log_loss(y, fitted.predict(members)) <= log_loss(y, members[1])
    weight = np.where(sure == y, 0.01, 1.0)  # the wrong rows weigh most: now the cautious one is better
    fitted = Ensemble(rounds=20).fit(members, y, loss=scored.objective(weight), seed=0)
    assert fitted.weights.tolist() == [1.0, 0.0]


def test_a_bag_holds_its_share_of_the_members():
    """All of them: each bag is the plain climb. Three of ten: no bag has a fourth."""
    y, members = bank(np.random.default_rng(4), 10, 200, 1)
    score = loss("log_loss", BINARY)
    lone = Ensemble(rounds=20).fit(members, y, loss=score, seed=1).weights
    bagged = Ensemble(rounds=20, bags=3, fraction=1.0).fit(members, y, loss=score, seed=1).weights
    np.testing.assert_allclose(bagged, lone)
    objective = score.objective(y, members)
    for how, size, pool in (
        ({"fraction": 0.3}, 3, 10),
        ({"fraction": 0.3, "best": 7}, 2, 7),
        ({"fraction": 0.01}, 1, 10),
    ):
        chosen = list(Ensemble(bags=200, **how)._bags(objective, seed=0))
        assert {(len(bag), len(set(bag))) for bag in chosen} == {(size, size)}
        assert len(set(np.concatenate(chosen))) == pool
