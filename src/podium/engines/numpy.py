"""Runs classical features: a function of arrays, on the CPU."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from podium import engines


class Engine(engines.Engine):
    """See podium.engines."""

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See podium.engines."""
        return ("float32",)

    @classmethod
    def version(cls) -> str:
        """See podium.engines."""
        return f"opencv {version('opencv-python-headless')}, scikit-image {version('scikit-image')}"

    def __init__(self, build: Callable[[], Any], *, batch: int, px: int, precision: str, exported: Path) -> None:  # noqa: ARG002
        self._describe: Callable[[np.ndarray], np.ndarray] = build()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See podium.engines."""
        return self._describe(images)
