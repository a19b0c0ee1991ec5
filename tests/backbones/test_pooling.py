import numpy as np
import pytest

from podium.backbones.pooling import POOLINGS

pytestmark = pytest.mark.keras
MAPS = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype(np.float32)
TOKENS = np.concatenate([np.full((2, 3, 5), 99.0, np.float32), MAPS.reshape(2, 12, 5)], axis=1)

BY_HAND = {
    "avg": MAPS.mean(axis=(1, 2)),
    "max": MAPS.max(axis=(1, 2)),
    "avg_max": np.concatenate([MAPS.mean(axis=(1, 2)), MAPS.max(axis=(1, 2))], axis=1),
    "gem": (np.maximum(MAPS, 1e-6).astype(np.float64) ** 3).mean(axis=(1, 2)) ** (1 / 3),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_map_is_pooled_over_its_places(name):
    """A map of height and width, and the same places as tokens after a prefix, give the same vector."""
    for maps, n_prefix in ((MAPS, 0), (TOKENS, 3)):
        np.testing.assert_allclose(np.asarray(POOLINGS[name](maps, n_prefix)), BY_HAND[name], rtol=1e-5)


def test_the_class_token_is_the_first():
    """Registers and places are left out."""
    np.testing.assert_array_equal(POOLINGS["cls"](TOKENS, 3), TOKENS[:, 0])


@pytest.mark.parametrize("name", ["head", "logits"])
def test_a_vector_stays_as_it_is(name):
    """What the network pooled itself is not pooled again."""
    assert POOLINGS[name](MAPS[:, 0, 0], 0) is not None
    np.testing.assert_array_equal(POOLINGS[name](MAPS[:, 0, 0], 0), MAPS[:, 0, 0])


def test_maps_are_kept_place_by_place():
    """For heatmaps: rows, then columns, then channels; a prefix is left out."""
    for maps, n_prefix in ((MAPS, 0), (TOKENS, 3)):
        np.testing.assert_array_equal(np.asarray(POOLINGS["maps"](maps, n_prefix)), MAPS.reshape(2, -1))
