"""After a download: every archive becomes one whose members can be read in place.

A zip stays as it is. A tar or 7z archive can only be read from its beginning, so it is repacked as an uncompressed
zip of the same name. A zip that holds archives is unpacked where it lies, and those are looked at in turn.
No name in an archive may lead out of its folder.
"""

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from tqdm import tqdm

from podium.errors import PodiumError
from podium.storage import unpacking
from podium.storage.files import atomic
from podium.storage.unpacking import Allowance

ZIPS = (".zip", ".whl")
_TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_SEVENS = (".7z",)
_DEEPEST = 5  # archives in archives: more is a mistake or an attack
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}  # by the first two bytes of a tar
_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 26  # bytes that tarfile reads at once: longer names and notes are an attack

Put = Callable[[str, int, Iterable[bytes]], None]  # takes a member's name, size and content


def repack(folder: Path) -> None:
    """Repack and unnest the archives of `folder`; raises PodiumError naming the archive, and the member at fault.

    All that is unpacked, at whatever depth, is bounded by the size of the download.
    """
    allowance = Allowance(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    for _ in range(_DEEPEST):
        changes = [(path, change) for path in sorted(folder.rglob("*")) if (change := _change(path))]
        if not changes:
            return
        for path, change in changes:
            try:
                change(path, allowance)
            except _BROKEN as error:
                raise _damaged(path, error) from None
            except ValueError as error:
                raise PodiumError(f"{path.name}: {error}") from None
    raise PodiumError(f"{changes[0][0].name}: archives lie in archives, more than {_DEEPEST} deep")


def _change(path: Path) -> Callable[[Path, Allowance], None] | None:
    """Return what makes a file readable in place, or None where it is so already."""
    name = path.name.lower()
    if path.is_dir() or unpacking.is_leftover(path.name):
        return None
    if name.endswith(_TARS):
        return _repack_tar
    if name.endswith(_SEVENS):
        return _repack_seven
    if name.endswith(".zip") and _holds_archives(path):
        return _unnest
    return None


def _damaged(path: Path, error: Exception) -> PodiumError:
    reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return PodiumError(f"{path.name}: a damaged archive, or none at all ({reason}); download it again")


def _holds_archives(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(
                name.lower().endswith((".zip", *_TARS, *_SEVENS)) and not unpacking.is_leftover(name)
                for name in archive.namelist()
            )
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from None


def _unnest(path: Path, allowance: Allowance) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unnest.", suffix=".tmp") as temporary:
        with zipfile.ZipFile(path) as archive:
            files = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not unpacking.is_leftover(member.filename)
            ]
            names = [_safe(member.filename, path) for member in files]
            for member, name in zip(tqdm(files, f"unpack {path.name}", unit="file", disable=None), names, strict=True):
                copy = Path(temporary) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                with _opened(archive, member) as source, copy.open("wb") as target:
                    for chunk in unpacking.chunks(source, member):
                        allowance.take(len(chunk))
                        target.write(chunk)
        path.unlink()
        for name in names:
            if (path.parent / name).exists():
                raise PodiumError(f"{path.name}: it holds {name}, which the download or another archive holds too")
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(temporary) / name).rename(path.parent / name)


@contextmanager
def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[zipfile.ZipExtFile]:
    try:
        opened = unpacking.open_member(archive, member)
    except ValueError as error:
        raise ValueError(f"the member {member.filename!r} is {error}") from None
    with opened:
        yield opened


