"""A picture with what was said of it: label and probability below, the heatmap over it."""

from collections.abc import Sequence

import numpy as np

from podium.imaging.overlay import over, stretched
from podium.serving.cells import HALF, labelled

_LEAST_PX = 240  # of the width: a caption must fit
_TEXT_PX = 16
_MARGIN_PX = 6


def caption(kind: str, labels: Sequence[str], p: np.ndarray) -> str:
    """Return the answer `(k,)` in words: `crack 0.97`, `a 0.80, b 0.61` of labels that may be several, `grade 2.5`."""
    header, (line,) = labelled(kind, labels, p[None])
    if kind == "regression":
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(header, line, strict=True))
    if kind == "binary":
        return f"{line[0]} {p[0] if line[0] == labels[1] else 1 - p[0]:.2f}"
    if kind == "multiclass":
        return f"{line[0]} {p.max():.2f}"
    said = [f"{label} {one:.2f}" for label, one in zip(labels, p, strict=True) if one >= HALF]
    return ", ".join(said) or "(none)"


def captioned(pixels: np.ndarray, heat: np.ndarray, text: str) -> np.ndarray:
    """Return the picture `(h, w, 3)` uint8 with a heatmap over it, as large as a caption needs, and the caption."""
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    factor = max(1, -(-_LEAST_PX // pixels.shape[1]))
    large = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    seen = over(large, stretched(heat, large.shape[:2]))
    strip = Image.new("RGB", (seen.shape[1], _TEXT_PX + 2 * _MARGIN_PX), "white")
    font = ImageFont.load_default(_TEXT_PX)
    ImageDraw.Draw(strip).text((_MARGIN_PX, _MARGIN_PX), text, fill="black", font=font)
    return np.vstack([seen, np.asarray(strip)])
