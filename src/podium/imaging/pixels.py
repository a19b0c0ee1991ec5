"""Bytes to pixels, views of them, and the shape that a network takes.

Every decoded image is `(h, w, 3)` uint8 RGB, upright. OpenCV's BGR order ends here. The file imports NumPy and OpenCV
only, so that an exported model can run the same code.
"""

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

BACKGROUND = 255  # what shows through a transparent pixel: white, like the page that such images were drawn for
PADDING = 127  # gray: what most networks' preprocessing maps to about zero
_EXIF_ORIENTATION = 0x0112
_MARKER = 0xFF
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of segments that open with the image's size
_PNG = b"\x89PNG\r\n\x1a\n"
_STRIP_PX = 1 << 20  # pixels that are converted at a time: in 32 bits a whole large image would take much memory


class UnreadableImageError(Exception):
    """The reason why an image cannot be used, in a few words."""


Shape = tuple[int, int]  # height and width, in pixels


class Framing(Protocol):
    """How an image gets the shape that a network takes; see `podium.imaging.images.Resize`."""

    def shape(self, native: int | Shape) -> Shape:
        """Return height and width of what a network gets, whose own shape (or side) is `native`."""

    @property
    def mode(self) -> str:
        """Return squash, pad or crop."""

    @property
    def interpolation(self) -> str:
        """Return area, linear, cubic, lanczos or nearest."""


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Return width and height as an image file's header says them, or None where it is damaged or of no known format.

    Nothing is decoded: a small file may stand for pixels that no memory can hold.
    """
    from PIL import Image

    if data.startswith(_PNG):  # Pillow would unpack text and profiles that lie before the pixels
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 else None  # noqa: PLR2004  # the first chunk, IHDR
    Image.MAX_IMAGE_PIXELS = None  # the bound here is the caller's
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Exception:  # noqa: BLE001  # parsers of hostile headers raise anything; it is a damaged file
        return None
    return width, height


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of a JPEG or TIFF file, 1 to 8: 1 is upright, and what a file without one has."""
    from PIL import Image

    if data[:2] not in (b"\xff\xd8", b"II", b"MM"):
        return 1
    try:
        with Image.open(io.BytesIO(data)) as image:
            turn = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # noqa: BLE001  # as in `_orientation`
        return 1
    return turn if isinstance(turn, int) and turn in range(1, 9) else 1


def _require_small(data: bytes, max_megapixels: float) -> None:
    size = dimensions(data)
    if size is None:
        raise UnreadableImageError(_reason(data))
    if size[0] * size[1] > max_megapixels * 1e6:
        raise UnreadableImageError(
            f"its header says {size[0]} x {size[1]} pixels, more than layout.max_megapixels ({max_megapixels:g}) allows"
        )


def decode(data: bytes, max_megapixels: float | None = None, least_px: int | None = None) -> np.ndarray:
    """Return the first frame of an image file as `(h, w, 3)` uint8 RGB, turned as its EXIF orientation says.

    With `least_px`, a JPEG's sides are divided by 2, 4 or 8 while it is decoded, as far as both keep that length.
    Gray and palette images become RGB; 16 bits become 8 by dividing by 257, so that white stays white; transparent
    pixels are laid on white; CMYK is converted by the decoder, without a colour profile.
    Raises UnreadableImageError for what is no image, is cut short or holds floating-point pixels, and for an image
    of more than `max_megapixels` before memory is asked for.
    """
    import cv2

    if not data:
        raise UnreadableImageError("the file is empty")
    if max_megapixels is not None:
        _require_small(data, max_megapixels)
    # UNCHANGED is the only mode that keeps alpha, but it leaves EXIF orientation to the caller; a JPEG has no alpha.
    flags = cv2.IMREAD_UNCHANGED
    if least_px is not None and (factor := _reduction(data, least_px)) > 1:
        reduced = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
        flags = reduced[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels, exif = _with_exif(data, flags)
    except cv2.error as error:
        raise UnreadableImageError(f"OpenCV cannot decode it ({error.err})") from error
    if pixels is None:
        raise UnreadableImageError(_reason(data))
    return np.ascontiguousarray(_upright(_rgb(_eight_bits(pixels)), _orientation(exif)))


def _with_exif(data: bytes, flags: int) -> tuple[np.ndarray | None, bytes]:
    """Return an image as OpenCV decodes it, or None, and its EXIF block."""
    import cv2

    if hasattr(cv2, "imdecodeWithMetadata"):
        pixels, kinds, blocks = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), flags=flags)
        own = (block for kind, block in zip(kinds, blocks, strict=True) if kind == cv2.IMAGE_METADATA_EXIF)
        return pixels, b"".join(block.tobytes() for block in own)
    from PIL import Image  # OpenCV 4: an exported model may have to do with it

    plain = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return plain, image.info.get("exif", b"")
    except Exception:  # noqa: BLE001  # what Pillow cannot read has no block that it could
        return plain, b""


def apply(image: np.ndarray, operation: str, parameters: Mapping[str, Any]) -> np.ndarray:
    """Return a view of `(h, w, c)`, c > 1, or `(h, w)`, as a contiguous array of its dtype; `image` stays as it is."""
    return np.ascontiguousarray(_OPERATIONS[operation](image, **parameters))


def _identity(image: np.ndarray) -> np.ndarray:
    return image


def _flip(image: np.ndarray, direction: str) -> np.ndarray:
    import cv2  # 0.01 ms for 300 x 300 pixels of three bytes; NumPy's copy of a reversed axis takes 0.37

    return cv2.flip(image, {"horizontal": 1, "vertical": 0}[direction])


