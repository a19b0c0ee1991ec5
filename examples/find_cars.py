"""A detector from before deep learning: HOG, a linear SVM, a window that slides over scales, non-maximum suppression.

    python examples/find_cars.py [PICTURE.png]

The parts are podium's: the network `hog`, and the head `linear_svm` with its calibrated probabilities. Streets are
drawn here, with cars among houses and trees. What the first machine takes for a car on further streets, and is none,
joins its negatives, as Dalal and Triggs (2005) do. Average precision counts a box that overlaps a car by half.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import average_precision_score

from podium.backbones import NETWORKS
from podium.contracts.models import Fitted
from podium.contracts.steps import predict
from podium.heads import Training
from podium.heads.linear_svm import Head

PX, MARGIN, LOW = 64, 1.3, 0.4  # of a window; window side to car width; car height to width
SIDES = (64, 80, 102)  # of the windows that slide
Boxes = np.ndarray  # (n, 4): left, top, right, bottom
Places = np.ndarray  # (n, 3): left, top and side of a window
OUTLINE = np.array([(0, 0.25), (0.2, 0.22), (0.33, 0), (0.68, 0), (0.82, 0.2), (1, 0.24), (1, 0.34), (0, 0.34)])
GLASS = np.array([(0.26, 0.2), (0.36, 0.04), (0.65, 0.04), (0.75, 0.2)])


def street(rng: np.random.Generator) -> tuple[np.ndarray, Boxes]:
    """Return a picture `(240, 360, 3)` uint8 RGB of a street with one or two cars, and their boxes."""
    picture = np.full((240, 360, 3), rng.integers(150, 230, 3), np.uint8)
    picture[150:] = rng.integers(80, 140)
    for x, y, is_house in rng.integers(0, (360, 90, 2), (7, 3)).tolist():
        if is_house:
            cv2.rectangle(picture, (x, y + 30), (x + 60, 155), tuple(map(int, rng.integers(0, 255, 3))), -1)
            for row in range(y + 38, 140, 20):
                cv2.rectangle(picture, (x + 6, row), (x + 16, row + 10), (230, 230, 160), -1)
        else:  # a tree
            cv2.rectangle(picture, (x, 110), (x + 6, 170), (90, 60, 30), -1)
            cv2.circle(picture, (x + 3, 95), 12 + y // 6, (40, 90 + y // 2, 40), -1)
    boxes = []
    for left in rng.permutation([20, 190])[: rng.integers(1, 3)]:
        width, top = rng.uniform(48, 80), rng.uniform(120, 185)
        boxes.append([left, top, left + width, top + LOW * width])
        is_turned = rng.random() < 0.5
        for shape, colour in ((OUTLINE, rng.integers(0, 255, 3)), (GLASS, np.array([190, 215, 230]))):
            x = 1 - shape[:, 0] if is_turned else shape[:, 0]
            points = np.stack([left + width * x, top + width * shape[:, 1]], axis=1).round().astype(np.int32)
            cv2.fillPoly(picture, [points], tuple(map(int, colour)), cv2.LINE_AA)
        for share in (0.22, 0.78):
            at = (round(left + share * width), round(top + 0.32 * width))
            cv2.circle(picture, at, round(0.085 * width), (20, 20, 20), -1, cv2.LINE_AA)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8), np.array(boxes)


def overlap(box: np.ndarray, boxes: Boxes) -> np.ndarray:
    """Return `(n,)`: intersection over union of a box with each of the others."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared)


def suppress(boxes: Boxes, p: np.ndarray, most: float = 0.1) -> np.ndarray:
    """Return positions, the likeliest first, of boxes that overlap no likelier one by more than `most`."""
    kept: list[int] = []
    for place in np.argsort(-p, kind="stable"):
        if not kept or overlap(boxes[place], boxes[kept]).max() <= most:
            kept.append(int(place))
    return np.array(kept, np.int64)


