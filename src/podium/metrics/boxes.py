"""Scores of boxes: each image is matched once, after which any choice of images is scored by counting."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

Kind = Literal["ap", "voc", "f1", "f2", "precision"]
MOST = 100  # boxes of an image and a class that count towards average precision, as COCO has it
_RECALLS = np.linspace(0, 1, 101)
_NAME = re.compile(r"(ap|voc|f1|f2|precision)@(0?\.\d+)(?::(0?\.\d+))?")
_STEP = 0.05
NAMES = ("ap@0.5", "ap@0.5:0.95", "voc@0.4", "f1@0.5", "f2@0.3:0.8", "precision@0.5:0.75")


@dataclass(frozen=True)
class Matches:
    """Boxes of `n` images, matched at `t` thresholds: the rows of each image lie between its offsets."""

    offset: np.ndarray  # (n + 1,) into what follows, by falling score within an image
    score: np.ndarray  # (b,)
    label: np.ndarray  # (b,)
    is_hit: np.ndarray  # (t, b) bool
    is_ignored: np.ndarray  # (t, b) bool: neither right nor wrong
    is_counted: np.ndarray  # (b,) bool: among the best MOST of its image and class
    truth: np.ndarray  # (n, classes) the boxes that there are

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of the boxes of some images, an image as often as it is named, and which image it is."""
        counts = np.diff(self.offset)[rows]
        own = np.concatenate([[0], np.cumsum(counts)])
        flat = np.repeat(self.offset[:-1][rows] - own[:-1], counts) + np.arange(own[-1])
        return flat, np.repeat(np.arange(len(rows)), counts)


@dataclass(frozen=True)
class BoxScore:
    """A score by name: `ap@0.5` or `f1@0.4` at one IoU, `ap@0.5:0.95` the mean over IoUs 0.05 apart.

    `ap` is COCO's average precision (101 recalls, the mean over classes), `voc` the area under Pascal VOC 2010's curve,
    `f1` and `f2` count all boxes of all images together, `precision` is the mean over images of tp / (tp + fp + fn).
    """

    kind: str
    low: float
    high: float

    @cached_property
    def thresholds(self) -> np.ndarray:
        """Return the IoUs at which boxes are matched."""
        n = round((self.high - self.low) / _STEP) + 1
        return np.linspace(self.low, self.high, n)

    def __call__(self, y: np.ndarray, p: Any, weight: np.ndarray | None = None) -> float:
        """Return the score of `Boxes` for rows of `Annotated`."""
        return self.scorer(y, p, weight)(np.arange(len(y)))

    def scorer(self, y: np.ndarray, p: Any, weight: np.ndarray | None = None) -> Callable[[np.ndarray], float]:
        """Return the function from positions of rows to their score; a row named twice counts as two images."""
        found = match(y, p, self.thresholds, by_image=self.kind != "ap")
        return lambda rows: self.of(found, rows, weight)

    def of(self, found: Matches, rows: np.ndarray, weight: np.ndarray | None = None) -> float:
        """Return the score of these rows; `weight (n,)` is used by `precision` and the F scores."""
        flat, image = found.of(rows)
        own = np.ones(len(rows)) if weight is None else np.asarray(weight)[rows]
        if self.kind in {"ap", "voc"}:
            return self._average_precision(found, flat, rows)
        hits = np.stack([np.bincount(image, found.is_hit[t, flat], len(rows)) for t in range(len(self.thresholds))])
        guesses = np.bincount(image, minlength=len(rows))
        truth = found.truth[rows].sum(axis=1)
        if self.kind == "precision":
            either = guesses + truth - hits
            per_image = np.where(either > 0, hits / np.maximum(either, 1), 1.0)
            return float(np.average(per_image.mean(axis=0), weights=own))
        squared = {"f1": 1.0, "f2": 4.0}[self.kind]
        tp, n_guesses, n_truth = (hits * own).sum(axis=1), (guesses * own).sum(), (truth * own).sum()
        both = squared * n_truth + n_guesses
        return float(((1 + squared) * tp / both).mean()) if both else 0.0

    def _average_precision(self, found: Matches, flat: np.ndarray, rows: np.ndarray) -> float:
        truth = found.truth[rows].sum(axis=0)
        flat = flat[found.is_counted[flat]] if self.kind == "ap" else flat
        flat = flat[np.argsort(-found.score[flat], kind="stable")]
        values = []
        for label in np.flatnonzero(truth):
            own = flat[found.label[flat] == label]
            for t in range(len(self.thresholds)):
                kept = own[~found.is_ignored[t, own]]
                values.append(_area(found.is_hit[t, kept], truth[label], by_recall=self.kind == "ap"))
        return float(np.mean(values)) if values else 0.0


