"""Run-length codes against a count of pixels, one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from podium.contracts import rle

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.booleans())
VARIANTS = st.tuples(st.sampled_from(["columns", "rows"]), st.sampled_from([0, 1]))


def counted(mask, order, first):
    """Return the runs as a person would count them."""
    height, width = mask.shape
    places = [(y, x) for x in range(width) for y in range(height)]
    if order == "rows":
        places = [(y, x) for y in range(height) for x in range(width)]
    runs, length = [], 0
    for number, place in enumerate([*places, None], start=first):
        if place is not None and mask[place]:
            length += 1
        elif length:
            runs += [number - length, length]
            length = 0
    return " ".join(map(str, runs))


@given(MASKS, VARIANTS)
def test_runs_are_those_that_are_counted_and_come_back(mask, variant):
    """Pixels go down the columns or along the rows, from 0 or 1 on; a transposed mask has other runs."""
    runs = rle.encode(mask, *variant)
    assert runs == counted(mask, *variant)
    np.testing.assert_array_equal(rle.decode(runs, mask.shape, *variant), mask)
    assert rle.area(runs) == mask.sum()


def test_kaggles_example():
    """`1 3 10 5` are the pixels 1, 2, 3 and 10 to 14, top to bottom, then left to right."""
    mask = rle.decode("1 3 10 5", (5, 4))
    assert np.flatnonzero(mask.T.reshape(-1)).tolist() == [0, 1, 2, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ("1 2 3", "pairs of first pixel and length, and there are 3 numbers"),
        ("1 x", "whole numbers, not '1 x'"),
        ("1 2.5", r"whole numbers, not '1 2\.5'"),
        ("0 2", "the run 0 2 begins before pixel 1"),
        ("3 0", "the run 3 0 has no pixel"),
        ("3 -1", "the run 3 -1 has no pixel"),
        ("5 3", "the run 5 3 ends beyond the image's 6 pixels"),
        ("1 99999999999999999999999", "whole numbers"),
        ("1 3 3 1", "the run 3 1 overlaps the one before it, or comes out of order"),
        ("4 1 1 1", "the run 1 1 overlaps the one before it, or comes out of order"),
    ],
)
def test_what_is_no_list_of_runs_says_why(runs, reason):
    """The first run at fault, as it is written."""
    with pytest.raises(ValueError, match=reason):
        rle.decode(runs, (2, 3))
    assert rle.fault(runs, (2, 3))


def test_runs_that_touch_are_no_overlap():
    """`1 2 3 1` is one piece in two runs."""
    assert rle.fault("1 2 3 1", (2, 3)) is None
    assert rle.encode(rle.decode("1 2 3 1", (2, 3))) == "1 3"
