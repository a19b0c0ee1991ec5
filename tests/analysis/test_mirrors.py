"""Mirrored pictures: told apart where there is a direction, another label where mirroring makes one, else allowed."""

import cv2
import numpy as np
import pytest

from podium.analysis import mirrors

pytestmark = pytest.mark.slow

N = 120
RNG = np.random.default_rng(0)


def letters(text):
    """Return pictures of one character each, a little moved."""
    found = []
    for n in range(N):
        image = np.zeros((64, 64, 3), np.uint8)
        at = (14 + int(RNG.integers(-4, 5)), 46 + int(RNG.integers(-4, 5)))
        cv2.putText(image, text[n % len(text)], at, cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
        found.append(cv2.resize(image, (mirrors.PX, mirrors.PX), interpolation=cv2.INTER_AREA))
    return np.stack(found), np.arange(N) % len(text)


def clouds(photo):
    """Return pictures without a direction, and classes by their contrast."""
    pixels = np.stack([cv2.resize(photo(n), (mirrors.PX, mirrors.PX)) for n in range(N)]).astype(float)
    classes = np.arange(N) % 2
    soft = 128 + (pixels - 128) * np.where(classes, 1.0, 0.4)[:, None, None, None]
    return soft.astype(np.uint8), classes


def test_photographs_without_a_direction_may_be_mirrored(photo):
    """The share that is told apart is near one half."""
    for found in mirrors.look(*clouds(photo), ["hflip", "vflip", "transpose"]).values():
        assert found.is_allowed
        assert found.told_apart < 0.65
        assert "near chance" in found.reason()


def test_digits_are_told_from_their_mirror_images():
    """Nearly all of them."""
    found = mirrors.look(*letters("2375"), ["hflip"])["hflip"]
    assert found.told_apart > 0.9
    assert not found.is_allowed
    assert "told from the picture itself" in found.reason()


def test_a_label_that_mirroring_changes():
    """A shape that looks to the left and to the right: each mirror image is one of the other class."""
    pixels, _ = letters("7")
    classes = np.arange(N) % 2
    pixels[1::2] = pixels[1::2, :, ::-1]
    left_out = mirrors.look(pixels, None, ["hflip"])["hflip"]
    found = mirrors.look(pixels, classes, ["hflip"])["hflip"]
    assert left_out.is_allowed
    assert not found.is_allowed
    assert found.same_label > 0.95
    assert found.same_label_mirrored < 0.3
    assert "under hflip" in found.reason()
