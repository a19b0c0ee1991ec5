"""The images of a raw folder as RGB pixels, and the settings of the square that a network takes."""

import hashlib
import math
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from podium.frozen import Frozen
from podium.imaging.pixels import BACKGROUND, PADDING, UnreadableImageError, decode, dimensions, resize
from podium.storage.raw import Raw

__all__ = [
    "BACKGROUND",
    "MAX_MEGAPIXELS",
    "PADDING",
    "SUFFIXES",
    "Reader",
    "Resize",
    "UnreadableImageError",
    "decode",
    "dimensions",
    "resize",
]

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm")
_SHEETS_KEPT = 2  # decoded sheets in memory; rows are read in order, so one and its successor are enough
MAX_MEGAPIXELS = 128.0  # the largest phone cameras have 108; decoding 128 takes about 1.5 GB
_OVERSAMPLING = 2  # least ratio of the sides of a reduced JPEG to those of the square that is made of it

Interpolation = Literal["area", "linear", "cubic", "lanczos", "nearest"]


class Resize(Frozen):
    """How an image becomes square: `px` a side, or the network's native size.

    Modes: `squash` changes the aspect ratio, `pad` adds gray to the shorter side, `crop` cuts the longer one, both
    centred. `area` averages where it shrinks and is cubic where it enlarges: there OpenCV's own is blocky,
    and cut the accuracy of EfficientNet-Lite0 on CIFAR-10 (2,000 images) from 0.85 to 0.51.

    With `decode: reduced` the decoder shrinks a JPEG on the way, by 2, 4 or 8 as far as both sides keep twice `px`: it
    leaves out fine detail, which the rest of the way down would average away, and most of the work.
    """

    px: Annotated[int | None, Field(ge=1)] = None
    """Pixels a side; null: the network's native size."""
    mode: Literal["squash", "pad", "crop"] = "squash"
    """How it becomes square: `squash` changes the aspect ratio, `pad` adds gray, `crop` cuts the longer side."""
    interpolation: Interpolation = "area"
    """`area` averages where it shrinks and is cubic where it enlarges."""
    decode: Literal["full", "reduced"] = "full"
    """`reduced` shrinks large JPEGs while they are decoded, to no less than twice `px`: faster, and other pixels."""

    def least_px(self, native_px: int) -> int | None:
        """Return the least length of a side that a JPEG may be decoded to; None where it must be its own."""
        return _OVERSAMPLING * (self.px or native_px) if self.decode == "reduced" else None

    def description(self, native_px: int) -> str:
        """Return what changes pixels, for fingerprints."""
        reduced = ", reduced decoding" if self.decode == "reduced" else ""
        return f"{self.px or native_px} px, {self.mode}, {self.interpolation}{reduced}"


class Reader:
    """Reads the images of a raw folder from any number of threads.

    A source is a file, `archive#member`, or one of the two with `#row`: row number `row` of an image whose
    every row of pixels is a square image of its own, row-major (a sheet).
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

    def square(self, source: str, how: Resize, native_px: int) -> np.ndarray:
        """Return `(px, px, 3)` uint8 RGB, as `resize` makes it; raises UnreadableImageError."""
        return resize(self.read(source, how.least_px(native_px)), how, native_px)

    def read_with_digest(self, source: str, least_px: int | None = None) -> tuple[np.ndarray, str]:
        """Return the pixels and a SHA-256: of the file's bytes, or of the pixels where it is a row of a sheet."""
        try:
            sheet, _, row = source.rpartition("#")
            if row.isdecimal() and source not in self._raw:
                pixels = self._row(sheet, int(row))
                return pixels, hashlib.sha256(pixels.tobytes()).hexdigest()
            data = self._raw.read(source)
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableImageError(str(error)) from error
        return decode(data, self._max_megapixels, least_px), hashlib.sha256(data).hexdigest()

    def _row(self, sheet: str, row: int) -> np.ndarray:
        with self._lock:  # one thread decodes a sheet, and the others wait for it rather than do the same
            if sheet not in self._sheets:
                self._sheets[sheet] = self._sheet(sheet)
                if len(self._sheets) > _SHEETS_KEPT:
                    self._sheets.popitem(last=False)
            pixels = self._sheets[sheet]
            self._sheets.move_to_end(sheet)
        if isinstance(pixels, UnreadableImageError):
            raise pixels
        n_rows, n_pixels, _ = pixels.shape
        side = math.isqrt(n_pixels)
        if row >= n_rows or side * side != n_pixels:
            raise UnreadableImageError(f"row {row} is not a square image of a {n_rows} x {n_pixels} sheet")
        square: np.ndarray = pixels[row].reshape(side, side, 3)
        return square

    def _sheet(self, sheet: str) -> np.ndarray | UnreadableImageError:
        """Return a decoded sheet, or why there is none: it is not to be found out anew for each of its rows."""
        try:
            return decode(self._raw.read(sheet), self._max_megapixels)
        except UnreadableImageError as error:
            return error
