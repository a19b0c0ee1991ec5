"""Descriptors of one image, `(px, px, 3)` uint8 RGB to `(d,)` float32.

The file imports NumPy and what a descriptor takes only, so that an exported model can run the same code.
"""

import numpy as np


def hog(image: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal and Triggs, 2005) of 8 px cells: 1,764 numbers at 64 px.

    Nine orientations, blocks of 2x2 cells, L2-Hys; each pixel takes the channel with the strongest gradient.
    """
    from skimage.feature import hog as describe

    is_gray = bool(
        (image == image[..., :1]).all()
    )  # one channel then gives the same numbers, in two thirds of the time
    vector: np.ndarray = describe(
        image[..., 0] if is_gray else image,
        orientations=9,
        pixels_per_cell=(8, 8),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
        channel_axis=None if is_gray else 2,
    )
    return vector.astype(np.float32)


def color_histogram(image: np.ndarray) -> np.ndarray:
    """Return the shares of the image's pixels in 8x8x8 bins of RGB: 512 numbers that sum to 1."""
    import cv2

    counts = cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
    return (counts.ravel() / image[..., 0].size).astype(np.float32)
