"""Settings of networks that find boxes, and the arithmetic between boxes and a network's cells. NumPy only.

The network says at each cell of its finest map how likely an object of each class has its centre there, and how far
the sides of its box are: TTFNet (Liu et al. 2020), after CenterNet (Zhou et al. 2019).
"""

import numpy as np
from pydantic import Field

from podium.contracts.box_blends import fuse
from podium.settings import Settings

NONE = -1.0  # the label of no box, in a row of targets
PER_BOX = 5  # numbers of a box among targets: corners and label
_SPREAD = 0.54  # of a box's side: how far from its centre a cell still learns of it (TTFNet)
_LEAST = 1e-3  # of the bell, below which a cell does not
_NMS_IOU = 0.6  # of one network's boxes of one picture


class Detection(Settings):
    """A trained network that finds boxes: maps of the trunk joined from coarse to fine, and a head on the finest."""

    width: int = Field(64, ge=8)
    """Channels of the joined maps and of the head."""
    depth: int = Field(2, ge=1)
    """Convolutions of the head."""
    min_visible: float = Field(0.3, gt=0, le=1)
    """The least share of a box that must be left inside after augmentation; with less it is no object."""
    mosaic: float = Field(0.0, ge=0, le=1)
    """The chance that a picture is put together of four pictures of the batch."""
    box_loss: float = Field(5.0, gt=0)
    """The weight of the boxes' loss beside that of the centres."""
    candidates: int = Field(300, ge=1)
    """The most boxes of a picture that are kept."""
    least_score: float = Field(0.02, gt=0, lt=1)
    """Boxes of a lower score are not kept."""


def dense(boxes: np.ndarray, shape: tuple[int, int], stride: int, n_labels: int) -> np.ndarray:
    """Return what each cell is to learn: `(n, cells, n_labels + 5)` float32.

    That is the bell of each class, 1 at the cell of an object's centre; then the corners, in pixels, of the object
    that the cell tells of, and the weight of that.

    Args:
        boxes: `(n, b, 5)` corners and label; the label is `NONE` where there is none.
        shape: rows and columns of cells.
        stride: pixels a cell.
        n_labels: the number of classes.
    """
    height, width = shape
    found = np.zeros((len(boxes), height, width, n_labels + PER_BOX), np.float32)
    for cells, own in zip(found, boxes, strict=True):
        own = own[own[:, 4] != NONE]  # noqa: PLW2901  # those that there are
        area = (own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])
        for x1, y1, x2, y2, label in own[
            np.argsort(-area, kind="stable")
        ].tolist():  # the smaller one has the last word
            column = min(max(int((x1 + x2) / 2 / stride), 0), width - 1)
            row = min(max(int((y1 + y2) / 2 / stride), 0), height - 1)
            top, bell_y = _bell((y2 - y1) / stride, row, height)
            left, bell_x = _bell((x2 - x1) / stride, column, width)
            bell = np.outer(bell_y, bell_x).astype(np.float32)
            part = cells[top : top + len(bell_y), left : left + len(bell_x)]
            np.maximum(part[..., int(label)], bell, out=part[..., int(label)])
            is_own = bell > _LEAST
            weight = bell * (np.log(max((x2 - x1) * (y2 - y1), np.e)) / bell.sum())
            part[is_own, n_labels : n_labels + 4] = (x1, y1, x2, y2)
            part[is_own, n_labels + 4] = weight[is_own]
    return found.reshape(len(boxes), height * width, -1)


def _bell(side: float, centre: int, length: int) -> tuple[int, np.ndarray]:
    """Return the first cell along a side, and a Gaussian from there on that is 1 at the cell of the centre."""
    radius = max(int(side / 2 * _SPREAD), 0)
    sigma = (2 * radius + 1) / 6
    first, last = max(centre - radius, 0), min(centre + radius, length - 1)
    at = np.arange(first, last + 1) - centre
    return first, np.exp(-(at**2) / (2 * sigma**2))


def centres(shape: tuple[int, int], stride: int) -> np.ndarray:
    """Return `(cells, 2)` float32: x and y of each cell's centre, in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride).astype(np.float32)


def decode(outputs: np.ndarray, shape: tuple[int, int], stride: int, settings: Detection) -> np.ndarray:
    """Return packed boxes `(n, candidates, 6)` float32 in the network's pixels: corners, score, label; by score.

    Args:
        outputs: `(n, cells, n_labels + 4)`: logits, then distances from the cell's centre to left, top, right, bottom.
        shape: rows and columns of cells.
        stride: pixels a cell.
        settings: how many boxes to keep, from which score on.
    """
    n, n_cells, _ = outputs.shape
    n_labels, most = outputs.shape[2] - 4, settings.candidates
    logits = outputs[..., :n_labels].reshape(n, *shape, n_labels)
    # A cell beside a likelier one tells of the same object.
    padded = np.pad(logits, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    around = np.max([padded[:, i : i + shape[0], j : j + shape[1]] for i in range(3) for j in range(3)], axis=0)
    peaks = np.where(logits >= around, logits, -np.inf).reshape(n, -1)
    taken = np.argsort(-peaks, axis=1, kind="stable")[:, : min(most, peaks.shape[1])]
    score = 1 / (1 + np.exp(-np.take_along_axis(peaks, taken, axis=1).astype(np.float64)))
    cell, label = taken // n_labels, taken % n_labels
    at = np.tile(centres(shape, stride), 2)[cell]
    reach = np.take_along_axis(outputs[..., n_labels:], cell[..., None], axis=1)
    xyxy = at + reach * np.array([-1, -1, 1, 1])
    limits = np.array([shape[1], shape[0]] * 2) * stride
    xyxy = xyxy.clip(0, limits)
    packed = np.concatenate([xyxy, score[..., None], label[..., None]], axis=2)
    is_box = (score >= settings.least_score) & (xyxy[..., 0] + 1 <= xyxy[..., 2]) & (xyxy[..., 1] + 1 <= xyxy[..., 3])
    packed[~is_box] = (0, 0, 0, 0, 0, NONE)
    fused = fuse(packed[None].astype(np.float32), np.ones(1), "nms", _NMS_IOU)
    full = np.tile(np.array([0, 0, 0, 0, 0, NONE], np.float32), (n, most, 1))
    full[:, : min(most, fused.shape[1])] = fused[:, :most]
    assert n_cells == shape[0] * shape[1]
    return full
