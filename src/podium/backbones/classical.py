"""Features from before deep learning, as rows of the same table: no weights, no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.backbones.descriptors import color_histogram, hog
from podium.backbones.network import Network

__all__ = ["Classical", "color_histogram", "hog"]

Describe = Callable[[np.ndarray], np.ndarray]  # (px, px, 3) uint8 RGB -> (d,) float32


@dataclass(frozen=True, kw_only=True)
class Classical(Network):
    """A descriptor of one image, which has no map to pool."""

    describe: Describe

    engines: tuple[str, ...] = ("numpy",)

    @property
    def poolings(self) -> tuple[str, ...]:
        """See Network."""
        return ("none",)

    @property
    def layers(self) -> tuple[str, ...]:
        """See Network."""
        return ()

    def build(self, px: int, pooling: str, layers: tuple[str, ...]) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ARG002
        """See Network."""
        return lambda images: np.stack([self.describe(image) for image in images])