def parse(name: str) -> BoxScore | None:
    """Return the score of a name, or None where it is no score of boxes."""
    if not (match_ := _NAME.fullmatch(name)):
        return None
    low = float(match_[2])
    high = float(match_[3] or low)
    is_whole = abs((high - low) / _STEP - round((high - low) / _STEP)) < 1e-6  # noqa: PLR2004  # rounding
    return BoxScore(match_[1], low, high) if 0 < low <= high < 1 and is_whole else None


def match(
    y: Sequence[Any] | np.ndarray,
    p: Any,
    thresholds: np.ndarray,
    *,
    by_image: bool,
    area: tuple[float, float] = (0.0, np.inf),
) -> Matches:
    """Match each image's boxes with its truth of the same class, the highest score first, each truth once.

    A box takes the free truth that it overlaps most, by at least the threshold. COCO's rule gives a tie to the last
    of equals, and looks at MOST boxes; with `by_image` all boxes are matched. Truth of another `area` in square pixels
    is ignored, and so are the boxes that match it, or that are of another area and match nothing.
    """
    n_labels = len(p.labels)
    hit = np.zeros((len(thresholds), len(p.score)), bool)
    ignored, counted = np.zeros_like(hit), np.ones(len(p.score), bool)
    truth = np.zeros((len(y), n_labels))
    areas = np.prod(p.xyxy[:, 2:].astype(np.float64) - p.xyxy[:, :2], axis=1)
    for n, true in enumerate(y):
        start, stop = p.offset[n], p.offset[n + 1]
        true_areas = np.prod(true.xyxy[:, 2:].astype(np.float64) - true.xyxy[:, :2], axis=1)
        is_other = (true_areas < area[0]) | (true_areas > area[1])
        truth[n] = np.bincount(true.label[~is_other], minlength=n_labels)
        for label in np.unique(p.label[start:stop]):
            own = start + np.flatnonzero(p.label[start:stop] == label)
            if not by_image:
                counted[own[MOST:]] = False
                own = own[:MOST]
            targets = np.flatnonzero(true.label == label)
            targets = targets[np.argsort(is_other[targets], kind="stable")]  # ignored truth comes last
            found, is_ignored = _assigned(iou(p.xyxy[own], true.xyxy[targets]), is_other[targets], thresholds)
            outside = (areas[own] < area[0]) | (areas[own] > area[1])
            hit[:, own] = found & ~is_ignored
            ignored[:, own] = is_ignored | (~found & outside)
    return Matches(p.offset, p.score, p.label, hit, ignored, counted, truth)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return `(n, m)` float64: the intersection over union of boxes `(n, 4)` and `(m, 4)`."""
    a, b = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    both = np.prod(np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0), axis=-1)
    sides = [np.prod(one[..., 2:] - one[..., :2], axis=-1) for one in (a, b)]
    return np.asarray(both / np.maximum(sides[0] + sides[1] - both, 1e-12))


def _assigned(overlap: np.ndarray, is_other: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `(t, b)` whether each box found a truth, and whether that one is ignored."""
    n_boxes, n_truth = overlap.shape
    found, ignored = np.zeros((len(thresholds), n_boxes), bool), np.zeros((len(thresholds), n_boxes), bool)
    if not n_truth:
        return found, ignored
    reached = overlap.max(axis=1) >= thresholds.min()
    for t, threshold in enumerate(thresholds):
        free = np.ones(n_truth, bool)
        for box in np.flatnonzero(reached):
            # What counts is looked at first, and ignored truth where nothing of it is left.
            for kind in (~is_other, is_other):
                usable = np.where(free & kind, overlap[box], -1.0)
                best = n_truth - 1 - int(usable[::-1].argmax())
                if usable[best] >= min(threshold, 1 - 1e-10):
                    free[best] = False
                    found[t, box], ignored[t, box] = True, is_other[best]
                    break
    return found, ignored


def _area(hits: np.ndarray, n_truth: float, *, by_recall: bool) -> float:
    """Return the area under a precision-recall curve made monotone: at COCO's 101 recalls, or exactly."""
    tp = np.cumsum(hits)
    recall = tp / n_truth
    precision = tp / np.maximum(np.arange(1, len(hits) + 1), np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if not by_recall:
        return float((np.diff(np.concatenate([[0], recall])) * envelope).sum())
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(envelope, 0.0)[np.minimum(at, len(envelope))].mean())


def curve(y: np.ndarray, p: Any, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return recall, precision and score after each box of all images, the highest score first."""
    found = match(y, p, np.array([threshold]), by_image=True)
    order = np.argsort(-p.score, kind="stable")
    tp = np.cumsum(found.is_hit[0, order])
    return tp / max(found.truth.sum(), 1), tp / np.arange(1, len(order) + 1), p.score[order]
