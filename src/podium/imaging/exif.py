"""What a camera wrote into an image file."""

import io
from datetime import UTC, datetime

_MAKE, _MODEL, _SOFTWARE, _ARTIST, _ORIENTATION = 0x010F, 0x0110, 0x0131, 0x013B, 0x0112
_CHANGED, _TAKEN, _DETAILS = 0x0132, 0x9003, 0x8769  # of a photograph its own directory says when it was taken

Facts = dict[str, str | float | None]


def facts(data: bytes) -> Facts:
    """Return `camera` and `artist` as text, `date` in seconds since 1970 and `orientation`; None where they lack.

    Whatever is no image with a readable EXIF block has none of them.
    """
    tags = _tags(data)
    camera = [_text(tags.get(tag)) for tag in (_MAKE, _MODEL, _SOFTWARE)]
    return {
        "camera": " ".join(filter(None, camera)) or None,
        "artist": _text(tags.get(_ARTIST)),
        "date": _seconds(tags.get(_TAKEN) or tags.get(_CHANGED)),
        "orientation": float(turn) if isinstance(turn := tags.get(_ORIENTATION), int) else None,
    }


def _tags(data: bytes) -> dict[int, object]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            return {**exif, **exif.get_ifd(_DETAILS)}
    except Exception:  # noqa: BLE001  # Pillow raises a dozen kinds for damaged files, and EXIF is a hint only
        return {}


def _text(value: object) -> str | None:
    return value.strip("\0 ") or None if isinstance(value, str) else None


def _seconds(value: object) -> float | None:
    try:
        return datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
