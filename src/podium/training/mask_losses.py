"""Losses of masks, on logits `(n, h, w, k)` and targets `(n, h, w, c)` in [0, 1]: one number for each picture."""

from collections.abc import Callable
from functools import partial
from typing import Any

_SMOOTH = 1.0  # pixel, so that an empty mask has a loss too
_FALSE_NEGATIVES = 0.7  # what Tversky's index weighs them with, and 1 less that false positives
_FOCUS = 2.0


def loss(name: str, *, exclusive: bool) -> Any:
    """Return the Keras loss of this name; with `exclusive`, `k` is `c` and the background before it."""
    import keras

    parts: dict[str, list[Callable[..., Any]]] = {
        "cross_entropy": [_cross_entropy],
        "dice": [_dice],
        "both": [_cross_entropy, _dice],
        "focal": [partial(_cross_entropy, focus=_FOCUS)],
        "tversky": [partial(_dice, weight=_FALSE_NEGATIVES)],
        "both_tversky": [_cross_entropy, partial(_dice, weight=_FALSE_NEGATIVES)],
        "lovasz": [_lovasz],
        "both_lovasz": [_cross_entropy, _lovasz],
    }

    class MaskLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
        """The sum of the parts, for each picture: a weight is then a picture's."""

        def call(self, target: Any, logits: Any) -> Any:
            return sum(part(keras.ops.cast(target, "float32"), logits, exclusive) for part in parts[name])

    return MaskLoss()


def _probabilities(logits: Any, exclusive: bool) -> Any:  # noqa: FBT001
    from keras import ops

    return ops.softmax(logits, axis=-1)[..., 1:] if exclusive else ops.sigmoid(logits)


def _cross_entropy(target: Any, logits: Any, exclusive: bool, focus: float = 0.0) -> Any:  # noqa: FBT001
    """Return the mean over pixels, and over classes that overlap; with `focus` the focal loss (Lin et al. 2017)."""
    from keras import ops

    if exclusive:
        rest = 1 - ops.sum(target, axis=-1, keepdims=True)
        target = ops.concatenate([rest, target], axis=-1)
        logp = ops.log_softmax(logits, axis=-1)
        if focus:  # x ** 0 has no derivative at 0, where a network is sure
            logp = logp * ops.maximum(1 - ops.exp(logp), 0.0) ** focus
        return ops.mean(-ops.sum(target * logp, axis=-1), axis=(1, 2))
    p = ops.sigmoid(logits)
    yes, no = -ops.softplus(-logits), -ops.softplus(logits)
    if focus:
        yes, no = yes * (1 - p) ** focus, no * p**focus
    return -ops.mean(target * yes + (1 - target) * no, axis=(1, 2, 3))


def _dice(target: Any, logits: Any, exclusive: bool, weight: float = 0.5) -> Any:  # noqa: FBT001
    """Return 1 less the mean over classes of Tversky's index (Salehi et al. 2017), at 0.5 Dice's coefficient."""
    from keras import ops

    p = _probabilities(logits, exclusive)
    both = ops.sum(p * target, axis=(1, 2))
    missed, false = ops.sum((1 - p) * target, axis=(1, 2)), ops.sum(p * (1 - target), axis=(1, 2))
    index = (both + _SMOOTH) / (both + weight * missed + (1 - weight) * false + _SMOOTH)
    return 1 - ops.mean(index, axis=-1)


def _lovasz(target: Any, logits: Any, exclusive: bool) -> Any:  # noqa: FBT001
    """Return the mean over classes of Lovasz's extension of 1 less the IoU, of probabilities (Berman et al. 2018)."""
    from keras import ops

    p = _probabilities(logits, exclusive)
    n_pixels, n = p.shape[1] * p.shape[2], p.shape[3]
    p, truth = (ops.reshape(ops.transpose(part, (0, 3, 1, 2)), (-1, n, n_pixels)) for part in (p, target))
    error = ops.abs(truth - p)
    order = ops.argsort(-error, axis=-1)
    error, truth = ops.take_along_axis(error, order, axis=-1), ops.take_along_axis(truth, order, axis=-1)
    total = ops.sum(truth, axis=-1, keepdims=True)
    left, union = total - ops.cumsum(truth, axis=-1), total + ops.cumsum(1 - truth, axis=-1)
    iou_loss = 1 - left / ops.maximum(union, 1e-6)
    step = ops.concatenate([iou_loss[..., :1], iou_loss[..., 1:] - iou_loss[..., :-1]], axis=-1)
    return ops.mean(ops.sum(error * ops.stop_gradient(step), axis=-1), axis=-1)
