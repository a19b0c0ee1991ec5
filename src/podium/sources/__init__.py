"""Where raw data comes from. One module per kind; each defines `class Source(podium.sources.Source)`."""

from pathlib import Path

from podium.frozen import Frozen


class Source(Frozen):
    """Fetches a competition's files."""

    def download(self, folder: Path) -> None:
        """Put the files into the empty `folder`, whole and verified; archives stay archives.

        Raises PodiumError in one line that says what is wrong and what to do next.
        """
        raise NotImplementedError