def windows(picture: np.ndarray) -> Places:
    """Return the windows of all sides whose middle is on the street."""
    high, wide = picture.shape[:2]
    grids = [(range(0, wide - s + 1, s // 8), range(120 - s // 2, high - s + 1, s // 8), s) for s in SIDES]
    return np.array([(left, top, side) for across, down, side in grids for top in down for left in across])


def describe(picture: np.ndarray, places: Places) -> np.ndarray:
    """Return `(n, 1764)` float32: HOG features of windows, each seen at 64 px."""
    squares = [cv2.resize(picture[y : y + side, x : x + side], (PX, PX)) for x, y, side in places.round().astype(int)]
    return NETWORKS["hog"].build(PX, "none", ())(np.stack(squares))


def boxes_of(places: Places) -> Boxes:
    """Return the box of the car that each window would hold."""
    middle, half = places[:, :2] + places[:, 2:] / 2, places[:, 2:] / MARGIN / 2 * [1, LOW]
    return np.hstack([middle - half, middle + half])


def train(n_streets: int, n_hard: int, rng: np.random.Generator) -> Fitted:
    """Return the model from HOG features to the probability of a car: of car windows and others, then of hard ones."""
    x, y = [], []

    def learn(n: int, model: Fitted | None = None) -> Fitted:
        for _ in range(n):
            picture, cars = street(rng)
            places = windows(picture)
            best = np.max([overlap(car, boxes_of(places)) for car in cars], axis=0)
            chosen = np.append(np.flatnonzero(best > 0.55), rng.choice(np.flatnonzero(best < 0.3), 15, replace=False))
            if model:
                features = describe(picture, places)
                chosen = np.flatnonzero((best < 0.3) & (predict(model, features)[:, 0] > 0.2))
            x.append(features[chosen] if model else describe(picture, places[chosen]))
            y.append(best[chosen] > 0.55)
        group = np.repeat(np.arange(len(x)), [len(part) for part in x])  # a street's windows stay together
        truth, weight = np.concatenate(y).astype(np.int64), np.ones(len(group))
        data = Training(np.concatenate(x), truth, "binary", n_outputs=1, group=group, weight=weight, seed=0)
        return Head(C=0.001).fit(data)

    return learn(n_hard, learn(n_streets))


def detect(model: Fitted, picture: np.ndarray) -> tuple[Boxes, np.ndarray]:
    """Return boxes `(n, 4)` and their probabilities, the likeliest first."""
    places = windows(picture)
    boxes, p = boxes_of(places), predict(model, describe(picture, places))[:, 0]
    kept = suppress(boxes, p)
    return boxes[kept], p[kept]


def hits_of(boxes: Boxes, cars: Boxes) -> np.ndarray:
    """Return which boxes, the likeliest first, are the first to overlap a car by half."""
    shares = np.stack([overlap(car, boxes) for car in cars]) >= 0.5
    return (shares & (shares.cumsum(axis=1) == 1)).any(axis=0)


def main(picture: Path, n_train: int = 60, n_hard: int = 6, n_test: int = 12, seed: int = 0) -> float:
    """Train, find the cars of new streets, draw four of these; returns the average precision."""
    rng = np.random.default_rng(seed)
    model, shown, hits, sure, n_cars = train(n_train, n_hard, rng), [], np.zeros(0, bool), np.zeros(0), 0
    for _ in range(n_test):
        scene, cars = street(rng)
        boxes, p = detect(model, scene)
        hits, sure, n_cars = np.append(hits, hits_of(boxes, cars)), np.append(sure, p), n_cars + len(cars)
        for box, share in zip(boxes[p > 0.5].round().astype(int), p[p > 0.5], strict=True):
            cv2.rectangle(scene, box[:2].tolist(), box[2:].tolist(), (255, 30, 30), 2)
            cv2.putText(scene, f"{share:.2f}", (box[0], box[1] - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 30, 30), 1)
        shown.append(scene)
    score = float(average_precision_score(hits, sure) * hits.sum() / n_cars)  # cars that no box found count too
    print(f"average precision {score:.3f}: {n_cars} cars on {n_test} streets; of {(sure > 0.5).sum()} boxes", end=" ")
    print(f"above one half {hits[sure > 0.5].sum()} are cars")
    cv2.imwrite(str(picture), np.vstack([np.hstack(shown[:2]), np.hstack(shown[2:4])])[..., ::-1])
    return score


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "find_cars.png"))
