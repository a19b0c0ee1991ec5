"""Blends of members against SciPy and loops."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import rankdata

from podium.contracts import blends
from podium.contracts.steps import Affine


def members_of(m=3, n=6, k=3, seed=0):
    p = np.random.default_rng(seed).dirichlet(np.ones(k), (m, n))
    return p.astype(np.float32)


def test_a_weighted_sum():
    """Number by number, float32; a member of weight 0 is not looked at."""
    members = members_of()
    weights = np.array([0.25, 0.0, 0.75])
    expected = [
        [0.25 * a + 0.75 * b for a, b in zip(*rows, strict=True)] for rows in zip(members[0], members[2], strict=True)
    ]
    members[1] = np.nan
    found = blends.WeightedSum(weights).predict(members)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_negative_weights_stay_probabilities():
    """Brought back within the limits and to a sum of 1; values, and a single column, are only brought back."""
    members = members_of()
    weights = np.array([1.5, -1.0, 0.5])
    raw = (1.5 * members[0] - members[1] + 0.5 * members[2]).clip(0, 1)
    expected = raw / raw.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(blends.WeightedSum(weights).predict(members), expected, rtol=1e-5)
    one = members[:, :, :1]
    clipped = (1.5 * one[0] - one[1] + 0.5 * one[2]).clip(0.1, 0.4)
    assert (clipped == 0.1).any()
    np.testing.assert_allclose(blends.WeightedSum(weights, 0.1, 0.4).predict(one), clipped, rtol=1e-5)
    positive = np.array([1.2, 0.3, 0.5])  # no weight is negative: a sum above the limits is nobody's mistake
    assert blends.WeightedSum(positive).predict(np.ones((3, 1, 1)))[0, 0] == pytest.approx(2.0)


def test_mean_ranks_are_scipys():
    """Of the known rows themselves: the mean of their ranks, ties at their mean, on the members' mean scale."""
    rng = np.random.default_rng(0)
    x = rng.random((2, 40, 1)).round(1)
    ladder = np.sort(x, axis=1)
    found = blends.RankMean(np.full(2, 0.5), ladder, is_simplex=False).predict(x)
    ranks = np.mean([rankdata(member[:, 0]) - 1 for member in x], axis=0)
    quantiles = ladder.mean(axis=0)[:, 0]
    np.testing.assert_allclose(found[:, 0], np.interp(ranks, range(40), quantiles), rtol=1e-6)
    rows = members_of(2, 40, 3)
    shares = blends.RankMean(np.full(2, 0.5), np.sort(rows, axis=1), is_simplex=True).predict(rows)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    plain = blends.RankMean(np.full(2, 0.5), np.sort(rows, axis=1), is_simplex=False).predict(rows)
    np.testing.assert_allclose(shares, plain / plain.sum(axis=1, keepdims=True), rtol=1e-6)


def test_stacking_takes_logits_member_by_member():
    """No surer than 1e-4; values as they are."""
    members = np.array([[[0.2, 0.8], [0.0, 1.0]], [[0.5, 0.5], [0.99999, 0.00001]]], np.float32)
    expected = logit(np.clip([[0.2, 0.8, 0.5, 0.5], [0, 1, 0.99999, 0.00001]], 1e-4, 1 - 1e-4))
    np.testing.assert_allclose(blends.stack_inputs(members, is_value=False), expected, rtol=1e-5)
    np.testing.assert_array_equal(blends.stack_inputs(members, is_value=True), members.swapaxes(0, 1).reshape(2, 4))
    stacked = blends.Stacked(None, Affine(2.0, 0.0), True, -1.5, 1.5)
    values = np.array([[[0.5], [-3.0]]])
    np.testing.assert_array_equal(stacked.predict(values), [[1.0], [-1.5]])


def test_the_complement():
    """First the first class."""
    np.testing.assert_allclose(blends.Complement().predict(np.array([[0.3], [1.0]])), [[0.7, 0.3], [0, 1]])


@pytest.mark.parametrize(
    ("p", "are"),
    [([[0.3, 0.7]], True), ([[0.3, 0.70009]], True), ([[0.3, 0.7002]], False), ([[0.3, 0.6]], False), ([[1.0]], False)],
)
def test_what_probabilities_of_classes_are(p, are):
    """They sum to 1, but for the rounding of float32; a single column never is one."""
    assert blends.are_distributions(np.array(p)) == are
