"""The mean of ranks against SciPy's ranks."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from podium.ensembles import EnsembleObjective
from podium.ensembles.rank_mean import Ensemble

LOSS = EnsembleObjective(lambda y, p, w: 0.0)


@pytest.fixture
def members():
    rng = np.random.default_rng(0)
    base = rng.random(300)
    return np.stack([base, base**4, rng.random(300).round(1)])[:, :, None].astype(np.float32)


def test_it_orders_rows_by_their_mean_rank(members):
    """Ties have their mean rank."""
    p = Ensemble().fit(members, np.zeros(300, int), loss=LOSS, seed=0).predict(members)[:, 0]
    expected = np.mean([rankdata(member[:, 0]) for member in members], axis=0)
    assert spearmanr(p, expected).statistic == pytest.approx(1)


def test_values_are_on_the_members_scale(members):
    """One member gives itself back; several give their mean quantiles."""
    alone = members[1:2]
    blend = Ensemble().fit(alone, np.zeros(300, int), loss=LOSS, seed=0)
    np.testing.assert_allclose(blend.predict(alone), alone[0], atol=1e-6)
    twins = members[:2]  # the same order, so the same ranks
    p = Ensemble().fit(twins, np.zeros(300, int), loss=LOSS, seed=0).predict(twins)
    np.testing.assert_allclose(p, twins.mean(axis=0), atol=1e-6)


def test_a_scale_does_not_matter(members):
    """A member whose probabilities are all ten times too small has the same say."""
    small = members.copy()
    small[0] /= 10
    both = [
        Ensemble().fit(case, np.zeros(300, int), loss=LOSS, seed=0).predict(case)[:, 0] for case in (members, small)
    ]
    assert spearmanr(*both).statistic == pytest.approx(1)


def test_new_rows_beyond_the_known_range_stay_in_it(members):
    """A test row surer than every train row gets the highest value known."""
    half = members[:2] * np.float32(0.5)
    blend = Ensemble().fit(half, np.zeros(300, int), loss=LOSS, seed=0)
    quantiles = np.sort(half, axis=1).mean(axis=0)
    for value, expected in ((0.0, quantiles[0, 0]), (1.0, quantiles[-1, 0])):
        assert blend.predict(np.full((2, 1, 1), value, np.float32))[0, 0] == pytest.approx(expected)
