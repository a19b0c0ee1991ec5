import json

import numpy as np
import pytest

from podium.views import VIEWS, apply

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


def test_every_view_is_tested():
    """A new view needs an oracle here."""
    assert set(VIEWS) == {place.__name__ for place in PLACES}


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
