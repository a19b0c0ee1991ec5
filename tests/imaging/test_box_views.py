"""Boxes move as pixels do: painted pictures are the oracle."""

import numpy as np
import pytest

from podium.imaging import regions
from podium.imaging.box_views import letterbox, moved, undone
from podium.imaging.images import Reader, Resize, UnreadableImageError
from podium.imaging.pixels import apply, resize
from podium.imaging.views import VIEWS


def painted(xyxy, shape):
    image = np.zeros((*shape, 3), np.uint8)
    x1, y1, x2, y2 = xyxy
    image[y1:y2, x1:x2] = 255
    return image


def seen(image):
    """Return the box of what is painted."""
    y, x = np.nonzero(image[..., 0] > 127)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_moves_a_box_as_it_moves_pixels(name):
    """And undoing it leads back, also where sides are swapped."""
    view, shape, box = VIEWS[name], (30, 50), [3, 7, 20, 12]
    there = moved(np.array(box, float), view.operation, view.parameters, shape)
    assert there.tolist() == seen(apply(painted(box, shape), view.operation, view.parameters))
    assert undone(there, view.operation, view.parameters, shape).tolist() == box


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (41, 80), (80, 37), (64, 64), (83, 40)])
@pytest.mark.parametrize("mode", ["pad", "squash", "crop"])
def test_letterboxes_move_boxes_as_they_move_pixels(shape, mode):
    """Padded, squashed or cut, then enlarged: what is painted lies where arithmetic says."""
    height, width = shape
    box = [width // 2 - 8, height // 2 - 5, width // 2 + 9, height // 2 + 7]
    target = (640, 640)
    scale, offset = letterbox(shape, target, mode)
    image = resize(painted(box, shape), Resize(px=640, mode=mode, interpolation="nearest"), 640)
    np.testing.assert_allclose(np.array(box) * scale + offset, seen(image), atol=1.01)


def test_parts_of_an_image_are_images(tmp_path):
    """Named by their place; pixels are those of the whole."""
    import cv2

    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    with Reader(tmp_path) as reader:
        np.testing.assert_array_equal(reader.read("a.png@5,6,20,10"), image[6:16, 5:25])
        digests = {reader.read_with_digest(f"a.png@{x},0,10,10")[1] for x in (0, 1, 0)}
        assert len(digests) == 2
        with pytest.raises(UnreadableImageError, match="leads out of an image of 40 x 30"):
            reader.read("a.png@35,0,10,10")


def test_names_of_parts():
    """They lead back; what is no such name is a whole image."""
    part = regions.Region("b.zip#a@b.png", 1, 2, 3, 4)
    assert regions.parse(part.source) == part
    assert not regions.parse("a@b.png").is_part
    assert not regions.parse("a.png@1,2,0,4").is_part


@pytest.mark.parametrize(("length", "about"), [(2299, 400), (100, 400), (400, 400), (601, 400)])
def test_blocks_are_disjoint_and_cover_a_side(length, about):
    """As equal as can be."""
    found = regions.blocks(length, about)
    assert np.concatenate([np.arange(start, start + n) for start, n in found]).tolist() == list(range(length))
    assert np.ptp([n for _, n in found]) <= 1


@pytest.mark.parametrize("length", [90, 100, 101, 250, 1249])
def test_tiles_cover_a_side_and_overlap(length):
    """By as much as is asked for, or more."""
    found = regions.tiles(length, 100, 30)
    ends = [start + n for start, n in found]
    assert found[0][0] == 0
    assert ends[-1] == length
    assert all(end - start >= 30 for end, (start, _) in zip(ends, found[1:], strict=False))