def _rotate(image: np.ndarray, quarter_turns: int) -> np.ndarray:
    """Turn counter-clockwise, like `numpy.rot90`."""
    import cv2

    turn = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}[quarter_turns]
    return cv2.rotate(image, turn)


def _transpose(image: np.ndarray, diagonal: str) -> np.ndarray:
    """Mirror on the diagonal from the top left to the bottom right (main), or on the other."""
    import cv2

    return cv2.transpose(image if diagonal == "main" else _rotate(image, 2))


_OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "identity": _identity,
    "flip": _flip,
    "rotate": _rotate,
    "transpose": _transpose,
}


def resize(image: np.ndarray, how: Framing, native: int | Shape) -> np.ndarray:
    """Return `(height, width, 3)` uint8 from `(h, w, 3)` uint8; `how` says the shape, or else `native` does."""
    import cv2

    shape = how.shape(native)
    framed = _framed(image, frame(image.shape[:2], shape, how.mode))
    if framed.shape[:2] == shape:
        return np.ascontiguousarray(framed)
    is_enlarged = shape[0] > framed.shape[0] or shape[1] > framed.shape[1]
    method = {
        "area": cv2.INTER_CUBIC if is_enlarged else cv2.INTER_AREA,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,
        "nearest": cv2.INTER_NEAREST,
    }[how.interpolation]
    resized: np.ndarray = cv2.resize(framed, shape[::-1], interpolation=method)
    return resized


def frame(shape: Shape, target: Shape, mode: str) -> Shape:
    """Return the height and width to which an image of `shape` is padded or cropped before it is scaled to `target`."""
    if mode == "squash":
        return shape
    scales = [side / wanted for side, wanted in zip(shape, target, strict=True)]
    scale = max(scales) if mode == "pad" else min(scales)
    # The side that fills the frame is kept as it is: the other is rounded.
    height, width = (
        side if own == scale else max(round(wanted * scale), 1)
        for side, own, wanted in zip(shape, scales, target, strict=True)
    )
    return height, width


def _framed(image: np.ndarray, shape: Shape) -> np.ndarray:
    """Return an image padded with gray, or cut, to `shape`, centred."""
    for axis, wanted in enumerate(shape):
        spare = wanted - image.shape[axis]
        if spare < 0:
            start = -spare // 2
            image = image[start : start + wanted] if axis == 0 else image[:, start : start + wanted]
        elif spare:
            before = [(0, 0)] * image.ndim
            before[axis] = (spare // 2, spare - spare // 2)
            image = np.pad(image, before, constant_values=PADDING)
    return image


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return _by_strips(pixels, pixels.shape, lambda strip: (strip.astype(np.uint32) + 128) // 257)
    raise UnreadableImageError(f"its pixels are {pixels.dtype}, whose black and white are unknown")


def _rgb(pixels: np.ndarray) -> np.ndarray:
    import cv2  # 0.006 ms for 300 x 300 pixels; NumPy's copy of reversed channels takes 0.35

    if pixels.ndim == 2:  # noqa: PLR2004  # (h, w): gray
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 3:  # noqa: PLR2004  # BGR without alpha
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return _by_strips(pixels, (*pixels.shape[:2], 3), _on_background)


def _on_background(strip: np.ndarray) -> np.ndarray:
    alpha = strip[..., 3:].astype(np.uint32)
    blended: np.ndarray = (strip[..., 2::-1] * alpha + BACKGROUND * (255 - alpha) + 127) // 255
    return blended


def _by_strips(pixels: np.ndarray, shape: tuple[int, ...], convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return `convert(pixels)` as uint8 of `shape`, a few rows at a time."""
    done = np.empty(shape, np.uint8)
    n_rows = max(1, _STRIP_PX // pixels.shape[1])
    for start in range(0, len(pixels), n_rows):
        done[start : start + n_rows] = convert(pixels[start : start + n_rows])
    return done


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the turn that an EXIF orientation (1 to 8; the EXIF 2.3 standard, 4.6.4) records."""
    import cv2

    if orientation in (5, 6, 7, 8):
        image = cv2.transpose(image)
    if orientation in (3, 4, 7, 8):
        image = cv2.flip(image, 0)
    if orientation in (2, 3, 6, 7):
        image = cv2.flip(image, 1)
    return image


def _orientation(block: bytes) -> int:
    """Return the orientation of an EXIF block, or 1 where it has none that can be read."""
    if not block:
        return 1
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(block)
        turn = exif.get(_EXIF_ORIENTATION)
    except Exception:  # noqa: BLE001  # Pillow raises several kinds for a damaged block, which the pixels do without
        return 1
    return turn if isinstance(turn, int) else 1


def _reduction(data: bytes, least_px: int) -> int:
    """Return the greatest of 1, 2, 4 and 8 by which a JPEG's sides can be divided and stay at `least_px` or more."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == _MARKER:
        kind = data[at + 1]
        if kind in _JPEG_FRAMES:
            height, width = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (5, 7))
            return max(factor for factor in (1, 2, 4, 8) if factor == 1 or min(height, width) // factor >= least_px)
        at += 1 if kind == _MARKER else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 1


def _reason(data: bytes) -> str:
    if data[:64].lstrip().startswith((b"<", b"{")):
        return "it is text (a web page or a message?), no image"
    if (
        data[:2] == b"\xff\xd8"
        or data[:4] in (b"\x89PNG", b"RIFF", b"GIF8", b"II*\x00", b"MM\x00*")
        or data[:2] == b"BM"
    ):
        return "it is damaged or cut short"
    return "it is no image that OpenCV can decode"
