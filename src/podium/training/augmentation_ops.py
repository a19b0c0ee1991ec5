"""What is done to a batch of pictures `(n, h, w, 3)` float32 in [0, 255], on whichever device Keras computes.

Nothing here is random: what differs between the pictures is given, as `(n, ...)` arrays.
"""

from typing import Any, Literal

import numpy as np

from podium.imaging.images import Shape

_SIDES = (1, 2)  # the axes of a batch (n, h, w, 3) that are a picture's
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL and OpenCV weigh colours
# What RandAugment does at strength 1 (Cubuk et al. 2019).
_SHEAR, _SHIFT, _DEGREES, _FACTOR, _BITS = 0.3, 0.45, 30.0, 0.9, 4


def tensor(values: Any) -> Any:
    """Return an array or a tensor as a float32 tensor."""
    from keras import ops

    return ops.cast(ops.convert_to_tensor(values), "float32")


def per_image(values: np.ndarray) -> Any:
    """Return `(n, 1, 1, 1)`: booleans as they are, numbers as float32."""
    from keras import ops

    shaped = values.reshape(-1, 1, 1, 1)
    return ops.convert_to_tensor(shaped) if values.dtype == bool else tensor(shaped)


def mixed(values: Any, other: np.ndarray, share: Any) -> Any:
    """Return `share` of each row, and the rest of row `other`."""
    from keras import ops

    return share * values + (1 - share) * ops.take(values, other, axis=0)


def boxes(sides: np.ndarray, at: np.ndarray, shape: Shape) -> np.ndarray:
    """Return `(n, h, w, 1)` bool: a box in whole pixels of pictures of `shape`.

    `sides (2, n)` are its height and width as shares of the picture's, `at (2, n)` in [0, 1) where it lies: from the
    top, or left, to the last place that has room for it.
    """
    inside = []
    for px, share, where in zip(shape, sides, at, strict=True):
        length = np.minimum(np.rint(share * px), px)
        start = np.floor(where * (px - length + 1))
        places = np.arange(px)
        inside.append((places >= start[:, None]) & (places < (start + length)[:, None]))
    return np.asarray(inside[0][:, :, None, None] & inside[1][:, None, :, None])


def unchanged(n: int) -> np.ndarray:
    """Return `(n, 3, 3)` matrices that move nothing."""
    return np.tile(np.eye(3), (n, 1, 1))


def moved(by: np.ndarray) -> np.ndarray:
    """Return matrices that move `(2, n)` pixels right and down."""
    matrices = unchanged(by.shape[1])
    matrices[:, :2, 2] = -by.T
    return matrices


def turned(degrees: np.ndarray) -> np.ndarray:
    """Return matrices that turn counter-clockwise."""
    matrices, angle = unchanged(len(degrees)), np.deg2rad(degrees)
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 0, 1], matrices[:, 1, 0] = -np.sin(angle), np.sin(angle)
    return matrices


def slanted(by: np.ndarray) -> np.ndarray:
    """Return matrices that slant by `(2, n)` pixels a pixel, along x and along y."""
    matrices = unchanged(by.shape[1])
    matrices[:, 0, 1], matrices[:, 1, 0] = by
    return matrices


def warped(images: Any, matrices: np.ndarray) -> Any:
    """Return the images seen through `(n, 3, 3)`, whose origin is the picture's centre."""
    from keras import ops

    centre = np.eye(3)
    centre[:2, 2] = (images.shape[2] - 1) / 2, (images.shape[1] - 1) / 2  # x, y
    whole = centre @ matrices @ np.linalg.inv(centre)
    rows = tensor(whole.reshape(-1, 9)[:, :8])
    return ops.image.affine_transform(
        images, rows, interpolation="bilinear", fill_mode="reflect", data_format="channels_last"
    )


def blended(images: Any, degenerate: str, factor: np.ndarray) -> Any:
    """Return the images at `factor (n,)` times their distance from what lacks brightness, contrast, ..., clipped."""
    from keras import ops

    other = _DEGENERATES[degenerate](images)
    return ops.clip(other + per_image(factor) * (images - other), 0.0, 255.0)


def _gray(images: Any) -> Any:
    from keras import ops

    return ops.sum(images * tensor(_LUMA), axis=-1, keepdims=True)


def _mean_gray(images: Any) -> Any:
    from keras import ops

    return ops.mean(_gray(images), axis=_SIDES, keepdims=True)


def _smooth(images: Any) -> Any:
    """Return the images through PIL's SMOOTH filter: ones with 5 in the middle, over 13."""
    from keras import ops

    mean = ops.average_pool(images, 3, strides=1, padding="same", data_format="channels_last")
    return (9 * mean + 4 * images) / 13


_DEGENERATES: dict[str, Any] = {
    "brightness": lambda _: 0.0,
    "contrast": _mean_gray,
    "color": _gray,
    "sharpness": _smooth,
}


def _posterized(images: Any, strength: float) -> Any:
    from keras import ops

    step = 2.0 ** round(_BITS * strength)
    return ops.floor(images / step) * step


def _solarized(images: Any, strength: float) -> Any:
    from keras import ops

    return ops.where(images < 255 * (1 - strength), images, 255 - images)


def _stretched(images: Any) -> Any:
    """Return each channel of each picture over all of [0, 255]; one of a single value as it is."""
    from keras import ops

    low, high = ops.min(images, axis=_SIDES, keepdims=True), ops.max(images, axis=_SIDES, keepdims=True)
    return ops.where(high > low, (images - low) * (255 / ops.maximum(high - low, 1e-3)), images)


def _along(axis: Literal[0, 1], by: np.ndarray) -> np.ndarray:
    """Return `(2, n)`: `by` on one axis, 0 on the other."""
    return np.stack([by, np.zeros_like(by)][:: 1 - 2 * axis])


# Name -> function of images, strength and signs (n,), each -1 or 1.
RAND_AUGMENT: dict[str, Any] = {
    "identity": lambda images, _strength, _signs: images,
    "autocontrast": lambda images, _strength, _signs: _stretched(images),
    "posterize": lambda images, strength, _signs: _posterized(images, strength),
    "solarize": lambda images, strength, _signs: _solarized(images, strength),
    "rotate": lambda images, strength, signs: warped(images, turned(_DEGREES * strength * signs)),
    "shear_x": lambda images, s, signs: warped(images, slanted(_along(0, _SHEAR * s * signs))),
    "shear_y": lambda images, s, signs: warped(images, slanted(_along(1, _SHEAR * s * signs))),
    "translate_x": lambda images, s, signs: warped(images, moved(_along(0, _SHIFT * s * images.shape[2] * signs))),
    "translate_y": lambda images, s, signs: warped(images, moved(_along(1, _SHIFT * s * images.shape[1] * signs))),
    "brightness": lambda images, s, signs: blended(images, "brightness", 1 + _FACTOR * s * signs),
    "contrast": lambda images, s, signs: blended(images, "contrast", 1 + _FACTOR * s * signs),
    "color": lambda images, s, signs: blended(images, "color", 1 + _FACTOR * s * signs),
    "sharpness": lambda images, s, signs: blended(images, "sharpness", 1 + _FACTOR * s * signs),
}
