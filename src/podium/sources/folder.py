"""Files that are already on this machine, copied as they are."""

import shutil
from pathlib import Path

from podium.errors import PodiumError
from podium.sources import Source as Base


class Source(Base):
    """A folder of the user's own; files whose name begins with a dot stay behind."""

    path: Path
    """The folder."""

    def download(self, folder: Path) -> None:
        """Copy every file below `path`; raises PodiumError where there is none."""
        if not self.path.is_dir():
            raise PodiumError(f"source.path: {self.path} is no folder; name the one that holds the competition's files")
        shutil.copytree(self.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        if not any(path.is_file() for path in folder.rglob("*")):
            raise PodiumError(f"source.path: {self.path} holds no files")