class _Bounded:
    """A tar's bytes for tarfile: no long read, and no more in all than is allowed."""

    def __init__(self, file: IO[bytes], allowance: Allowance) -> None:
        self._file = file
        self._allowance = allowance
        self._furthest = 0

    def read(self, n_bytes: int = -1) -> bytes:
        if not 0 <= n_bytes <= _LONGEST_HEADER:
            raise tarfile.TarError(f"a header asks for {n_bytes:,} bytes")
        data = self._file.read(n_bytes)
        self._note(self._file.tell())
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0:
            self._note(offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _note(self, position: int) -> None:
        if position > self._furthest:
            self._allowance.take(position - self._furthest)
            self._furthest = position


def _repack_tar(path: Path, allowance: Allowance) -> None:
    def members(put: Put) -> None:
        with path.open("rb") as file:
            start = file.read(2)
        opened: Any = _OPENERS.get(start, open)
        bounded: Any = _Bounded  # it has as much of a file as tarfile uses
        # What tarfile reads has been counted; a sparse member's holes, which no bytes stand for, are counted apart.
        with opened(path, "rb") as file, tarfile.open(fileobj=bounded(file, allowance)) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None  # links and devices stay behind
                if content is None or unpacking.is_leftover(member.name):
                    continue
                if member.issparse():
                    allowance.take(member.size)
                put(member.name, member.size, iter(partial(content.read, _CHUNK), b""))

    _repack(path, members, _TARS)


def _repack_seven(path: Path, allowance: Allowance) -> None:
    import py7zr

    def members(put: Put) -> None:
        # Given an open file, py7zr unpacks in one thread and in the archive's order.
        with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
            for name in archive.getnames():
                _safe(name, path)  # before py7zr meets it, whose message is another
            archive.extractall(factory=_factory(put, allowance))  # noqa: S202  # to disk, and every name is checked

    try:
        _repack(path, members, _SEVENS)
    except py7zr.exceptions.PasswordRequired:
        raise PodiumError(f"{path.name}: encrypted, and there is no password; unpack it yourself") from None
    except py7zr.exceptions.ArchiveError as error:
        raise _damaged(path, error) from None


def _factory(put: Put, allowance: Allowance) -> Any:
    """Return what py7zr writes to: a member waits in a temporary file, and is put as soon as it is whole."""
    from py7zr.io import Py7zIO, WriterFactory

    class Member(Py7zIO):
        def __init__(self, name: str) -> None:
            self._name = name
            self._file = tempfile.SpooledTemporaryFile(_LONGEST_HEADER)  # noqa: SIM115  # closed by close

        def write(self, data: bytes | bytearray) -> int:
            allowance.take(len(data))
            return self._file.write(data)

        def read(self, size: int | None = None) -> bytes:
            return self._file.read(-1 if size is None else size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return self._file.seek(offset, whence)

        def flush(self) -> None:
            self._file.flush()

        def size(self) -> int:
            here = self._file.tell()
            end = self._file.seek(0, 2)
            self._file.seek(here)
            return end

        def close(self) -> None:
            size = self.size()
            self._file.seek(0)
            if not unpacking.is_leftover(self._name):
                put(self._name, size, iter(lambda: self._file.read(_CHUNK), b""))
            self._file.close()

    class Factory(WriterFactory):
        def create(self, filename: str) -> Member:
            return Member(filename)

    return Factory()


def _repack(path: Path, members: Callable[[Put], None], suffixes: tuple[str, ...]) -> None:
    suffix = max((end for end in suffixes if path.name.lower().endswith(end)), key=len)
    target = path.with_name(path.name[: -len(suffix)] + ".zip")
    if target.exists():
        raise PodiumError(f"{path.name}: {target.name} is there already, so it cannot take this name")
    progress = tqdm(desc=f"repack {path.name}", unit="file", disable=None)
    with atomic(target) as temporary, zipfile.ZipFile(temporary, "w") as archive, progress:

        def put(name: str, size: int, content: Iterable[bytes]) -> None:
            member = zipfile.ZipInfo(str(_safe(name, path)), _FIXED_TIME)
            member.file_size = size  # tells zipfile whether it needs a header for more than 4 GiB
            with archive.open(member, "w") as target:
                target.writelines(content)
            progress.update()

        members(put)
    path.unlink()


def _safe(name: str, archive: Path) -> PurePosixPath:
    """Return a member's path, or raise PodiumError where it is absolute or climbs."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or not path.parts:
        raise PodiumError(f"{archive.name}: the member {name!r} leads out of its folder; do not trust this archive")
    return path
