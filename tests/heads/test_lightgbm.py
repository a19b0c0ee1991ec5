"""LightGBM stops early by rows that its trees never see."""

import numpy as np
import pytest

from podium.heads import Training
from podium.heads.lightgbm import Head
from podium.splits import folds

pytestmark = pytest.mark.slow


@pytest.fixture
def noise():
    """Targets that nothing can be learnt about: every tree is one too many."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    return Training(x, rng.integers(0, 2, 400), "binary", 1, np.arange(400) // 2, np.ones(400), seed=1)


def spread(head, data):
    """How far predictions are from a constant."""
    return head.fit(data).predict(data.x).std()


def test_patience_stops_before_noise_is_learnt_by_heart(noise):
    """Without patience all rounds are used."""
    many = {"rounds": 200, "feature_fraction": 1.0, "min_leaf": 5}
    assert spread(Head(**many, patience=5), noise) < 0.25 * spread(Head(**many), noise)


def test_the_rows_to_stop_by_are_whole_groups(noise):
    """An image's views are on one side; classes are even on both."""
    part = folds.inner(noise.y, noise.group, 6, 1, is_value=False)
    assert all(len(set(part[noise.group == g])) == 1 for g in range(200))
    assert np.bincount(part).tolist() == pytest.approx([400 / 6] * 6, abs=2)
    assert abs(noise.y[part == 0].mean() - noise.y.mean()) < 0.02
