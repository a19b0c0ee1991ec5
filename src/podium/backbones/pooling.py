"""Feature map -> one vector per image, inside the network's graph.

A map is `(n, h, w, c)` float32, channels last, or `(n, tokens, c)` whose first `n_prefix` tokens stand for no place in
the image (a class token, registers). Each pooling takes (map, n_prefix) and returns `(n, d)`.
"""

import math
from collections.abc import Callable
from typing import Any

_GEM_POWER = 3.0  # the start value of Radenovic, Tolias and Chum (2018), and about what training ends at
_GEM_FLOOR = 1e-6


def _places(maps: Any, n_prefix: int) -> tuple[Any, tuple[int, ...]]:
    """Return the part of a map that shows the image, and the axes of its places."""
    is_map = len(maps.shape) == 4  # noqa: PLR2004  # (n, h, w, c)
    return (maps, (1, 2)) if is_map else (maps[:, n_prefix:], (1,))


def average(maps: Any, n_prefix: int) -> Any:
    """Return the mean over places."""
    from keras import ops

    places, axes = _places(maps, n_prefix)
    return ops.mean(places, axis=axes)


def maximum(maps: Any, n_prefix: int) -> Any:
    """Return the maximum over places."""
    from keras import ops

    places, axes = _places(maps, n_prefix)
    return ops.max(places, axis=axes)


def average_and_maximum(maps: Any, n_prefix: int) -> Any:
    """Return the mean, then the maximum over places, `(n, 2 d)`: what is common, and what is rare like a crack."""
    from keras import ops

    return ops.concatenate([average(maps, n_prefix), maximum(maps, n_prefix)], axis=-1)


def generalised_mean(maps: Any, n_prefix: int) -> Any:
    """Return the mean of cubes over places, and its cube root (GeM; negative values count as zero)."""
    from keras import ops

    places, axes = _places(maps, n_prefix)
    powers = ops.power(ops.maximum(places, _GEM_FLOOR), _GEM_POWER)
    return ops.power(ops.mean(powers, axis=axes), 1.0 / _GEM_POWER)


def class_token(maps: Any, n_prefix: int) -> Any:  # noqa: ARG001  # it is the first of the prefix
    """Return the first token."""
    return maps[:, 0]


def as_it_is(vectors: Any, n_prefix: int) -> Any:  # noqa: ARG001  # a vector has no places
    """Return what is one vector per image already."""
    return vectors


def every_place(maps: Any, n_prefix: int) -> Any:
    """Return all places one after the other, `(n, places * c)`: for heatmaps, which name it themselves."""
    from keras import ops

    places, _ = _places(maps, n_prefix)
    return ops.reshape(places, (-1, math.prod(places.shape[1:])))


POOLINGS: dict[str, Callable[[Any, int], Any]] = {
    "avg": average,
    "max": maximum,
    "avg_max": average_and_maximum,
    "gem": generalised_mean,
    "cls": class_token,
    "head": as_it_is,  # the network's own pooling
    "logits": as_it_is,
    "maps": every_place,
}
