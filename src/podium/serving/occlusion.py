"""Where in a picture an ensemble sees its evidence: what is lost when a place is covered (Zeiler and Fergus 2014).

It asks nothing but predictions, so it explains any ensemble, also one of trees, and where Keras is not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from podium.serving.runtime import Picture, Predictor, Row

GRID = 8  # places a side
_SIDE_PX = 512  # of the picture that is covered: more pixels show nothing more at so few places
_REACH = 1.0  # cells on either side of a place's middle: neighbours overlap by half
_SURE = 1e-6


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """Return the picture, or a smaller copy of a large one."""
    import cv2

    height, width = pixels.shape[:2]
    scale = _SIDE_PX / max(height, width)
    if scale >= 1:
        return pixels
    small = cv2.resize(
        pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small)


def covered(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the picture GRID x GRID times, each with another place in the picture's mean colour, row by row."""
    height, width = pixels.shape[:2]
    colour = pixels.reshape(-1, pixels.shape[2]).mean(axis=0).round().astype(np.uint8)
    for row in range(GRID):
        top, bottom = _span(row, height)
        for column in range(GRID):
            left, right = _span(column, width)
            copy = pixels.copy()
            copy[top:bottom, left:right] = colour
            yield copy


def _span(place: int, length: int) -> tuple[int, int]:
    middle = (place + 0.5) * length / GRID
    reach = _REACH * length / GRID
    start = max(0, round(middle - reach))
    return start, max(start + 1, min(length, round(middle + reach)))


def heatmap(pixels: np.ndarray, predict: Callable[[list[np.ndarray]], np.ndarray], *, is_value: bool) -> np.ndarray:
    """Return `(GRID, GRID)` float64: how much each place speaks for the label that is given, in logits or values.

    Of two labels with one probability, for the second. `predict` returns `(n, k)` of pictures `(h, w, 3)`.
    """
    small = shrunk(pixels)
    p = predict([small, *covered(small)]).astype(np.float64)
    if not is_value:
        p = p.clip(_SURE, 1 - _SURE)
        p = np.log(p) - np.log1p(-p)
    said = p[:, p[0].argmax()]
    return np.asarray((said[0] - said[1:]).reshape(GRID, GRID))


def unclipped(predictor: Predictor) -> Predictor:
    """Return a predictor that shows what covering a place changes where a clip would make all answers the same."""
    return replace(predictor, model=replace(predictor.model, clip=None))


def asking(predictor: Predictor, cells: Mapping[str, Any]) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Return the function from a row's pictures to a predictor's unclipped predictions, as `heatmap` takes it."""
    open_ended = unclipped(predictor)

    def predict(pictures: Sequence[np.ndarray]) -> np.ndarray:
        rows = [Row("", (Picture("", lambda one=one: one),), cells) for one in pictures]  # type: ignore[misc]
        return np.concatenate([found.p for found in open_ended.run(rows)])

    return predict
