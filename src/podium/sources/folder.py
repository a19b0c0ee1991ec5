"""Files that are already on this machine, copied as they are."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from podium.errors import PodiumError
from podium.sources import Source as Base


class Source(Base):
    """A folder of the user's own; files whose name begins with a dot stay behind."""

    path: Path
    """The folder."""

    def download(self, folder: Path) -> None:
        """Copy every file below `path`; raises PodiumError where there is none."""
        self._require_folder()
        shutil.copytree(self._folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        if not any(path.is_file() for path in folder.rglob("*")):
            raise PodiumError(f"source.path: {self.path} holds no files")

    def state(self) -> str:
        """Return the SHA-256 of the files' names, lengths and times: contents are read by `download` alone."""
        self._require_folder()
        try:
            listing = "\n".join(sorted(_files(self._folder, "")))
        except OSError as error:
            raise PodiumError(f"source.path: {error.filename}: {error.strerror}") from None
        return hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()

    @property
    def _folder(self) -> Path:
        """Return the folder, seen from the real root: DVC runs queued experiments in a folder of their own."""
        return Path(os.environ.get("DVC_ROOT", ".")) / self.path

    def _require_folder(self) -> None:
        if not self._folder.is_dir():
            raise PodiumError(f"source.path: {self.path} is no folder; name the one that holds the competition's files")


def _files(folder: Path | str, prefix: str) -> Iterator[str]:
    """Yield `name length time` of each file that `download` copies; names begin with `prefix`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(entry.path, f"{prefix}{entry.name}/")
            else:
                about = entry.stat()
                yield f"{prefix}{entry.name} {about.st_size} {about.st_mtime_ns}"
