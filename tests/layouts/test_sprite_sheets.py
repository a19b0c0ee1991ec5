import json

import cv2
import numpy as np
import pytest

from podium.errors import PodiumError
from podium.imaging.images import Reader, UnreadableImageError
from podium.layouts.sprite_sheets import Layout

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two sheets of two images to train on, one to predict."""
    for name, rows in (("one", PIXELS[:2]), ("two", PIXELS[2:4]), ("test", PIXELS[4:])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rows[..., ::-1])
    (tmp_path / "train.json").write_text("[1, 0, 0, 1]")
    (tmp_path / "test.json").write_text("[1]")
    (tmp_path / "words.json").write_text('["x", "y"]')
    (tmp_path / "broken.json").write_text("[1, ")
    (tmp_path / "mapping.json").write_text("{}")
    return tmp_path


TRAIN = {"sheets": ["one.png", "two.png"], "labels": "train.json"}


def test_each_row_of_a_sheet_has_its_label(folder):
    """Labels run through the sheets in their order, and a source names the row that Reader finds."""
    test = {"sheets": ["test.png"], "labels": "test.json"}
    listing = Layout(train=TRAIN, test=test, classes=["cat", "dog"]).read(folder)
    assert listing.rows["row_id"].tolist() == ["one_00000", "one_00001", "two_00000", "two_00001", "test_00000"]
    assert listing.rows["label"].tolist() == ["dog", "cat", "cat", "dog", "dog"]
    assert listing.rows["split"].tolist() == ["train"] * 4 + ["test"]
    with Reader(folder) as reader:
        found = [reader.read(source) for source in listing.images["source"]]
    np.testing.assert_array_equal(found, PIXELS.reshape(5, 2, 2, 3))


def test_labels_without_names_are_text(folder):
    """Every label is text until the task reads it."""
    assert Layout(train=TRAIN).read(folder).rows["label"].tolist() == ["1", "0", "0", "1"]


@pytest.mark.parametrize(
    ("train", "classes", "message"),
    [
        ({"sheets": ["absent.png"]}, [], "layout.train: there is no absent.png; there are: "),
        ({"labels": "absent.json"}, [], "layout.train: there is no absent.json; there are: "),
        ({"sheets": ["one.png"] * 3}, [], "layout.train: 4 labels cannot be those of 3 equal sheets"),
        ({}, ["cat"], "train.json: layout.train.labels: layout.classes names labels 0 to 0, and not: '1'"),
        (
            {"labels": "words.json"},
            ["cat"],
            "words.json: layout.train.labels: layout.classes names labels 0 to 0, and not: 'x'",
        ),
        ({"labels": "broken.json"}, [], "broken.json: layout.train.labels: not valid JSON"),
        ({"labels": "mapping.json"}, [], "mapping.json: layout.train.labels: must be a list with one label per image"),
    ],
)
def test_what_does_not_fit_is_told_with_file_and_key(folder, train, classes, message):
    """One line, before any image is opened."""
    with pytest.raises(PodiumError) as error:
        Layout(train=TRAIN | train, classes=classes).read(folder)
    assert str(error.value).startswith(message)


def test_labels_are_read_as_they_are_written(folder):
    """A list of words needs no names for its classes."""
    (folder / "words.json").write_text(json.dumps(["x", "y", "é", "NA"]))
    assert Layout(train=TRAIN | {"labels": "words.json"}).read(folder).rows["label"].tolist() == ["x", "y", "é", "NA"]


def idx(array):
    """Return the bytes of an IDX file, by its definition."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_idx_files_are_sheets_and_labels(tmp_path):
    """As MNIST has them: gray images in one file, their labels in another."""
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.array([7, 0, 7])))
    listing = Layout(train={"sheets": ["images-idx3-ubyte"], "labels": "labels-idx1-ubyte"}).read(tmp_path)
    assert listing.rows["label"].tolist() == ["7", "0", "7"]
    with Reader(tmp_path, max_megapixels=0.01) as reader:
        for source, image in zip(listing.images["source"], images, strict=True):
            np.testing.assert_array_equal(reader.read(source), np.stack([image] * 3, axis=-1))
        with pytest.raises(UnreadableImageError, match="row 3 is not"):
            reader.read("images-idx3-ubyte#3")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx(np.zeros((2, 4, 4)))[:-1], "its IDX header says 2 x 4 x 4 bytes, and 31 follow"),
        (idx(np.zeros((2, 4, 4))) + b"x", "its IDX header says 2 x 4 x 4 bytes, and 33 follow"),
        (b"\0\0\x08\x03\0\0", "its IDX header is cut short"),
        (idx(np.zeros((1000, 4, 4))), "16,000 pixels, more than layout.max_megapixels (0.01) allows"),
    ],
)
def test_a_damaged_idx_file_is_told(tmp_path, data, message):
    """Of images, each is unreadable for this reason; of labels, the layout says it with the file."""
    (tmp_path / "images").write_bytes(data)
    with Reader(tmp_path, max_megapixels=0.01) as reader, pytest.raises(UnreadableImageError) as error:
        reader.read("images#0")
    assert str(error.value) == message
    (tmp_path / "one.png").write_bytes(cv2.imencode(".png", PIXELS[:2])[1])
    with pytest.raises(PodiumError, match=r"images: layout\.train\.labels: "):
        Layout(train={"sheets": ["one.png"], "labels": "images"}).read(tmp_path)
