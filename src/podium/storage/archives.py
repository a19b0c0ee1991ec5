"""After a download: every archive becomes one whose members can be read in place.

A zip stays as it is. A tar or 7z archive can only be read from its beginning, so it is repacked as an uncompressed
zip of the same name. A zip that holds archives is unpacked where it lies, and those are looked at in turn.
No name in an archive may lead out of its folder.
"""

import gzip
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tqdm import tqdm

from podium.errors import PodiumError
from podium.storage.files import atomic

ZIPS = (".zip", ".whl")
_TARS = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_SEVENS = (".7z",)
_DEEPEST = 5  # archives in archives: more is a mistake or an attack
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same input gives the same bytes
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)

Put = Callable[[str, bytes], None]  # takes a member's name and content


def repack(folder: Path) -> None:
    """Repack and unnest the archives of `folder`; raises PodiumError naming the archive, and the member at fault."""
    for _ in range(_DEEPEST):
        changes = [(path, change) for path in sorted(folder.rglob("*")) if (change := _change(path))]
        if not changes:
            return
        for path, change in changes:
            try:
                change(path)
            except _BROKEN as error:
                raise _damaged(path, error) from None
    raise PodiumError(f"{changes[0][0].name}: archives lie in archives, more than {_DEEPEST} deep")


def _change(path: Path) -> Callable[[Path], None] | None:
    """Return what makes a file readable in place, or None where it is so already."""
    name = path.name.lower()
    if path.is_dir():
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
            return any(name.lower().endswith((".zip", *_TARS, *_SEVENS)) for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from None


def _unnest(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unnest.", suffix=".tmp") as temporary:
        with zipfile.ZipFile(path) as archive:
            files = [member for member in archive.infolist() if not member.is_dir()]
            names = [_safe(member.filename, path) for member in files]
            for member, name in zip(tqdm(files, f"unpack {path.name}", unit="file", disable=None), names, strict=True):
                copy = Path(temporary) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target)
        path.unlink()
        for name in names:
            if (path.parent / name).exists():
                raise PodiumError(f"{path.name}: it holds {name}, which the download or another archive holds too")
            (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(temporary) / name).rename(path.parent / name)


def _repack_tar(path: Path) -> None:
    def members(put: Put) -> None:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None  # links and devices stay behind
                if content is not None:
                    put(member.name, content.read())

    _repack(path, members, _TARS)


def _repack_seven(path: Path) -> None:
    import py7zr

    def members(put: Put) -> None:
        # Given an open file, py7zr unpacks in one thread and in the archive's order.
        with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
            for name in archive.getnames():
                _safe(name, path)  # before py7zr meets it, whose message is another
            archive.extractall(factory=_factory(put))  # noqa: S202  # into memory, and every name is checked

    try:
        _repack(path, members, _SEVENS)
    except py7zr.exceptions.ArchiveError as error:
        raise _damaged(path, error) from None


def _factory(put: Put) -> Any:
    """Return what py7zr writes to: a member is put as soon as it is whole, so that one at a time is in memory."""
    from py7zr.io import Py7zBytesIO, WriterFactory

    class Member(Py7zBytesIO):
        def close(self) -> None:
            put(self.filename, self._buffer.getvalue())

    class Factory(WriterFactory):
        def create(self, filename: str) -> Member:
            return Member(filename, limit=2**63)

    return Factory()


def _repack(path: Path, members: Callable[[Put], None], suffixes: tuple[str, ...]) -> None:
    suffix = max((end for end in suffixes if path.name.lower().endswith(end)), key=len)
    target = path.with_name(path.name[: -len(suffix)] + ".zip")
    if target.exists():
        raise PodiumError(f"{path.name}: {target.name} is there already, so it cannot take this name")
    progress = tqdm(desc=f"repack {path.name}", unit="file", disable=None)
    with atomic(target) as temporary, zipfile.ZipFile(temporary, "w") as archive, progress:

        def put(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(str(_safe(name, path)), _FIXED_TIME), content)
            progress.update()

        members(put)
    path.unlink()


def _safe(name: str, archive: Path) -> PurePosixPath:
    """Return a member's path, or raise PodiumError where it is absolute or climbs."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or not path.parts:
        raise PodiumError(f"{archive.name}: the member {name!r} leads out of its folder; do not trust this archive")
    return path
