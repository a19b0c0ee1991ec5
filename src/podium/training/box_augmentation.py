"""Augmentation that moves boxes with pixels: the operations of `Augmentation`, and mosaics.

It runs on the thread that prepares batches, in NumPy and OpenCV. Beyond its edge a picture is gray: mirrored objects
would have no boxes.
"""

import numpy as np

from podium.imaging import box_views
from podium.imaging.pixels import PADDING
from podium.imaging.pixels import apply as view_of
from podium.imaging.views import VIEWS
from podium.training.augmentation import Augmentation, CutMix, MixUp, Operation, RandAugment, _Affine, _View
from podium.training.detection import NONE, Detection

_MIDDLE = (0.3, 0.7)  # where the four pictures of a mosaic may meet, as a share of the sides
_MOSAIC = 1_000_003  # beside the seed: operations count from 0


def refused(augment: Augmentation) -> str | None:
    """Return the name of an operation that means nothing for boxes, or None."""
    mixing = (MixUp, CutMix, RandAugment)
    names = zip(augment.names, augment.operations, strict=True)
    return next((name for name, one in names if isinstance(one, mixing)), None)


def apply(
    augment: Augmentation, settings: Detection, images: np.ndarray, boxes: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a changed batch; the seed alone decides how.

    Args:
        augment: what is done, in this order, after mosaics.
        settings: the chance of a mosaic, and the least visible share of a box that stays.
        images: `(n, h, w, 3)` uint8.
        boxes: `(n, b, 5)` float32: corners in pixels, and label, `NONE` where there is no box.
        seed: 0 or more; one of its own for each step.

    Returns:
        Images as float32, and boxes `(n, b', 5)`.
    """
    images, boxes = np.ascontiguousarray(images), boxes.astype(np.float32)
    if settings.mosaic:
        images, boxes = _mosaics(images, boxes, settings, np.random.default_rng([seed, _MOSAIC]))
    joined: np.ndarray | None = None
    for place, operation in enumerate(augment.operations):
        rng = np.random.default_rng([seed, place])
        if isinstance(operation, _Affine):
            matrices = operation.matrices(len(images), images.shape[1:3], rng)
            joined = matrices if joined is None else joined @ matrices
            continue
        if joined is not None:
            images, boxes = warped(images, boxes, joined, settings.min_visible)
            joined = None
        images, boxes = _applied(operation, images, boxes, rng)
    if joined is not None:
        images, boxes = warped(images, boxes, joined, settings.min_visible)
    return images.astype(np.float32), boxes


def _applied(
    operation: Operation, images: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(operation, _View):  # it changes colours, and moves nothing
        return np.asarray(operation.apply(images.astype(np.float32), None, rng)[0]).clip(0, 255), boxes
    images, boxes, view = images.copy(), boxes.copy(), VIEWS[operation.view]
    for n in np.flatnonzero(operation.drawn(len(images), rng)):
        images[n] = view_of(images[n], view.operation, view.parameters)
        boxes[n, :, :4] = box_views.moved(boxes[n, :, :4], view.operation, view.parameters, images.shape[1:3])
    return images, boxes


def warped(
    images: np.ndarray, boxes: np.ndarray, matrices: np.ndarray, min_visible: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and boxes seen through `(n, 3, 3)`, from the result to the image, in pixels from the centre."""
    import cv2

    height, width = images.shape[1:3]
    centre = np.eye(3)
    centre[:2, 2] = (width - 1) / 2, (height - 1) / 2
    done, moved = np.empty_like(images), boxes.copy()
    for n, matrix in enumerate(matrices):
        whole = centre @ matrix @ np.linalg.inv(centre)
        done[n] = cv2.warpAffine(
            images[n],
            whole[:2],
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(PADDING,) * 3,
        )
        # Pixels are at their centres for OpenCV, and corners at edges for us: half a pixel apart.
        x, y = boxes[n][:, [0, 2, 0, 2]] - 0.5, boxes[n][:, [1, 1, 3, 3]] - 0.5
        back = np.linalg.inv(whole)
        corners = np.stack([back[k, 0] * x + back[k, 1] * y + back[k, 2] + 0.5 for k in (0, 1)])
        moved[n, :, :2], moved[n, :, 2:4] = corners.min(axis=2).T, corners.max(axis=2).T
    return done, cut(moved, (0, 0, width, height), min_visible)


def cut(boxes: np.ndarray, inside: tuple[float, float, float, float], min_visible: float) -> np.ndarray:
    """Return boxes cut to a rectangle; one of which too little is left has the label `NONE`."""
    x1, y1, x2, y2 = inside
    found = boxes.copy()
    found[..., :4] = boxes[..., :4].clip((x1, y1, x1, y1), (x2, y2, x2, y2))
    left, whole = (np.prod(some[..., 2:4] - some[..., :2], axis=-1) for some in (found, boxes))
    found[..., 4] = np.where((left >= min_visible * whole) & (left >= 1), found[..., 4], NONE)
    return found


def _mosaics(
    images: np.ndarray, boxes: np.ndarray, settings: Detection, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures, some of them put together of four: each gives a part of its own to one corner."""
    n, height, width = images.shape[:3]
    done, found = images.copy(), [list(own[own[:, 4] != NONE]) for own in boxes]
    drawn, middle = rng.random(n) < settings.mosaic, rng.uniform(*_MIDDLE, (n, 2))
    others, starts = rng.integers(0, n, (n, 4)), rng.random((n, 4, 2))
    for k in np.flatnonzero(drawn):
        x, y = round(middle[k, 0] * width), round(middle[k, 1] * height)
        found[k] = []
        for corner, (left, top, right, bottom) in enumerate(
            ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
        ):
            other = others[k, corner]
            across, down = (right - left, bottom - top)
            from_x, from_y = (
                int(s * (whole - part + 1))
                for s, whole, part in zip(starts[k, corner], (width, height), (across, down), strict=True)
            )
            done[k, top:bottom, left:right] = images[other, from_y : from_y + down, from_x : from_x + across]
            own = cut(boxes[other], (from_x, from_y, from_x + across, from_y + down), settings.min_visible)
            own[:, :4] += np.array([left - from_x, top - from_y] * 2, np.float32)
            found[k] += list(own[own[:, 4] != NONE])
    table = np.zeros((n, max(map(len, found), default=0), 5), np.float32)
    table[..., 4] = NONE
    for own, some in zip(table, found, strict=True):
        if some:
            own[: len(some)] = some
    return done, table
