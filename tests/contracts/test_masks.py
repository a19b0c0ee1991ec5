"""Predictions of masks: one row at a time, the same bytes in any order."""

import cv2
import h5py
import numpy as np
import pytest

from podium.contracts.masks import HALF, Cut, Masks, resized
from podium.errors import PodiumError


def made(n=4, seed=0):
    """Return predictions of two classes for images of several sizes, and the arrays that they hold."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(3, 9, (n, 2))
    arrays = [rng.integers(0, 256, (2, height, width), dtype=np.uint8) for height, width in shape]
    ids = np.array([f"r{k}" for k in range(n)], object)
    return Masks.of_arrays(ids, "train", arrays, ("a", "b"), shape), arrays


def test_what_is_written_is_read_whatever_the_order(tmp_path):
    """By row_id; the same rows in another order give the same bytes."""
    masks, arrays = made()
    masks.write(tmp_path / "one")
    masks.take(np.array([2, 0, 3, 1])).write(tmp_path / "two")
    assert (tmp_path / "one/masks.h5").read_bytes() == (tmp_path / "two/masks.h5").read_bytes()
    read = Masks.read(tmp_path / "two")
    assert read.row_id.tolist() == ["r0", "r1", "r2", "r3"]
    assert read.labels == ("a", "b")
    np.testing.assert_array_equal(read.shape, masks.shape)
    for maps, array in zip(read.maps, arrays, strict=True):
        np.testing.assert_array_equal(maps(), array)


def test_maps_are_made_when_they_are_asked_for(tmp_path, monkeypatch):
    """Reading, selecting and joining touch no pixel: memory does not grow with the rows."""
    made()[0].write(tmp_path)
    read = Masks.read(tmp_path)
    calls = []
    monkeypatch.setattr("podium.contracts.masks._read", lambda *args: calls.append(args))
    both = Masks.concat([read.take(np.array([1])), read.take(np.array([0]))]).changed(lambda maps: maps)
    assert len(both) == 2
    assert not calls


def test_rows_keep_their_maps_when_they_are_selected_and_joined(tmp_path):
    """Joined by id."""
    masks, arrays = made()
    masks.write(tmp_path)
    read = Masks.read(tmp_path)
    joined = Masks.concat([read.take(np.array([3, 1])), read.take(np.array([0]))]).by_id(["r1", "r0"], "here")
    np.testing.assert_array_equal(joined.maps[0](), arrays[1])
    np.testing.assert_array_equal(joined.maps[1](), arrays[0])


def test_maps_are_brought_to_the_image():
    """A map of half the side is enlarged by OpenCV's own rule."""
    maps = np.array([[[0, 255], [0, 255]]], np.uint8)
    masks = Masks.of_arrays(np.array(["a"], object), "test", [maps], ("x",), np.array([[4, 4]]))
    np.testing.assert_array_equal(masks.whole(0)[0], cv2.resize(maps[0], (4, 4), interpolation=cv2.INTER_LINEAR))
    assert resized(maps, (2, 2)) is maps


def test_a_cut_makes_its_threshold_one_half():
    """Of every threshold and value: one half or more just where the threshold is reached."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for threshold in range(256):
        found = Cut(np.array([threshold]), np.array([0]), np.array([False])).predict(values)
        np.testing.assert_array_equal(found >= HALF, values >= threshold)
        assert (np.diff(found.reshape(-1).astype(int)) >= 0).all()


def test_a_cut_empties_small_masks():
    """Fewer pixels than the least area: none; as many: all."""
    maps = np.array([[[200, 200, 0]], [[200, 200, 0]]], np.uint8)
    found = Cut(np.array([128, 128]), np.array([3, 2]), np.array([False, False])).predict(maps) >= HALF
    assert found.sum(axis=(1, 2)).tolist() == [0, 2]


def test_a_cut_fills_the_holes_of_its_class_before_it_measures():
    """A ring of 8 pixels becomes a square of 9, which is enough; an open one stays, and is too small."""
    ring = np.pad(np.pad(np.zeros((1, 1), np.uint8), 1, constant_values=200), 1)
    bay = ring.copy()
    bay[1, 2] = 0
    for fills, maps, area in ((True, ring, 9), (False, ring, 0), (True, bay, 0)):
        found = Cut(np.array([128]), np.array([9]), np.array([fills])).predict(maps[None]) >= HALF
        assert found.sum() == area


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"row_id": np.array(["a", "a"], object)}, "must be unique; these come twice: 'a'"),
        ({"split": np.array(["train", "extra"], object)}, "must be of train or test: 'r1'"),
        ({"shape": np.array([[2, 2], [0, 2]])}, "must have an image of a pixel at least: 'r1'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, change, reason):
    """Before anything is written."""
    masks = made(2)[0]
    with pytest.raises(PodiumError, match=reason):
        Masks(**{**vars(masks), **change}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_cut_short_is_one_line(tmp_path):
    """It is no HDF5 file, or lacks maps, or is of another version."""
    with pytest.raises(PodiumError, match="there is no such predictions file; run `dvc repro`"):
        Masks.read(tmp_path)
    made()[0].write(tmp_path)
    with h5py.File(tmp_path / "masks.h5", "r+") as file:
        file["maps"].resize(3, axis=0)
    with pytest.raises(PodiumError, match="holds 3 bytes of maps, not "):
        Masks.read(tmp_path)
    (tmp_path / "masks.h5").write_bytes(b"no file")
    with pytest.raises(PodiumError, match="not a readable predictions file"):
        Masks.read(tmp_path)
