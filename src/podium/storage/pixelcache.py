"""The cache of resized images: a large one is decoded once, whichever backbones are extracted now or later.

One folder per resize and decoder; in it, one file per image and view: a SHA-256 of what follows, then the pixels.
It saves time and nothing else: what is absent or damaged is decoded again, and what cannot be written is not kept.
"""

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np

from podium.storage.files import atomic

SPARED = 0.1  # the share of a disk that is left to others

_DIGEST = hashlib.sha256().digest_size


class PixelCache:
    """Square images `(px, px, 3)` uint8 RGB by a row's key, in `folder`."""

    def __init__(self, folder: Path, px: int) -> None:
        self.folder = folder
        self._px = px

    def __contains__(self, key: bytes) -> bool:
        """Return whether there is a file for `key`."""
        return self._path(key).exists()

    def get(self, key: bytes) -> np.ndarray | None:
        """Return the image of `key`, or None where there is none; a damaged one is removed."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        pixels = content[_DIGEST:]
        if hashlib.sha256(pixels).digest() != content[:_DIGEST]:
            with suppress(OSError):
                self._path(key).unlink()
            return None
        return np.frombuffer(pixels, np.uint8).reshape(self._px, self._px, 3)

    def put(self, key: bytes, image: np.ndarray) -> None:
        """Keep an image, where the disk has room to spare."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            disk = shutil.disk_usage(self.folder)
            if disk.free > SPARED * disk.total:
                pixels = image.tobytes()
                with atomic(self._path(key)) as temporary:
                    temporary.write_bytes(hashlib.sha256(pixels).digest() + pixels)

    def _path(self, key: bytes) -> Path:
        return self.folder / key.hex()[:2] / f"{key.hex()}.rgb"
