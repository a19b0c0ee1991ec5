"""Fusing overlapping boxes: of several models, views and tiles. Of many rows at a time: Python steps through places.

Boxes are packed, `(n, b, 6)`: corners, score, label, and the label -1 where a row has fewer (see contracts.boxes). The
file imports NumPy and the model format only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from podium.contracts.blends import Blend

Fusion = Literal["wbf", "nms", "soft_nms"]
_AT_ONCE = 64  # rows: what is computed on of them stays in a core's cache


@dataclass(frozen=True)
class FusedBoxes(Blend):
    """Members' boxes fused by `method` at `iou`; of what comes out, that of a score below `cut` is left out.

    `weights (m,)` scale the members' scores: `wbf` divides by their sum, the others by the largest. Boxes of less than
    `floor` take no part.
    """

    weights: np.ndarray
    method: str
    iou: float
    cut: float
    floor: float
    path: tuple[tuple[int, float], ...] = ()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, width * 6)` of the members' packed boxes `(m, n, width * 6)`, as wide as each member's."""
        m, n, d = x.shape
        boxes = x.reshape(m, n, d // 6, 6)
        used = np.flatnonzero(self.weights > 0)
        fused = fuse(boxes[used], self.weights[used], self.method, self.iou, self.floor)
        fused[fused[..., 4] < self.cut] = _NO_BOX
        return fused[:, : d // 6].reshape(n, d)  # `stacked` leaves room for all


_NO_BOX = np.array([0, 0, 0, 0, 0, -1], np.float32)


def fuse(boxes: np.ndarray, weights: np.ndarray, method: str, iou: float, floor: float = 0.0) -> np.ndarray:
    """Return packed boxes `(n, b', 6)` float32 by falling score, of the models' `(m, n, b, 6)`."""
    n = boxes.shape[1]
    parts = [_fuse(boxes[:, k : k + _AT_ONCE], weights, method, iou, floor) for k in range(0, n, _AT_ONCE)]
    width = max([part.shape[1] for part in parts], default=0)
    full = np.tile(_NO_BOX, (n, max(width, boxes.shape[2]), 1))
    for k, part in enumerate(parts):
        full[k * _AT_ONCE : k * _AT_ONCE + len(part), : part.shape[1]] = part
    return full


def _fuse(boxes: np.ndarray, weights: np.ndarray, method: str, iou: float, floor: float) -> np.ndarray:
    m, n, b, _ = boxes.shape
    model = np.repeat(np.arange(m), b)
    flat = np.moveaxis(boxes, 0, 1).reshape(n, m * b, 6).astype(np.float64)
    is_box = (flat[..., 5] >= 0) & (flat[..., 4] >= floor)
    scale = weights if method == "wbf" else weights / weights.max()
    score = np.where(is_box, flat[..., 4] * scale[model], -1.0)
    # By falling score; of equals the one that comes first, as a stable sort has it.
    order = np.argsort(-score, axis=1, kind="stable")[:, : is_box.sum(axis=1).max(initial=0)]
    flat = np.take_along_axis(flat, order[..., None], axis=1)
    flat[..., 4] = np.take_along_axis(score, order, axis=1)
    flat[flat[..., 4] < 0] = _NO_BOX
    if method == "wbf":
        return _wbf(flat, len(weights), weights.sum(), iou)
    return _nms(flat, iou) if method == "nms" else _soft_nms(flat, iou)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return `(n, b)`: the intersection over union of a box a row `(n, 4)` with each of `boxes (n, b, 4)`."""
    low = np.maximum(box[:, None, :2], boxes[..., :2])
    high = np.minimum(box[:, None, 2:], boxes[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    either = np.prod(box[:, 2:] - box[:, :2], axis=-1)[:, None] + areas - both
    return np.asarray(both / np.maximum(either, 1e-12))


def _wbf(boxes: np.ndarray, n_models: int, total: float, iou: float) -> np.ndarray:
    """Return weighted boxes fusion (Solovyev, Wang and Gabruseva 2021), with the mean of a cluster's scores.

    Each box joins the cluster of its label whose fused box it overlaps most, by more than `iou`, or opens one. A
    cluster's box is the mean by score; its score is lowered where fewer boxes are in it than there are models.
    """
    n, b, _ = boxes.shape
    rows = np.arange(n)
    fused = np.zeros((n, b, 6))
    fused[..., 5] = -1
    sums, counts = np.zeros((n, b, 5)), np.zeros((n, b))  # corners by score, and scores
    n_clusters = np.zeros(n, np.int64)
    for k in range(b):
        box = boxes[:, k]
        alive = box[:, 5] >= 0
        widest = n_clusters.max()
        at = n_clusters.copy()
        if widest:
            overlap = overlaps(box[:, :4], fused[:, :widest, :4])
            overlap[fused[:, :widest, 5] != box[:, 5:]] = -1
            best = overlap.argmax(axis=1)
            at = np.where(overlap[rows, best] > iou, best, at)
        some = rows[alive]
        at = at[alive]
        np.add.at(n_clusters, some[at == n_clusters[some]], 1)
        sums[some, at, :4] += box[alive, 4:5] * box[alive, :4]
        sums[some, at, 4] += box[alive, 4]
        counts[some, at] += 1
        # A box by itself is kept as it is: its weighted mean would be rounded.
        alone = counts[some, at] == 1
        mean = np.where(alone[:, None], box[alive, :4], sums[some, at, :4] / np.maximum(sums[some, at, 4:], 1e-300))
        fused[some, at, :4] = mean
        fused[some, at, 5] = box[alive, 5]
    fused[..., 4] = sums[..., 4] / np.maximum(counts, 1) * np.minimum(n_models, counts) / total
    fused[..., 4] = fused[..., 4].clip(0, 1)
    return _sorted(fused)


def _nms(boxes: np.ndarray, iou: float) -> np.ndarray:
    """Return the boxes that no better one of their label overlaps by more than `iou`."""
    kept = boxes[..., 5] >= 0
    for k in range(boxes.shape[1] - 1):
        rest = boxes[:, k + 1 :]
        is_same = kept[:, k, None] & (rest[..., 5] == boxes[:, k, 5:])
        kept[:, k + 1 :] &= ~(is_same & (overlaps(boxes[:, k, :4], rest[..., :4]) > iou))
    boxes = boxes.copy()
    boxes[~kept] = _NO_BOX
    return _sorted(boxes)


def _soft_nms(boxes: np.ndarray, iou: float) -> np.ndarray:
    """Return the boxes with scores lowered by (1 - overlap) for each better one that overlaps by more than `iou`.

    The linear form of Bodla et al. 2017.
    """
    boxes, rows = boxes.copy(), np.arange(len(boxes))
    waiting = boxes[..., 5] >= 0
    for _ in range(boxes.shape[1]):
        best = np.where(waiting, boxes[..., 4], -1).argmax(axis=1)
        chosen = boxes[rows, best]
        alive = waiting[rows, best]
        waiting[rows, best] = False
        overlap = overlaps(chosen[:, :4], boxes[..., :4])
        is_lowered = waiting & alive[:, None] & (boxes[..., 5] == chosen[:, 5:]) & (overlap > iou)
        boxes[..., 4] *= np.where(is_lowered, 1 - overlap, 1.0)
    return _sorted(boxes)


def _sorted(boxes: np.ndarray) -> np.ndarray:
    """Return packed boxes by falling score, those that are none at the end, and no wider than need be."""
    boxes[boxes[..., 5] < 0] = _NO_BOX
    score = np.where(boxes[..., 5] >= 0, boxes[..., 4], -1)
    order = np.argsort(-score, axis=1, kind="stable")
    width = int((score >= 0).sum(axis=1).max(initial=0))
    return np.take_along_axis(boxes, order[:, :width, None], axis=1).astype(np.float32)
