"""Who runs a network. One module per engine; each defines `class Engine(podium.engines.Engine)`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Engine:
    """Runs one network on batches of one fixed shape: an image's features are independent of the rest of the batch."""

    @classmethod
    def suits(cls) -> bool:
        """Return whether `auto` should take it on this machine, where a network leaves the choice."""
        return True

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """Return the precisions that this machine can run; the first is what `auto` takes."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        """Return what computes, with its version, for the fingerprint; without importing it."""
        raise NotImplementedError

    def __init__(self, build: Callable[[], Any], *, batch: int, px: int, precision: str, exported: Path) -> None:
        """Load the network.

        Args:
            build: makes the network (`Network.build`); not called where an exported model does.
            batch: images per run.
            px: side of an image.
            precision: one of `precisions()`.
            exported: folder for the exported model of this very network, if the engine makes one.
        """
        raise NotImplementedError

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return features `(batch, d)` float32 of RGB images `(batch, px, px, 3)`.

        Images are uint8, or of the dtype that the network takes.
        """
        raise NotImplementedError
