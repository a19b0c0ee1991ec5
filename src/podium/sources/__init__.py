"""Where raw data comes from. One module per kind; each defines `class Source(podium.sources.Source)`."""

from pathlib import Path
from typing import Any, ClassVar

from podium.frozen import Frozen


class Source(Frozen):
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
