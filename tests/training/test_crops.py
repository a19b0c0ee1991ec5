"""Crops, tiles and views of masks, against NumPy and against the pictures themselves."""

import json

import numpy as np
import pytest

from podium.imaging import views
from podium.training.augmentation import Augmentation
from podium.training.crops import Crops, MaskTraining, equalised, padded, tiled

H, W = 40, 56
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (3, H, W, 3), dtype=np.uint8)
READABLE = (PIXELS[..., :2] > 127).astype(np.uint8)  # masks that can be told from the pixels

pytestmark = pytest.mark.keras


def crops(masks=READABLE, augment=(), **settings):
    return Crops(PIXELS, masks, MaskTraining(**{"crop": 16} | settings), Augmentation.model_validate(list(augment)))


def test_a_crops_mask_is_that_of_its_pixels():
    """Views included: no pixel is off."""
    images, masks = crops(augment=["hflip", "rot90", {"brightness": 1e-6}]).draw(np.array([0, 1, 2] * 5), seed=3)
    images, masks = np.asarray(images), np.asarray(masks)
    assert images.shape == (15, 16, 16, 3)
    np.testing.assert_array_equal(masks, np.rint(images[..., :2]) > 127)


def test_a_crop_is_cut_out_of_its_own_picture():
    """As it is, somewhere; the seed says where, and the same seed says the same."""
    drawn = crops()
    first, again, other = (np.asarray(drawn.draw(np.array([2] * 4), seed)[0]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    windows = np.lib.stride_tricks.sliding_window_view(PIXELS[2], (16, 16), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    for crop in first:
        assert (windows == crop).all(axis=(2, 3, 4)).sum() == 1


def test_positive_crops_hold_a_pixel_of_a_class():
    """One pixel of each picture is set: it is in every positive crop, anywhere in it, and rarely in others."""
    masks = np.zeros((3, H, W, 1), np.uint8)
    masks[:, 20, 28] = 1
    places = np.array([0, 1, 2] * 40)
    found = np.asarray(crops(masks, positive=1.0).draw(places, 0)[1])[..., 0]
    assert found.sum(axis=(1, 2)).tolist() == [1] * len(places)
    assert len({tuple(np.argwhere(one)[0]) for one in found}) > 20
    assert np.asarray(crops(masks, positive=0.0).draw(places, 0)[1]).sum() < 0.45 * len(places)


def test_turned_crops_show_what_lies_around_them():
    """Where no mirror is needed, a crop of a ramp is a ramp, turned: no edge in it."""
    ramp = np.broadcast_to(np.arange(W, dtype=np.uint8)[None, None, :, None] * 4, (1, H, W, 3))
    drawn = Crops(
        ramp, np.zeros((1, H, W, 1), np.uint8), MaskTraining(crop=16), Augmentation.model_validate([{"rotation": 20}])
    )
    inner = [np.asarray(drawn.draw(np.array([0]), seed)[0])[0, ..., 0] for seed in range(30)]
    whole = [one for one in inner if one.min() > 40 and one.max() < 180]
    assert whole
    for one in whole:
        np.testing.assert_allclose(np.diff(one, n=2, axis=1), 0, atol=0.05)


def test_without_a_crop_the_whole_picture_is_trained_on():
    """Height and width are its own."""
    images, masks = crops(crop=None).draw(np.array([1]), 0)
    np.testing.assert_array_equal(np.asarray(images)[0], PIXELS[1])
    np.testing.assert_array_equal(np.asarray(masks)[0], READABLE[1])


@pytest.mark.parametrize(("tile", "overlap"), [(None, 0.25), (32, 0.0), (32, 0.25), (33, 0.5), (64, 0.25)])
def test_tiles_are_put_back_where_they_were(tile, overlap):
    """Of a function of each pixel alone, tiles give what the whole picture does; each is a multiple, and bounded."""
    sides = []

    def predict(part):
        sides.append(part.shape[:2])
        return part[..., :2].astype(np.float32) / 255

    found = tiled(PIXELS[0], predict, MaskTraining(tile=tile, overlap=overlap), multiple=16)
    np.testing.assert_allclose(found, PIXELS[0, ..., :2] / 255, atol=1e-6)
    assert {side % 16 for both in sides for side in both} == {0}
    assert len(sides) > 1 or tile in (None, 64)


def test_where_tiles_overlap_they_are_blended():
    """Two tiles that say 0 and 1: a slope from one to the other, and no step."""
    answers = iter([0.0, 1.0])
    picture = np.zeros((32, 48, 3), np.uint8)
    found = tiled(
        picture, lambda part: np.full((*part.shape[:2], 1), next(answers)), MaskTraining(tile=32, overlap=0.5), 1
    )
    row = found[16, :, 0]
    assert row[0] == 0
    assert row[-1] == 1
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 0.15


def test_a_picture_is_padded_by_its_mirror():
    """To multiples; NumPy's own reflection is the oracle."""
    found = padded(PIXELS[0], 16)
    np.testing.assert_array_equal(found, np.pad(PIXELS[0], ((0, 8), (0, 8), (0, 0)), mode="reflect"))


@pytest.mark.parametrize("name", views.VIEWS)
def test_a_view_is_undone(name):
    """Maps of a view of a picture that is no square come back to its pixels."""
    view = views.VIEWS[name]
    seen = views.apply(PIXELS[0], view.operation, view.parameters)
    flat = np.moveaxis(seen, -1, 0).reshape(3, -1)
    back = views.undo(flat, (H, W), view.operation, json.dumps(dict(view.parameters)))
    np.testing.assert_array_equal(back, np.moveaxis(PIXELS[0], -1, 0))


def test_local_equalisation_spreads_a_narrow_range():
    """Colours keep their hue; a dim texture gets contrast."""
    dim = (100 + PIXELS[0] // 32).astype(np.uint8)
    assert equalised(dim, 4.0).std() > 2 * dim.std()
    assert equalised(dim, 4.0).shape == dim.shape
