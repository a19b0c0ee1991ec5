"""The contract of boxes: what survives the disk, and what is refused."""

import numpy as np
import pytest

from podium.contracts.boxes import Boxes
from podium.errors import PodiumError

LABELS = ("cat", "dog")


def boxes_of(ids=("b", "a", "c"), split="train"):
    """Return two boxes in the first row, none in the second and one in each of the others."""
    one = (np.array([[1.5, 2, 30.25, 40]]), np.array([0.5]), np.array([1]))
    two = (np.array([[0, 0, 10, 10], [5, 5, 20, 21]]), np.array([0.25, 0.75]), np.array([0, 1]))
    none = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    return Boxes.of_parts(ids, split, [two, none, *[one] * (len(ids) - 2)], LABELS)


def test_boxes_survive_the_disk(tmp_path):
    """Rows without a box too; the highest score comes first."""
    boxes_of().write(tmp_path)
    read = Boxes.read(tmp_path)
    assert read.row_id.tolist() == ["a", "b", "c"]
    assert read.labels == LABELS
    xyxy, score, label = read.of_row(1)
    assert score.tolist() == [0.75, 0.25]
    assert label.tolist() == [1, 0]
    np.testing.assert_array_equal(xyxy, [[5, 5, 20, 21], [0, 0, 10, 10]])
    assert not len(read.of_row(0)[1])
    assert read.xyxy.dtype == read.score.dtype == np.float32


def test_any_order_gives_the_same_bytes(tmp_path):
    """Rows are sorted when they are written."""
    boxes_of().write(tmp_path / "a")
    boxes_of().take(np.array([2, 0, 1])).write(tmp_path / "b")
    files = [next((tmp_path / name).iterdir()) for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_rows_without_any_box_survive(tmp_path):
    """A whole file of them."""
    none = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    Boxes.of_parts(["x", "y"], "test", [none, none], LABELS).write(tmp_path)
    read = Boxes.read(tmp_path)
    assert read.row_id.tolist() == ["x", "y"]
    assert read.offset.tolist() == [0, 0, 0]


def test_selecting_and_joining_undo_each_other():
    """Rows keep their own boxes."""
    whole = boxes_of(("b", "a", "c", "d"))
    again = Boxes.concat([whole.take(np.array([2])), whole.take(np.array([0, 3, 1]))]).by_id("bacd", "here")
    for name in ("row_id", "xyxy", "score", "label", "offset"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


def test_packed_boxes_come_back_by_score():
    """Whatever their order in the array, and however wide it is."""
    whole = boxes_of()
    packed = whole.packed(5).reshape(3, 5, 6)[:, ::-1].reshape(3, -1)
    again = whole.with_packed(packed)
    for name in ("xyxy", "score", "label", "offset"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert whole.chosen(whole.score > 0.3).offset.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (([[1, 2, 1, 4]], [0.5], [0]), "must have an area"),
        (([[5, 2, 1, 4]], [0.5], [0]), "must have an area"),
        (([[1, 2, np.nan, 4]], [0.5], [0]), "must be finite"),
        (([[1, 2, 3, 4]], [1.5], [0]), "score in"),
        (([[1, 2, 3, 4]], [np.nan], [0]), "score in"),
        (([[1, 2, 3, 4]], [0.5], [2]), "label that is named"),
    ],
)
def test_boxes_that_break_a_rule_are_refused(tmp_path, part, reason):
    """In one line that names the box and its row."""
    wrong = Boxes.of_parts(["x7"], "train", [tuple(map(np.array, part))], LABELS)
    with pytest.raises(PodiumError, match=f"{reason}.*'x7'"):
        wrong.write(tmp_path)


def test_a_row_that_comes_twice_is_refused(tmp_path):
    """Its boxes would be counted twice."""
    with pytest.raises(PodiumError, match="come twice: 'a'"):
        boxes_of(("a", "a", "b")).write(tmp_path)
