"""Features from before deep learning, as rows of the same table: no weights, no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.backbones.network import Network

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


def hog(image: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs, 2005) of 8 px cells: 1,764 numbers at 64 px.

    Nine orientations, blocks of 2x2 cells, L2-Hys; each pixel takes the channel with the strongest gradient.
    """
    from skimage.feature import hog as describe

    vector: np.ndarray = describe(
        image, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys", channel_axis=2
    )
    return vector.astype(np.float32)


def color_histogram(image: np.ndarray) -> np.ndarray:
    """Return the shares of the image's pixels in 8x8x8 bins of RGB: 512 numbers that sum to 1."""
    import cv2

    counts = cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return (counts.ravel() / image[..., 0].size).astype(np.float32)
