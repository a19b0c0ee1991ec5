"""Pixels -> a picture that a page can hold: a data address of a JPEG."""

import base64
from collections.abc import Callable

import numpy as np

from podium.imaging.images import Reader, UnreadableImageError

SIDE_PX = 512  # of the full view; the thumbnail is the same picture, shown small
THUMBNAIL_PX = 96  # of an image beside another one
MOST_BYTES = 80_000  # of one picture: 160 of them stay below 20 MB as text
_QUALITY = 82


def thumbnail(reader: Reader, source: str) -> str:
    """Return an image as a data address of at most 96 px, or "" where it cannot be read."""
    try:
        return encoded(reader.read(source, 2 * THUMBNAIL_PX), THUMBNAIL_PX)
    except UnreadableImageError:
        return ""


def of_source(reader: Reader, source: str, draw: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels) -> str:
    """Return an image as a data address, with what `draw` puts on it, or "" where it cannot be read."""
    try:
        return encoded(draw(reader.read(source))) if source else ""
    except UnreadableImageError:
        return ""


def encoded(pixels: np.ndarray, side_px: int = SIDE_PX) -> str:
    """Return `(h, w, 3)` uint8 RGB as the data address of a JPEG of at most `side_px` a side and 80 kB."""
    side = min(side_px, max(pixels.shape[:2]))
    data = _jpeg(pixels, side)
    while len(data) > MOST_BYTES:
        side //= 2
        data = _jpeg(pixels, side)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _jpeg(pixels: np.ndarray, side: int) -> bytes:
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = pixels if scale >= 1 else cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data)
