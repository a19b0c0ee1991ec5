"""Covering places finds what an answer rests on."""

import numpy as np
import pytest

from podium.serving import occlusion


@pytest.mark.parametrize("shape", [(64, 96), (2000, 500), (8, 8), (3, 1)])
def test_the_place_that_an_answer_rests_on_is_found(shape):
    """A value that is the brightness of one corner: covering it lowers the value, covering anything else nothing."""
    height, width = shape
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[: max(1, height // 8), : max(1, width // 8)] = 250

    def predict(pictures):
        return np.array([[one[: max(1, len(one) // 8), : max(1, one.shape[1] // 8)].mean()] for one in pictures])

    heat = occlusion.heatmap(pixels, predict, is_value=True)
    assert heat.shape == (8, 8)
    assert heat.argmax() == 0
    if min(shape) >= 8:
        np.testing.assert_allclose(heat[2:], 0, atol=1e-9)
        np.testing.assert_allclose(heat[:, 2:], 0, atol=1e-9)


def test_evidence_is_in_logits_for_the_likeliest_label():
    """What speaks against it is negative."""
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[40:50, 40:50], pixels[:10, :10] = 200, 100

    def predict(pictures):
        logits = np.array([one[40:50, 40:50].mean() - 3 * one[:10, :10].mean() for one in pictures]) / 200 + 1
        p = 1 / (1 + np.exp(-logits))
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    heat = occlusion.heatmap(pixels, predict, is_value=False)
    mean = round(pixels[..., 0].mean())
    assert heat[4, 4] == pytest.approx((200 - mean) / 200, abs=1e-4)
    assert heat[0, 0] == pytest.approx(-3 * (100 - mean) / 200, abs=1e-4)
