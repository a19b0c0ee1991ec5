"""Augmented boxes stay on what they were drawn around; painted pictures are the oracle."""

import numpy as np
import pytest

from podium.training.augmentation import Augmentation
from podium.training.box_augmentation import apply, cut, refused
from podium.training.detection import NONE, Detection

pytestmark = pytest.mark.keras  # colours are changed by keras.ops


def painted(n=12, px=64):
    """Return pictures with one bright box each, well inside, and the boxes `(n, 2, 5)`, the second of which is none."""
    rng = np.random.default_rng(0)
    images, boxes = np.full((n, px, px, 3), 60, np.uint8), np.zeros((n, 2, 5), np.float32)
    boxes[:, 1, 4] = NONE
    for image, own in zip(images, boxes[:, 0], strict=True):
        x, y, w, h = *rng.integers(18, 30, 2), *rng.integers(8, 16, 2)
        image[y : y + h, x : x + w] = 250
        own[:] = x, y, x + w, y + h, 1
    return images, boxes


def seen(image):
    y, x = np.nonzero(image[..., 0] > 155)  # half of the way from the padding to the box, at the least
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


@pytest.mark.parametrize(
    ("operation", "slack"),
    [
        *((name, 0) for name in ("hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "antitranspose")),
        ({"shift": 0.2}, 1),
        ({"crop": 0.2}, 0),
        ({"zoom": 0.3}, 1.5),
        ({"shear": 0.2}, 2.5),
        ({"brightness": 0.2}, 0),
    ],
)
def test_boxes_move_with_their_pixels(operation, slack):
    """Every operation, to the pixel where it is exact."""
    images, boxes = painted()
    augment = Augmentation.model_validate([operation])
    done, moved = apply(augment, Detection(), images, boxes, seed=3)
    changed = [n for n in range(len(images)) if not np.array_equal(done[n], images[n])]
    assert len(changed) >= 3
    for image, own in zip(done, moved, strict=True):
        assert own[own[:, 4] != NONE].shape == (1, 5)
        np.testing.assert_allclose(own[0, :4], seen(image), atol=slack + 1e-4)


def test_a_turned_box_contains_what_it_is_around():
    """The box of a turned rectangle is wider than what is seen of a filled one, never narrower."""
    images, boxes = painted()
    done, moved = apply(Augmentation.model_validate([{"rotation": 25}]), Detection(), images, boxes, seed=3)
    for image, own in zip(done, moved[:, 0, :4], strict=True):
        assert (own[:2] <= seen(image)[:2] + 1).all()
        assert (own[2:] >= seen(image)[2:] - 1).all()


def test_what_is_hardly_visible_is_no_object():
    """A box that a shift cuts is cut; one of which too little is left goes."""
    boxes = np.array([[[0, 0, 10, 10, 1], [-8, 0, 2, 10, 1], [-5, 0, 5, 10, 0], [70, 0, 80, 10, 1]]], np.float32)
    found = cut(boxes, (0, 0, 64, 64), 0.3)[0]
    assert found[:, 4].tolist() == [1, NONE, 0, NONE]
    assert found[2, :4].tolist() == [0, 0, 5, 10]


def test_mosaics_keep_boxes_on_their_pixels():
    """Each corner shows a part of a picture, and its boxes."""
    images, boxes = painted()
    done, moved = apply(Augmentation(), Detection(mosaic=1.0, min_visible=0.01), images, boxes, seed=1)
    n_boxes = 0
    for image, own in zip(done, moved, strict=True):
        inside = np.zeros(image.shape[:2], bool)
        for x1, y1, x2, y2, _ in own[own[:, 4] != NONE].round().astype(int):
            assert (image[y1:y2, x1:x2] == 250).mean() > 0.99
            inside[y1:y2, x1:x2] = True
            n_boxes += 1
        assert inside[image[..., 0] == 250].mean() > 0.95  # the rest is of slivers
    assert n_boxes > len(images)


def test_the_seed_alone_decides():
    """The same bytes again, others by another seed."""
    images, boxes = painted()
    augment = Augmentation.model_validate(["hflip", {"zoom": 0.2}, {"color": 0.3}])
    settings = Detection(mosaic=0.5)
    first, again, other = (apply(augment, settings, images, boxes, seed) for seed in (5, 5, 6))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape != c.shape or not np.array_equal(a, c)


def test_mixed_pictures_are_refused():
    """Their boxes would be half there."""
    assert refused(Augmentation.model_validate(["hflip", "mixup"])) == "mixup"
    assert refused(Augmentation.model_validate(["hflip", {"zoom": 0.1}])) is None
