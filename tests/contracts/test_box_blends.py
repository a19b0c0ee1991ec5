"""Fusing boxes, against the algorithms as their papers tell them, box by box."""

import numpy as np
import pytest

from podium.contracts.box_blends import FusedBoxes, fuse
from podium.metrics.boxes import iou


def drawn(rng, models, most=12):
    """Return a list of boxes `(b, 6)` for each model: corners in [0, 1], score, one of two labels."""
    lists = []
    for _ in range(models):
        n = rng.integers(0, most + 1)
        corner, side = rng.random((n, 2)) * 0.5, rng.random((n, 2)) * 0.4 + 0.05
        table = np.column_stack([corner, corner + side, rng.random(n), rng.integers(0, 2, n)])
        lists.append(table.astype(np.float32).astype(np.float64))
    return lists


def packed(lists, width=12):
    table = np.zeros((len(lists), 1, width, 6), np.float32)
    table[..., 5] = -1
    for own, boxes in zip(table, lists, strict=True):
        own[0, : len(boxes)] = boxes
    return table


def overlap(a, b):
    return iou(np.array([a[:4]]), np.array([b[:4]]))[0, 0]


def wbf(lists, weights, threshold):
    """Weighted boxes fusion of one image: clusters of [boxes], each with its fused box."""
    boxes = [(*box[:4], box[4] * w, box[5]) for w, table in zip(weights, lists, strict=True) for box in table]
    clusters = []
    for box in sorted(boxes, key=lambda box: -box[4]):
        scored = [overlap(fused, box) if fused[5] == box[5] else -1 for _, fused in clusters]
        if scored and max(scored) > threshold:
            members = clusters[int(np.argmax(scored))][0]
            members.append(box)
        else:
            members = [box]
            clusters.append([members, box])
            continue
        table = np.array(members)
        corners = (table[:, :4] * table[:, 4:5]).sum(axis=0) / table[:, 4].sum()
        clusters[int(np.argmax(scored))][1] = (*corners, 0, box[5])
    return np.array(
        [
            (*fused[:4], np.mean([m[4] for m in own]) * min(len(weights), len(own)) / sum(weights), fused[5])
            for own, fused in clusters
        ]
    ).reshape(-1, 6)


def nms(lists, weights, threshold):
    boxes = [(*box[:4], box[4] * w, box[5]) for w, table in zip(weights, lists, strict=True) for box in table]
    kept = []
    for box in sorted(boxes, key=lambda box: -box[4]):
        if all(other[5] != box[5] or overlap(other, box) <= threshold for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 6)


def soft_nms(lists, weights, threshold):
    waiting = [[*box[:4], box[4] * w, box[5]] for w, table in zip(weights, lists, strict=True) for box in table]
    done = []
    while waiting:
        best = max(range(len(waiting)), key=lambda k: waiting[k][4])
        box = waiting.pop(best)
        done.append(box)
        for other in waiting:
            if other[5] == box[5] and overlap(box, other) > threshold:
                other[4] *= 1 - overlap(box, other)
    return np.array(done).reshape(-1, 6)


@pytest.mark.parametrize(("method", "oracle"), [("wbf", wbf), ("nms", nms), ("soft_nms", soft_nms)])
def test_each_method_is_the_published_one(method, oracle):
    """Also where there are several models with weights, two classes and images without a box."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        lists = drawn(rng, models := int(rng.integers(1, 4)))
        weights = rng.random(models) + 0.5
        threshold = float(rng.choice([0.3, 0.5]))
        found = fuse(packed(lists), weights, method, threshold)[0]
        found = found[found[:, 5] >= 0]
        expected = oracle(lists, weights if method == "wbf" else weights / weights.max(), threshold)
        assert len(found) == len(expected)
        order = [np.lexsort((table[:, 0], -table[:, 4].round(5))) for table in (found, expected)]
        np.testing.assert_allclose(found[order[0]], expected[order[1]], atol=1e-5)
        assert (np.diff(found[:, 4]) <= 0).all()


def test_rows_are_independent_of_each_other():
    """Many at once give each the bytes that it gets alone."""
    rng = np.random.default_rng(1)
    many = np.concatenate([packed(drawn(rng, 2)) for _ in range(150)], axis=1)
    for method in ("wbf", "nms", "soft_nms"):
        together = fuse(many, np.array([1.0, 2.0]), method, 0.4)
        alone = fuse(many[:, 77:78], np.array([1.0, 2.0]), method, 0.4)[0]
        np.testing.assert_array_equal(together[77, : len(alone)], alone[: together.shape[1]])


def test_a_fusion_leaves_out_low_scores_and_members_without_weight():
    """What a person sees of weights, floor and cut."""
    one, other = [0, 0, 10, 10, 0.9, 0], [50, 50, 60, 60, 0.3, 0]
    members = np.stack([packed([np.array([one, other])]), packed([np.array([[80, 80, 90, 90, 0.8, 0]])])])
    members = members[:, 0].reshape(2, 1, -1)
    found = FusedBoxes(np.array([1.0, 0.0]), "nms", 0.5, 0.5, 0.0).predict(members).reshape(-1, 6)
    np.testing.assert_allclose(found[found[:, 5] >= 0], [one], atol=1e-6)
    assert found.shape == (12, 6)
