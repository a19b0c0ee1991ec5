"""What a camera wrote into an image file."""

_TAGS = (0x010F, 0x0110, 0x0131)  # make, model, software: text of the first directory (EXIF 2.3, 4.6.4)
_MOST_BYTES = 65_536  # an EXIF block stands near the beginning, and a JPEG segment is no longer than this


def camera(data: bytes) -> str:
    """Return make, model and software of an image file's EXIF block, or an empty text where there is none."""
    head = data[:_MOST_BYTES]
    start = head.find(b"Exif\0\0") + 6 if b"Exif\0\0" in head else head.find(b"eXIf") + 4
    block = head[start:] if b"Exif\0\0" in head or b"eXIf" in head else b""
    texts = _texts(block)
    return " ".join(texts[tag] for tag in _TAGS if tag in texts)


def _texts(block: bytes) -> dict[int, str]:
    """Return tag -> text of a TIFF block's first directory."""
    order = "little" if block[:2] == b"II" else "big"

    def number(start: int, n_bytes: int) -> int:
        return int.from_bytes(block[start : start + n_bytes], order)  # type: ignore[arg-type]  # one of the two

    first = number(4, 4)
    found = {}
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        tag, kind, length = number(entry, 2), number(entry + 2, 2), number(entry + 4, 4)
        if tag in _TAGS and kind == 2:  # noqa: PLR2004  # ASCII
            start = entry + 8 if length <= 4 else number(entry + 8, 4)  # noqa: PLR2004  # short text stands in the entry
            found[tag] = block[start : start + length].rstrip(b"\0 ").decode("latin-1")
    return found
