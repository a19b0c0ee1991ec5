"""From boxes to what cells learn, and back."""

import numpy as np

from podium.training.detection import NONE, Detection, centres, decode, dense

SHAPE, STRIDE = (24, 32), 4


def answers(target, n_labels):
    """Return the outputs of a network that has learnt `target` to perfection."""
    p = target[..., :n_labels].clip(1e-4, 1 - 1e-4)
    at = np.tile(centres(SHAPE, STRIDE), 2)
    reach = (target[..., n_labels : n_labels + 4] - at) * np.array([-1, -1, 1, 1])
    return np.concatenate([np.log(p / (1 - p)), reach], axis=2).astype(np.float32)


def drawn(n, rng):
    """Return pictures' boxes whose centres are apart, some of them at the edge."""
    boxes = np.full((n, 6, 5), NONE, np.float32)
    for own in boxes:
        places = rng.permutation(12)[: rng.integers(0, 7)]
        for box, place in zip(own, places, strict=False):
            x, y = (place % 4) * 32 + rng.uniform(10, 22), (place // 4) * 32 + rng.uniform(10, 22)
            w, h = rng.uniform(6, 20, 2)
            box[:] = x - w / 2, y - h / 2, x + w / 2, y + h / 2, rng.integers(0, 2)
    return boxes


def test_what_cells_learn_leads_back_to_the_boxes():
    """A perfect network gives every box, to a hundredth of a pixel, with its class."""
    boxes = drawn(20, np.random.default_rng(0))
    target = dense(boxes, SHAPE, STRIDE, 2)
    found = decode(answers(target, 2), SHAPE, STRIDE, Detection(least_score=0.5))
    for own, true in zip(found, boxes, strict=True):
        own, true = (table[table[:, -1] != NONE] for table in (own, true))  # noqa: PLW2901
        assert len(own) == len(true)
        order = [np.lexsort(table[:, :2].round().T) for table in (own, true)]
        np.testing.assert_allclose(own[order[0]][:, [0, 1, 2, 3, 5]], true[order[1]], atol=0.01)


def test_the_smaller_of_two_boxes_has_its_own_centre():
    """And there is one peak for each."""
    boxes = np.array([[[10, 10, 22, 22, 0], [2, 2, 90, 90, 0]]], np.float32)
    target = dense(boxes, SHAPE, STRIDE, 1)[0].reshape(*SHAPE, -1)
    assert (target[..., 0] == 1).sum() == 2
    np.testing.assert_allclose(target[4, 4, 1:5], [10, 10, 22, 22])
    np.testing.assert_allclose(target[11, 11, 1:5], [2, 2, 90, 90])


def test_nothing_is_learnt_where_there_is_nothing():
    """No box, no bell and no weight."""
    assert not dense(np.full((2, 3, 5), NONE, np.float32), SHAPE, STRIDE, 2).any()
