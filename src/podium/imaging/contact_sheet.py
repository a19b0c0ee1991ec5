"""A sheet of pictures to look at: titled columns, one line for each image."""

from collections.abc import Sequence

import numpy as np

from podium.imaging.images import Resize, resize

_CELL_PX = 160
_TEXT_PX = 24
_GAP_PX = 4


def draw(titles: Sequence[str], lines: Sequence[Sequence[np.ndarray]]) -> bytes:
    """Return a PNG; `lines` hold one RGB picture `(h, w, 3)` uint8 for each title, padded to a square."""
    import cv2

    step = _CELL_PX + _GAP_PX
    sheet = np.full((_TEXT_PX + step * len(lines), step * len(titles), 3), 255, np.uint8)
    for column, title in enumerate(titles):
        left = column * step
        cv2.putText(sheet, title, (left, _TEXT_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        for place, line in enumerate(lines):
            top = _TEXT_PX + place * step
            sheet[top : top + _CELL_PX, left : left + _CELL_PX] = resize(line[column], Resize(mode="pad"), _CELL_PX)
    return bytes(cv2.imencode(".png", sheet[..., ::-1])[1])
