"""The images of a raw folder as RGB pixels, and the settings of the shape that a network takes."""

import hashlib
import math
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from podium.imaging import idx, regions
from podium.imaging.pixels import (
    BACKGROUND,
    PADDING,
    Shape,
    UnreadableImageError,
    decode,
    dimensions,
    frame,
    resize,
)
from podium.settings import Settings
from podium.storage.raw import Raw

__all__ = [
    "BACKGROUND",
    "MAX_MEGAPIXELS",
    "PADDING",
    "SUFFIXES",
    "Reader",
    "Resize",
    "Shape",
    "UnreadableImageError",
    "decode",
    "dimensions",
    "frame",
    "resize",
]

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm")
_SHEETS_KEPT = 2  # decoded sheets in memory; rows are read in order, so one and its successor are enough
MAX_MEGAPIXELS = 128.0  # the largest phone cameras have 108; decoding 128 takes about 1.5 GB
_OVERSAMPLING = 2  # least ratio of the sides of a reduced JPEG to those of the square that is made of it

Interpolation = Literal["area", "linear", "cubic", "lanczos", "nearest"]


class Resize(Settings):
    """How an image gets the shape that a network takes: a square of `px` a side, or `width` x `height`, or its own.

    Modes: `squash` changes the aspect ratio, `pad` adds gray where the image is too short, `crop` cuts where it is too
    long, both centred. `area` averages where it shrinks and is cubic where it enlarges: there OpenCV's own is blocky,
    and cut the accuracy of EfficientNet-Lite0 on CIFAR-10 (2,000 images) from 0.85 to 0.51.

    With `decode: reduced` the decoder shrinks a JPEG on the way, by 2, 4 or 8 as far as both sides keep twice what is
    asked for: it leaves out fine detail, which the rest of the way down would average away, and most of the work.
    """

    px: Annotated[int | None, Field(ge=1)] = None
    """Pixels a side of a square; null: the network's native size."""
    width: Annotated[int | None, Field(ge=1)] = None
    """Pixels, of an image that is no square; only for networks that are trained from scratch."""
    height: Annotated[int | None, Field(ge=1)] = None
    """Pixels, beside `width`."""
    mode: Literal["squash", "pad", "crop"] = "squash"
    """How it gets this shape: `squash` changes the aspect ratio, `pad` adds gray, `crop` cuts what is too long."""
    interpolation: Interpolation = "area"
    """`area` averages where it shrinks and is cubic where it enlarges."""
    decode: Literal["full", "reduced"] = "full"
    """`reduced` shrinks large JPEGs while they are decoded, to no less than twice `px`: faster, and other pixels."""

    def least_px(self, native: int | Shape) -> int | None:
        """Return the least length of a side that a JPEG may be decoded to; None where it must be its own."""
        return _OVERSAMPLING * max(self.shape(native)) if self.decode == "reduced" else None

    def description(self, native: int | Shape) -> str:
        """Return what changes pixels, for fingerprints."""
        height, width = self.shape(native)
        shape = f"{height}" if height == width else f"{width} x {height}"
        reduced = ", reduced decoding" if self.decode == "reduced" else ""
        return f"{shape} px, {self.mode}, {self.interpolation}{reduced}"

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("`width` and `height` go together; a square is `px` alone")
        if self.px is not None and self.width is not None:
            raise ValueError("`px` is the side of a square; leave it out beside `width` and `height`")
        return self

    def shape(self, native: int | Shape) -> Shape:
        """Return height and width of what a network gets, whose own shape (or side) is `native`."""
        if self.width is not None and self.height is not None:
            return self.height, self.width
        px = self.px or native
        return (px, px) if isinstance(px, int) else px


