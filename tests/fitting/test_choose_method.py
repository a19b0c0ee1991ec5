"""The referee: which method, and why."""

import numpy as np
import pytest

from podium import metrics, plugins
from podium.ensembles import Blend, Ensemble, EnsembleObjective, WeightedSum
from podium.fitting.choose_method import _error, choose_method
from podium.tasks.binary import Task

METRIC, TASK = metrics.METRICS["log_loss"], Task(target="x")
LOSS = EnsembleObjective(lambda y, p, w: METRIC.loss(y, p, TASK), metric="log_loss")


def make(names):
    return {name: plugins.make("ensembles", name, {}, "here", "method") for name in names}


class Fixed(Ensemble):
    """A method that always takes one member."""

    member: int

    def fit(self, members, y, *, loss, seed):
        return WeightedSum(np.eye(len(members))[self.member])


@pytest.fixture
def case():
    """Three members: good, as good, and poor."""
    rng = np.random.default_rng(0)
    n = 1000
    y = rng.integers(0, 2, n)

    def member(skill, seed):
        noise = np.random.default_rng(seed).random(n)
        return np.clip(skill * y + (1 - skill) * noise, 0.01, 0.99)

    members = np.stack([member(0.4, 1), member(0.4, 2), member(0.1, 3)])[:, :, None].astype(np.float32)
    return members, y, rng.integers(0, 5, (n, 1))


def verdict(methods, case):
    members, y, folds = case
    return choose_method(methods, members, y, folds, loss=LOSS, seed=0)


def test_hill_climbing_is_kept_where_it_beats_the_mean(case):
    """A poor member spoils the mean; the reason says so."""
    found = verdict(make(["mean", "hill_climb"]), case)
    assert found.method == "hill_climb"
    assert found.table["verdict"].tolist() == [
        "the default, better than the mean",
        "no better than hill_climb",
    ]


def test_the_mean_is_taken_where_weights_gain_nothing(case):
    """Members that are all alike: whatever is learnt is noise."""
    _, y, folds = case
    rng = np.random.default_rng(5)
    alike = np.clip(0.3 * y[:, None] + 0.7 * rng.random((8, len(y), 1)), 0.01, 0.99).astype(np.float32)
    found = verdict(make(["mean", "hill_climb"]), (alike, y, folds))
    assert found.method == "mean"
    assert found.table["verdict"][0] == "no worse than hill_climb, and learns nothing"
    assert found.table.set_index("method")["gain"]["hill_climb"] <= 0


@pytest.mark.parametrize(("better", "chosen"), [(0.1, "other"), (0.017, "hill_climb")])
def test_another_method_must_gain_more_than_one_standard_error(case, better, chosen):
    """A sure gain is taken, a gain within the noise is not."""
    members, y, folds = case
    # The other method's member is the first one, moved towards the truth by a little, more or less.
    shift = np.random.default_rng(8).normal(better, 0.1, len(y))[:, None]
    third = np.clip(members[0] + shift * (2 * y[:, None] - 1), 0.01, 0.99)
    members = np.stack([members[0], members[0], third.astype(np.float32)])

    class Climb(Fixed):
        member: int = 0

    class Other(Fixed):
        member: int = 2

    found = choose_method({"hill_climb": Climb(), "other": Other()}, members, y, folds, loss=LOSS, seed=0)
    assert found.method == chosen
    line = found.table.set_index("method").loc["other"]
    assert (line["gain"] > line["standard_error"]) == (chosen == "other")
    assert line["verdict"] == f"gains {'more' if chosen == 'other' else 'less'} than one standard error on hill_climb"


def test_the_standard_error_is_that_of_the_paired_difference(case):
    """Near the textbook formula where rows are independent; far below that of either score alone."""
    members, y, folds = case
    a, b = members[0], (members[0] * 0.98 + 0.01).astype(np.float32)
    rows = np.log(np.where(y == 1, b[:, 0], 1 - b[:, 0])) - np.log(np.where(y == 1, a[:, 0], 1 - a[:, 0]))
    expected = rows.std() / np.sqrt(len(rows))
    found = _error(y, a, b, folds, LOSS)
    assert expected * 0.6 < found < expected * 2.5
    assert found < 0.3 * metrics.jackknife(lambda kept: LOSS(y[kept], a[kept]), len(y))


def test_folds_that_differ_widen_the_error(case):
    """A gain of one fold only is not sure, however many rows it has."""
    _, y, folds = case
    a = np.full((len(y), 1), 0.5, np.float32)
    b = a.copy()
    one = folds[:, 0] == 0
    b[one, 0] = np.where(y[one] == 1, 0.7, 0.3)
    assert _error(y, a, b, folds, LOSS) > 2 * metrics.jackknife(lambda k: LOSS(y[k], a[k]) - LOSS(y[k], b[k]), len(y))


def test_both_scores_of_each_method_are_shown(case):
    """The chosen method first; naive is learnt on the rows it is scored on, so optimism is visible."""
    y = case[1]
    found = verdict(make(["hill_climb", "mean", "stack", "weighted"]), case)
    assert found.table["method"][0] == found.method
    assert sorted(found.table["method"]) == ["hill_climb", "mean", "stack", "weighted"]
    table = found.table.set_index("method")
    assert table["naive"]["mean"] == pytest.approx(table["cross_fitted"]["mean"])
    assert (table["naive"] <= table["cross_fitted"] + 1e-6).all()
    assert isinstance(found.blend, Blend)
    assert LOSS(y, found.cross_fitted) == pytest.approx(table["cross_fitted"][found.method])


def test_a_single_method_is_itself(case):
    """Nothing to compare."""
    found = verdict(make(["weighted"]), case)
    assert (found.method, len(found.table)) == ("weighted", 1)
