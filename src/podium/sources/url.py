"""One file from a web address, pinned by its SHA-256; an interrupted download is continued."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field
from tqdm import tqdm

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.sources import remove_others
from podium.storage.files import digest

_CHUNK = 1 << 20
_TIMEOUT_S = 60
_PARTIAL = 206
_OUT_OF_RANGE = 416  # what a server answers when the part on disk is all there is, or more


class Source(Base):
    """An address (http or https); the file keeps the address's last part as its name, or gets `file`."""

    resumes: ClassVar[bool] = True

    url: Annotated[str, Field(pattern=r"^https?://[^/]+/.+$")]
    """The file's address."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the file."""
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")] | None = None
    """The name that the file gets; null: the last part of the address."""

    def download(self, folder: Path) -> None:
        """Put the file into `folder`; raises PodiumError when the server refuses, breaks off or sends another file."""
        name = self.file or PurePosixPath(unquote(urlsplit(self.url).path)).name
        if not name:
            raise PodiumError(f"source.file: {self.url} ends in no file name; choose one")
        if (folder / name).exists() and digest(folder / name) == self.sha256:
            return
        partial = folder / f"{name}.part"
        try:
            self._fetch(partial)
        except urllib.error.HTTPError as error:
            raise PodiumError(f"source.url: {self.url}: the server answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise PodiumError(
                f"source.url: {self.url}: the connection broke ({error}); run again: what has come is kept"
            ) from None
        found = digest(partial)
        if found != self.sha256:
            partial.unlink()
            raise PodiumError(f"source.sha256: {name} has SHA-256 {found}, not {self.sha256}; nothing was kept")
        partial.rename(folder / name)
        remove_others(folder / name)

    def _fetch(self, partial: Path) -> None:
        """Append what is missing; a server that knows no ranges sends everything again."""
        come = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={come}-"} if come else {})  # noqa: S310  # http or https by the pattern above
        try:
            response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310  # as above
        except urllib.error.HTTPError as error:
            if error.code == _OUT_OF_RANGE:
                return
            raise
        with response:
            come = come if response.status == _PARTIAL else 0
            length = response.headers["Content-Length"]
            total = come + int(length) if length else None
            bar = tqdm(desc=partial.stem, initial=come, total=total, unit="B", unit_scale=True, disable=None)
            with partial.open("ab" if come else "wb") as file, bar:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                if total is not None and file.tell() < total:
                    raise ConnectionError(f"{file.tell()} of {total} bytes came")
