"""Pictures drawn by the package `captcha`, each from a seed of its own: the same seed gives the same bytes.

captcha 0.7.1 draws by `secrets`, which cannot be seeded; `seeded` puts a generator in its place.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any


class _Seeded:
    """As much of the module `secrets` as captcha draws by."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311  # pictures to learn from keep no secret
        self.choice = self._random.choice
        self.randbits = self._random.getrandbits

    def randbelow(self, stop: int) -> int:
        return self._random.randrange(stop)


@contextmanager
def seeded(seed: str) -> Iterator[None]:
    """Let the package draw by this seed inside the block. Not for threads: it changes the package's module."""
    image: Any = import_module("captcha.image")
    kept, image.secrets = image.secrets, _Seeded(seed)
    try:
        yield
    finally:
        image.secrets = kept


def draw(text: str, seed: str, width: int, height: int) -> bytes:
    """Return a PNG of `text`, `width` x `height` pixels."""
    with seeded(seed):
        return bytes(_generator(width, height).generate(text).getvalue())


@cache
def _generator(width: int, height: int) -> Any:
    from captcha.image import ImageCaptcha

    return ImageCaptcha(width, height)
