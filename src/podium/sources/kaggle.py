"""A Kaggle competition's files, all in one zip, by the official client."""

import contextlib
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.sources import remove_others
from podium.sources.kaggle_api import connect, explained
from podium.storage import unpacking


class Source(Base):
    """A competition by its name in Kaggle's addresses (kaggle.com/c/NAME), which must have been joined."""

    resumes: ClassVar[bool] = True

    competition: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """The competition's name in its address."""

    def download(self, folder: Path) -> None:
        """Put the competition's zip into `folder`, every member's checksum verified.

        What an interrupted download left there is continued. Raises PodiumError that says what to do next.
        """
        api = connect()
        file = folder / f"{self.competition}.zip"
        with explained(self.competition, f"download {self.competition}"):
            try:
                api.competition_download_files(self.competition, str(folder), quiet=False)
            except ValueError as error:  # the client found another size than was announced
                file.unlink(missing_ok=True)
                raise PodiumError(f"source: {file.name} came incomplete ({error}); run again") from None
        _verify(file)
        remove_others(file)


def _verify(file: Path) -> None:
    """Raise PodiumError, and remove the file, when it is no zip or a member's checksum is wrong."""
    with contextlib.suppress(zipfile.BadZipFile, zlib.error, EOFError), zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            # What cannot be read here at all (encrypted, another method) is no damage; prepare says what it is.
            with contextlib.suppress(ValueError), unpacking.open_member(archive, member) as opened:
                for _ in unpacking.chunks(opened, member):
                    pass
        return
    file.unlink(missing_ok=True)
    raise PodiumError(f"source: {file.name} came damaged and was removed; run again to download it anew")
