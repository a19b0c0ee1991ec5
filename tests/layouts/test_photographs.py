"""Photographs: blocks to train on, tiles of whole ones to predict."""

import cv2
import numpy as np
import pytest

from podium.errors import PodiumError
from podium.imaging import regions
from podium.layouts.photographs import Layout


@pytest.fixture
def folder(tmp_path):
    for name, shape in (("a", (80, 120)), ("b", (50, 90))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((*shape, 3), np.uint8))
    return tmp_path


def test_blocks_are_rows_and_tiles_are_images_of_one_row(folder):
    """All pixels of a photograph are in one block, and in a tile or more."""
    listing = Layout(images=("a.png",), test=("b.png",), block=40, tile=40, overlap=10).read(folder)
    rows = listing.rows.set_index("row_id")
    assert rows.groupby("split").size().to_dict() == {"train": 6, "test": 1}
    assert rows.loc["b", "path"] == "b.png"
    images = listing.images
    assert images["image_id"].is_unique
    for name, shape, least in (("a", (80, 120), 1), ("b", (50, 90), 1)):
        seen = np.zeros(shape, int)
        for source in images.loc[images["row_id"].str.startswith(name), "source"]:
            part = regions.parse(source)
            seen[part.y : part.y + part.height, part.x : part.x + part.width] += 1
        assert seen.min() == least
        assert (seen.max() == 1) == (name == "a")


def test_what_is_wrong_is_named(folder):
    """A photograph that is not there, two of one name, tiles that never move on."""
    with pytest.raises(PodiumError, match=r"layout.test: there is no c.png; there are: 'a.png'"):
        Layout(images=("a.png",), test=("c.png",)).read(folder)
    with pytest.raises(PodiumError, match="two photographs are called"):
        Layout(images=("a.png",), test=("a.png",)).read(folder)
    with pytest.raises(ValueError, match="overlap"):
        Layout(images=("a.png",), tile=50, overlap=50)
