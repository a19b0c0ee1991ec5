"""Scores of boxes: average precision against pycocotools, the others against counting by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from podium.contracts.boxes import Annotated, Boxes
from podium.errors import PodiumError
from podium.metrics import find, jackknife
from podium.metrics.boxes import BoxScore, _area, curve, iou, match, parse

LABELS = ("a", "b", "c")


def drawn(seed, n=25, most=9, guesses=12):
    """Return truth and predictions of some images: jittered truth, and boxes from nowhere; sides of 4 to 160 px."""
    rng = np.random.default_rng(seed)
    y, parts = np.empty(n, object), []
    for k in range(n):
        count = rng.integers(0, most)
        corner, side = rng.random((count, 2)) * 200, np.exp(rng.uniform(np.log(4), np.log(160), (count, 2)))
        xyxy, label = np.hstack([corner, corner + side]).astype(np.float32), rng.integers(0, 2, count)
        y[k] = Annotated(xyxy, label)
        chosen = rng.integers(0, max(count, 1), rng.integers(0, guesses)) if count else np.zeros(0, int)
        near = xyxy[chosen] + rng.normal(0, 0.08, (len(chosen), 4)) * np.tile(side[chosen], 2)
        far = rng.random((rng.integers(0, 3), 2)) * 200
        boxes = np.vstack([near, np.hstack([far, far + 30])])
        boxes = np.hstack([np.minimum(boxes[:, :2], boxes[:, 2:] - 1), boxes[:, 2:]])
        labels = np.concatenate([label[chosen], rng.integers(0, 3, len(far))])
        # Scores in hundredths: several are equal.
        parts.append((boxes, rng.integers(1, 100, len(boxes)) / 100, labels))
    return y, Boxes.of_parts([f"r{k:02d}" for k in range(n)], "train", parts, LABELS)


def coco(y, p, rows=None):
    """Return pycocotools' evaluation."""
    rows = range(len(y)) if rows is None else rows
    truth, found = [], []
    for image, row in enumerate(rows, start=1):
        for (x1, y1, x2, y2), label in zip(y[row].xyxy.astype(float), y[row].label, strict=True):
            w, h = x2 - x1, y2 - y1
            truth.append(
                {"id": len(truth) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": [x1, y1, w, h]}
                | {"area": w * h, "iscrowd": 0}
            )
        for (x1, y1, x2, y2), score, label in zip(*p.of_row(row), strict=True):
            box = [float(x1), float(y1), float(x2) - float(x1), float(y2) - float(y1)]
            found.append({"image_id": image, "category_id": int(label) + 1, "bbox": box, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        base = COCO()
        base.dataset = {
            "images": [{"id": k + 1} for k in range(len(list(rows)))],
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(LABELS)],
            "annotations": truth,
        }
        base.createIndex()
        run = COCOeval(base, base.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_cocos(seed):
    """At one IoU and over ten, of three classes, one of which has no truth."""
    y, p = drawn(seed)
    stats = coco(y, p)
    assert BoxScore("ap", 0.5, 0.95)(y, p) == pytest.approx(stats[0], abs=1e-12)
    assert BoxScore("ap", 0.5, 0.5)(y, p) == pytest.approx(stats[1], abs=1e-12)
    assert BoxScore("ap", 0.75, 0.75)(y, p) == pytest.approx(stats[2], abs=1e-12)


@pytest.mark.parametrize(("place", "area"), [(3, (0, 32**2)), (4, (32**2, 96**2)), (5, (96**2, 1e10))])
def test_average_precision_by_size_is_cocos(place, area):
    """Truth of another size is neither found nor missed."""
    y, p = drawn(7, n=40)
    score = BoxScore("ap", 0.5, 0.95)
    found = match(y, p, score.thresholds, by_image=False, area=area)
    assert score.of(found, np.arange(len(y))) == pytest.approx(coco(y, p)[place], abs=1e-12)


def test_only_the_best_hundred_boxes_of_an_image_count():
    """As COCO has it; F1 counts them all."""
    y, _ = drawn(0, n=1)
    rng = np.random.default_rng(0)
    corner = rng.random((150, 2)) * 200
    far = (np.hstack([corner, corner + 3]), rng.uniform(0.5, 1, 150), np.zeros(150))
    true = (y[0].xyxy, np.full(len(y[0]), 0.1), y[0].label)
    p = Boxes.of_parts(["x"], "train", [tuple(np.concatenate(some) for some in zip(far, true, strict=True))], LABELS)
    assert BoxScore("ap", 0.5, 0.95)(y, p) == pytest.approx(coco(y, p)[0], abs=1e-12)
    assert BoxScore("f1", 0.5, 0.5)(y, p) == pytest.approx(2 * len(y[0]) / (2 * len(y[0]) + 150))


def test_an_image_that_is_drawn_twice_counts_as_two():
    """As in a bootstrap."""
    y, p = drawn(3)
    rows = np.random.default_rng(0).integers(0, len(y), 30)
    assert BoxScore("ap", 0.5, 0.95).scorer(y, p)(rows) == pytest.approx(coco(y, p, rows)[0], abs=1e-12)
    again = BoxScore("f1", 0.5, 0.5)(y[rows], p.take(rows))
    assert BoxScore("f1", 0.5, 0.5).scorer(y, p)(rows) == again


def counted(true, boxes, label, threshold):
    """Return tp, fp and fn of one image and class, greedily by falling score."""
    free = [k for k in range(len(true)) if true.label[k] == label]
    n_truth, tp, n = len(free), 0, 0
    for box, _, own in sorted(zip(*boxes, strict=True), key=lambda one: -one[1]):
        if own != label:
            continue
        n += 1
        overlaps = [iou(box[None], true.xyxy[[k]])[0, 0] for k in free]
        if overlaps and max(overlaps) >= threshold:
            free.pop(int(np.argmax(overlaps)))
            tp += 1
    return np.array([tp, n - tp, n_truth - tp])


def test_scores_that_count_boxes_agree_with_counting_by_hand():
    """F1 and F2 of all boxes together, and the mean over images and thresholds of tp / (tp + fp + fn)."""
    y, p = drawn(11)

    def table(threshold):
        rows = [[counted(y[n], p.of_row(n), label, threshold) for label in range(3)] for n in range(len(y))]
        return np.array(rows).sum(axis=1)

    tp, fp, fn = table(0.4).sum(axis=0)
    assert BoxScore("f1", 0.4, 0.4)(y, p) == pytest.approx(2 * tp / (2 * tp + fp + fn))
    many = [table(0.3 + 0.05 * k) for k in range(11)]
    f2 = [5 * tp / (5 * tp + 4 * fn + fp) for tp, fp, fn in (one.sum(axis=0) for one in many)]
    assert BoxScore("f2", 0.3, 0.8)(y, p) == pytest.approx(np.mean(f2))
    wheat = []
    for one in [table(0.5 + 0.05 * k) for k in range(6)]:
        either = one.sum(axis=1)
        wheat.append(np.where(either > 0, one[:, 0] / np.maximum(either, 1), 1).mean())
    assert BoxScore("precision", 0.5, 0.75)(y, p) == pytest.approx(np.mean(wheat))


def test_pascals_area_is_exact():
    """Two of three found, after a false alarm: 1/3 at 2/3 precision twice."""
    assert _area(np.array([False, True, True]), 3, by_recall=False) == pytest.approx(2 / 3 * 2 / 3)


def test_wrong_boxes_score_less():
    """Moved by a pixel, x and y swapped, a class off by one: each is seen."""
    y, _ = drawn(5)

    def score(change, name="ap@0.5:0.95"):
        parts = [change(true.xyxy.copy(), true.label.copy()) for true in y]
        p = Boxes.of_parts([f"r{k}" for k in range(len(y))], "train", parts, LABELS)
        return find(name, "here")(y, p)

    one = 1.0
    assert score(lambda xyxy, label: (xyxy, np.full(len(label), one), label)) == 1.0
    assert score(lambda xyxy, label: (xyxy + 1, np.full(len(label), one), label)) < 0.95
    assert score(lambda xyxy, label: (xyxy[:, [1, 0, 3, 2]], np.full(len(label), one), label)) < 0.3
    assert score(lambda xyxy, label: (xyxy, np.full(len(label), one), label + 1)) < 0.3


def test_nothing_is_right_where_there_is_nothing():
    """An image without objects and without boxes is right; one box is a false alarm."""
    none = Annotated(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    y = np.empty(1, object)
    y[0] = none
    empty = Boxes.of_parts(["x"], "train", [(np.zeros((0, 4)), np.zeros(0), np.zeros(0))], LABELS)
    one = Boxes.of_parts(["x"], "train", [(np.array([[0, 0, 9, 9]]), np.ones(1), np.zeros(1))], LABELS)
    assert find("precision@0.5:0.75", "x")(y, empty) == 1
    assert find("precision@0.5:0.75", "x")(y, one) == 0
    assert find("f1@0.5", "x")(y, one) == find("ap@0.5", "x")(y, one) == 0


def test_names():
    """An IoU, or two that are steps of 0.05 apart."""
    assert parse("ap@0.5:0.95").thresholds == pytest.approx(np.arange(0.5, 0.96, 0.05))
    assert parse("f1@.4").thresholds.tolist() == [0.4]
    assert [parse(name) for name in ("ap@5", "ap@0.9:0.5", "ap@0.5:0.52", "f3@0.5")] == [None] * 4
    with pytest.raises(PodiumError, match=r"ap@0.5"):
        find("ap@2", "x.yaml: metric")


def test_the_standard_error_is_that_of_images():
    """Of a mean over images, the usual one."""
    y, p = drawn(2, n=50)
    score = BoxScore("precision", 0.5, 0.5)
    each = np.array([score.scorer(y, p)(np.array([n])) for n in range(len(y))])
    assert jackknife(score.scorer(y, p), len(y)) == pytest.approx(each.std(ddof=1) / np.sqrt(len(y)), rel=0.02)


def test_the_curve_ends_at_all_boxes():
    """Recall and precision after each box."""
    y, p = drawn(1)
    recall, precision, score = curve(y, p, 0.5)
    assert (np.diff(recall) >= 0).all()
    assert (np.diff(score) <= 0).all()
    tp = recall[-1] * sum(map(len, y))
    assert precision[-1] == pytest.approx(tp / len(p.score))
