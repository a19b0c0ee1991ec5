"""Boxes under the views of images, and back: the same moves as `podium.imaging.pixels.apply`, of corners."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from podium.imaging.pixels import Shape, frame


def moved(xyxy: np.ndarray, operation: str, parameters: Mapping[str, Any], shape: Shape) -> np.ndarray:
    """Return boxes `(..., 4)` where a view shows them, of boxes on an image of `shape`: height and width."""
    height, width = shape
    x, y = xyxy[..., [0, 2]], xyxy[..., [1, 3]]
    right, bottom = width - x[..., ::-1], height - y[..., ::-1]  # measured from the other side
    if operation == "flip":
        x, y = (right, y) if parameters["direction"] == "horizontal" else (x, bottom)
    elif operation == "rotate":
        x, y = {1: (y, right), 2: (right, bottom), 3: (bottom, x)}[parameters["quarter_turns"]]
    elif operation == "transpose":
        x, y = (y, x) if parameters["diagonal"] == "main" else (bottom, right)
    return np.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], axis=-1)


def undone(xyxy: np.ndarray, operation: str, parameters: Mapping[str, Any], shape: Shape) -> np.ndarray:
    """Return boxes on the image, of boxes that a view of it shows; `shape` is the image's."""
    swaps = operation == "transpose" or (operation == "rotate" and parameters["quarter_turns"] % 2)
    inverse = {"quarter_turns": 4 - parameters["quarter_turns"]} if operation == "rotate" else parameters
    return moved(xyxy, operation, inverse, shape[::-1] if swaps else shape)


def letterbox(shape: Shape, target: Shape, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what leads from an image of `shape` to a network's: coordinates (x, y, x, y) times scale, plus offset.

    It follows `podium.imaging.pixels.resize`: padded or cut around the middle, then scaled to `target`.
    """
    framed = frame(shape, target, mode)
    scale = np.array([wanted / own for wanted, own in zip(target, framed, strict=True)])[::-1]
    before = np.array([_before(wanted - own) for own, wanted in zip(shape, framed, strict=True)])[::-1]
    return np.tile(scale, 2), np.tile(before * scale, 2)


def _before(spare: int) -> int:
    """Return the pixels that are added in front of an image, of all that are added; negative where some are cut."""
    return spare // 2 if spare >= 0 else -(-spare // 2)
