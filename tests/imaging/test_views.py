import json

import numpy as np
import pytest

from podium.imaging.views import VIEWS, apply

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def by_hand(place):
    """Return the image whose pixel (i, j) is the original's pixel `place(i, j)`."""
    n_rows, n_columns = (2, 3) if place in (identity, hflip, vflip, rot180) else (3, 2)
    return np.array([[IMAGE[place(i, j, 2, 3)] for j in range(n_columns)] for i in range(n_rows)])


def identity(i, j, height, width):
    return i, j


def hflip(i, j, height, width):
    return i, width - 1 - j


def vflip(i, j, height, width):
    return height - 1 - i, j


def rot90(i, j, height, width):
    return j, width - 1 - i


def rot180(i, j, height, width):
    return height - 1 - i, width - 1 - j


def rot270(i, j, height, width):
    return height - 1 - j, i


def transpose(i, j, height, width):
    return j, i


def antitranspose(i, j, height, width):
    return height - 1 - j, width - 1 - i


PLACES = [identity, hflip, vflip, rot90, rot180, rot270, transpose, antitranspose]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_every_view_moves_each_pixel_where_it_belongs(place):
    """Pixel by pixel, by hand; rotations are counter-clockwise."""
    view = VIEWS[place.__name__]
    np.testing.assert_array_equal(apply(IMAGE, view.operation, view.parameters), by_hand(place))


BY_NUMPY = {
    "identity": lambda image: image,
    "hflip": lambda image: image[:, ::-1],
    "vflip": lambda image: image[::-1],
    "rot90": np.rot90,
    "rot180": lambda image: np.rot90(image, 2),
    "rot270": lambda image: np.rot90(image, 3),
    "transpose": lambda image: image.swapaxes(0, 1),
    "antitranspose": lambda image: image[::-1, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (9, 1, 3), (17, 33, 2), (33, 17, 4), (300, 224, 3)])
def test_views_are_numpys_whatever_the_shape_and_the_dtype(shape, dtype):
    """Single pixels, lines and sizes that fill no vector register: to the bit, and of the same dtype."""
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    for name, view in VIEWS.items():
        found = apply(image, view.operation, view.parameters)
        np.testing.assert_array_equal(found, BY_NUMPY[name](image), err_msg=name, strict=True)


def test_every_view_is_tested():
    """A new view needs an oracle here."""
    assert set(VIEWS) == {place.__name__ for place in PLACES} == set(BY_NUMPY)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_data_and_leaves_its_image_alone(name):
    """Parameters survive JSON; the result is contiguous, and shares no memory that a caller could spoil."""
    view = VIEWS[name]
    image = IMAGE.copy()
    result = apply(image, view.operation, json.loads(json.dumps(dict(view.parameters))))
    assert result.flags["C_CONTIGUOUS"]
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(image, IMAGE)


def test_views_are_all_different():
    """Two names for one operation would count one view twice."""
    assert len({apply(IMAGE, view.operation, view.parameters).tobytes() for view in VIEWS.values()}) == len(VIEWS)