class Reader:
    """Reads the images of a raw folder from any number of threads.

    A source is a file, `archive#member`, or one of the two with `#row`: row number `row` of an image whose
    every row of pixels is a square image of its own, row-major (a sheet), or image number `row` of an IDX file; or with
    `@x,y,w,h`, a part of an image (see `podium.imaging.regions`).
    With `max_megapixels` a larger image (or sheet) is unreadable: prepare says so once, and later stages need not look.
    """

    def __init__(self, folder: Path, max_megapixels: float | None = None) -> None:
        self._raw = Raw(folder)
        self._max_megapixels = max_megapixels
        self._sheets: OrderedDict[str, np.ndarray | UnreadableImageError] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._raw.close()

    def read(self, source: str, least_px: int | None = None) -> np.ndarray:
        """Return `(h, w, 3)` uint8 RGB, a JPEG's reduced as `decode` does; raises UnreadableImageError."""
        return self.read_with_digest(source, least_px)[0]

    def resized(self, source: str, how: Resize, native: int | Shape) -> np.ndarray:
        """Return `(h, w, 3)` uint8 RGB, as `resize` makes it; raises UnreadableImageError."""
        return resize(self.read(source, how.least_px(native)), how, native)

    def read_with_digest(self, source: str, least_px: int | None = None) -> tuple[np.ndarray, str]:
        """Return the pixels and a SHA-256: of the file's bytes, or of the pixels where it is a part of an image."""
        try:
            sheet, _, row = source.rpartition("#")
            if row.isdecimal() and source not in self._raw:
                pixels = self._row(sheet, int(row))
                return pixels, hashlib.sha256(pixels.tobytes()).hexdigest()
            region = regions.parse(source)
            if region.is_part and source not in self._raw:
                pixels = self._part(region)
                return pixels, hashlib.sha256(pixels.tobytes()).hexdigest()
            data = self._raw.read(source)
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableImageError(str(error)) from error
        return decode(data, self._max_megapixels, least_px), hashlib.sha256(data).hexdigest()

    def _part(self, region: regions.Region) -> np.ndarray:
        pixels = self._whole(region.whole)
        if region.y + region.height > pixels.shape[0] or region.x + region.width > pixels.shape[1]:
            raise UnreadableImageError(f"it leads out of an image of {pixels.shape[1]} x {pixels.shape[0]} pixels")
        part: np.ndarray = pixels[region.y : region.y + region.height, region.x : region.x + region.width]
        return np.ascontiguousarray(part)

    def _whole(self, sheet: str) -> np.ndarray:
        with self._lock:  # one thread decodes a sheet, and the others wait for it rather than do the same
            if sheet not in self._sheets:
                self._sheets[sheet] = self._sheet(sheet)
                if len(self._sheets) > _SHEETS_KEPT:
                    self._sheets.popitem(last=False)
            pixels = self._sheets[sheet]
            self._sheets.move_to_end(sheet)
        if isinstance(pixels, UnreadableImageError):
            raise pixels
        return pixels

    def _row(self, sheet: str, row: int) -> np.ndarray:
        pixels = self._whole(sheet)
        n_rows, n_pixels, _ = pixels.shape
        side = math.isqrt(n_pixels)
        if row >= n_rows or side * side != n_pixels:
            raise UnreadableImageError(f"row {row} is not a square image of a {n_rows} x {n_pixels} sheet")
        return np.ascontiguousarray(pixels[row].reshape(side, side, 3))

    def _sheet(self, sheet: str) -> np.ndarray | UnreadableImageError:
        """Return a decoded sheet, or why there is none: it is not to be found out anew for each of its rows."""
        try:
            data = self._raw.read(sheet)
            return _idx_sheet(data, self._max_megapixels) if idx.is_idx(data) else decode(data, self._max_megapixels)
        except UnreadableImageError as error:
            return error


def _idx_sheet(data: bytes, max_megapixels: float | None) -> np.ndarray:
    """Return the gray images of an IDX file as a sheet `(n, h * w, 3)`, which takes no memory of its own."""
    try:
        array = idx.read(data)
    except ValueError as error:
        raise UnreadableImageError(str(error)) from error
    if max_megapixels is not None and array.size > max_megapixels * 1e6:
        raise UnreadableImageError(
            f"{array.size:,} pixels, more than layout.max_megapixels ({max_megapixels:g}) allows"
        )
    gray = array.reshape(len(array), -1)
    return np.broadcast_to(gray[..., None], (*gray.shape, 3))
