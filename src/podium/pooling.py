"""Feature map -> one vector per image, inside the network's graph. Maps are `(n, h, w, c)` float32, channels last."""

from collections.abc import Callable
from typing import Any


def average(maps: Any) -> Any:
    """Return the mean over positions, `(n, c)`."""
    from keras import ops

    return ops.mean(maps, axis=(1, 2))


def maximum(maps: Any) -> Any:
    """Return the maximum over positions, `(n, c)`."""
    from keras import ops

    return ops.max(maps, axis=(1, 2))


POOLINGS: dict[str, Callable[[Any], Any]] = {"avg": average, "max": maximum}
