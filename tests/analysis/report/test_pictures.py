"""Pictures of the page: small enough, and what they were."""

import base64

import cv2
import numpy as np
import pytest

from podium.analysis.report import pictures
from podium.imaging.images import Reader


def decoded(address):
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def test_a_small_image_keeps_its_pixels_and_colours():
    """Red stays red, and 32 px stay 32 px."""
    red = np.zeros((32, 20, 3), np.uint8)
    red[..., 0] = 200
    shown = decoded(pictures.encoded(red))
    assert shown.shape == (32, 20, 3)
    assert shown.mean(axis=(0, 1)) == pytest.approx([200, 0, 0], abs=3)


@pytest.mark.parametrize("shape", [(3000, 1000, 3), (1, 5000, 3), (600, 600, 3)])
def test_a_large_image_is_reduced(shape):
    """To 512 px at most, whatever its shape."""
    shown = decoded(pictures.encoded(np.full(shape, 127, np.uint8)))
    assert max(shown.shape) == pictures.SIDE_PX


def test_noise_fits_the_page_too():
    """What JPEG cannot make small is shown smaller: a picture has a bound that the page's weight rests on."""
    noise = np.random.default_rng(0).integers(256, size=(1000, 1000, 3), dtype=np.uint8)
    address = pictures.encoded(noise)
    assert len(address) <= pictures.MOST_BYTES * 4 / 3 + 100
    assert decoded(address).shape == (256, 256, 3)


def test_a_thumbnail_is_small(tmp_path):
    """96 px of a photograph; nothing of what cannot be read."""
    assert cv2.imwrite(str(tmp_path / "a.jpg"), np.full((400, 1600, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with Reader(tmp_path) as reader:
        shown = decoded(pictures.thumbnail(reader, "a.jpg"))
        assert pictures.thumbnail(reader, "broken.jpg") == ""
    assert shown.shape == (24, 96, 3)
    assert shown.mean() == pytest.approx(90, abs=3)
