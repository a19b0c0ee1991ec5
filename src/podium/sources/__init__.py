"""Where raw data comes from. One module per kind; each defines `class Source(podium.sources.Source)`."""

from pathlib import Path
from typing import Any, ClassVar

from podium.settings import Settings
from podium.storage import archives
from podium.storage.files import link_or_copy


class Source(Settings):
    """Fetches a competition's files."""

    resumes: ClassVar[bool] = False  # whether `download` continues what an interrupted one left in the folder

    def download(self, folder: Path) -> None:
        """Put the files into `folder`, empty unless this source resumes, whole and verified; archives stay archives.

        Raises PodiumError in one line that says what is wrong and what to do next.
        """
        raise NotImplementedError

    def state(self) -> Any:
        """Return, as JSON and in a moment, what changes when the files to fetch do; None where they never change."""
        return None


def fetch(source: Source, folder: Path, arriving: Path) -> None:
    """Download what `source` names and lay it out in `folder`, readable in place.

    What a source that resumes has brought stays in `arriving`, verified, until the caller removes it: an archive that
    cannot be unpacked is no reason to download it again.
    """
    if source.resumes:
        arriving.mkdir(parents=True, exist_ok=True)
        source.download(arriving)
        for path in arriving.iterdir():
            link_or_copy(path, folder / path.name)
    else:
        source.download(folder)
    archives.repack(folder)


def remove_others(file: Path) -> None:
    """Remove what else is in the folder of a file that has arrived: parts and files of an address that has changed."""
    for other in file.parent.iterdir():
        if other != file:
            other.unlink()
