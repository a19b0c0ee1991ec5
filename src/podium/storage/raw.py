"""The raw data of a competition: files in a folder, or members of its zip archives, read without unpacking.

A *source* names one of them: `file` or `archive#member`, with forward slashes and relative to the folder.
"""

import threading
import zipfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from podium.errors import PodiumError
from podium.storage import unpacking
from podium.storage.archives import ZIPS


class Raw:
    """An open raw folder; archives stay open until `close`, and any number of threads may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._archives: dict[str, zipfile.ZipFile] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every archive."""
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

    def sources(self) -> list[str]:
        """Return the name of every file and archive member, sorted; an archive itself is not among them."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            if not path.is_file():
                continue
            name = path.relative_to(self.folder).as_posix()
            if path.suffix.lower() in ZIPS:
                found += self.members(name)
            elif not unpacking.is_leftover(name):
                found.append(name)
        return sorted(found)

    def members(self, archive: str) -> list[str]:
        """Return the name of every member of one archive."""
        listed = self._archive(archive).infolist()
        return [
            f"{archive}#{member.filename}"
            for member in listed
            if not member.is_dir() and not unpacking.is_leftover(member.filename)
        ]

    def __contains__(self, source: str) -> bool:
        """Tell whether there is such a file or member."""
        name, archive, member = self._locate(source)
        if archive is None:
            return (self.folder / name).is_file()
        return member in archive.NameToInfo

    def read(self, source: str) -> bytes:
        """Return the bytes of a file or member; raises FileNotFoundError or ValueError with a reason."""
        name, archive, member = self._locate(source)
        if archive is None:
            try:
                return (self.folder / name).read_bytes()
            except OSError as error:
                raise FileNotFoundError(f"no file {name}") from error
        if member not in archive.NameToInfo:
            raise FileNotFoundError(f"no member {member} in {name}")
        info = archive.NameToInfo[member]
        try:
            # zipfile counts its open members without a lock of its own; reading itself is safe.
            with self._lock:
                opened = unpacking.open_member(archive, info)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"damaged in the archive ({error})") from error
        allowance = unpacking.Allowance(info.compress_size)
        try:
            allowance.take(info.file_size)  # as announced, before memory is asked for
            return b"".join(unpacking.chunks(opened, info))
        except unpacking.TooMuchError:
            raise
        except Exception as error:  # zlib.error, BadZipFile, EOFError and more: all of them mean a damaged member
            raise ValueError(f"damaged in the archive ({error})") from error
        finally:
            with self._lock:
                opened.close()

    def require(self, source: str) -> bytes:
        """Return the bytes of a file or member that nothing goes without; raises PodiumError with the reason."""
        try:
            return self.read(source)
        except (FileNotFoundError, ValueError) as error:
            raise PodiumError(f"{source}: {error}") from None

    def _locate(self, source: str) -> tuple[str, zipfile.ZipFile | None, str]:
        """Return the file, its archive if it is one, and the member in it."""
        name, _, member = source.partition("#")
        if PurePosixPath(name).suffix.lower() not in ZIPS:
            name, member = source, ""
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{source} leads out of the raw folder")
        if not member:
            return name, None, ""
        return name, self._archive(name), member

    def _archive(self, name: str) -> zipfile.ZipFile:
        with self._lock:
            if name not in self._archives:
                path = self.folder / name
                try:
                    self._archives[name] = zipfile.ZipFile(path)
                except FileNotFoundError:
                    raise PodiumError(f"{path}: there is no such archive; run `dvc repro download`") from None
                except zipfile.BadZipFile as error:
                    raise PodiumError(f"{path}: not a readable zip archive ({error}); download it again") from None
            return self._archives[name]
