"""What an archive may unpack to: bounded by its own size, so that no few bytes stand for a full disk or memory."""

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

RATIO = 200  # what unpacks may be so many times as large: deflate reaches 1,032, tables about 20
HARMLESS = 2**28  # bytes that are always allowed
_CHUNK = 1 << 20
_SMALL_CHUNK = 1 << 12  # compressed bytes, where zipfile does not bound what they unpack to: some 60 MB at worst
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # the first flag of a zip member


class TooMuchError(ValueError):
    """An archive unpacks to more than `RATIO` times its size."""


class Allowance:
    """Counts what is unpacked of `n_packed` bytes, nested archives and all, and raises TooMuchError beyond it."""

    def __init__(self, n_packed: int) -> None:
        self.n_most = max(HARMLESS, RATIO * n_packed)
        self._n_taken = 0

    def take(self, n_bytes: int) -> None:
        """Note that so many bytes come now."""
        self._n_taken += n_bytes
        if self._n_taken > self.n_most:
            raise TooMuchError(
                f"it unpacks to more than {self.n_most / 1e6:,.0f} MB, {RATIO} times its size: not as data does;"
                " if you trust it, unpack it yourself and name the folder as the source"
            )


def is_leftover(name: str) -> bool:
    """Return whether a member is what macOS adds beside each file: `__MACOSX/._a.zip` is no archive."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or bool(parts and parts[-1].startswith("._"))


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> zipfile.ZipExtFile:
    """Return the open member; raises ValueError where it is encrypted or packed by a method that Python lacks."""
    if member.flag_bits & _ENCRYPTED:
        raise ValueError("encrypted, and there is no password")
    try:
        return archive.open(member)  # type: ignore[return-value]  # typeshed calls it IO[bytes]
    except NotImplementedError as error:
        raise ValueError(f"packed by a method that is not known here ({error})") from None


def chunks(opened: zipfile.ZipExtFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member's bytes; the sizes in its header are not relied on."""
    n_bytes = _CHUNK if member.compress_type in _BOUNDED else _SMALL_CHUNK
    while chunk := opened.read(n_bytes):
        yield chunk
