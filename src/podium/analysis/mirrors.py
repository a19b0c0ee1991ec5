"""Whether mirrored and turned pictures are such as the competition may hold: told apart, or of another label?

Both checks go by the descriptor HOG of small pictures, which takes a second for some hundred of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from podium.backbones.descriptors import hog
from podium.imaging.pixels import apply
from podium.imaging.views import VIEWS

PX = 32  # of the squares that are looked at
_FOLDS = 4
_TOLD = 0.70  # share of pictures whose mirror image is recognised: digits 0.95 and more, photographs of things 0.5
_FEWER = 0.05  # share of nearest neighbours with the same label that a mirror image loses
_FAR = 3.0  # standard errors
LEAST = 40  # pictures; fewer say nothing


@dataclass(frozen=True)
class Mirrored:
    """What one view does to the pictures, and whether it may be used."""

    view: str
    told_apart: float  # share in [0, 1]: 0.5 is chance
    same_label: float  # share of rows whose nearest picture has their label
    same_label_mirrored: float  # and whose nearest mirrored picture has
    is_allowed: bool

    def reason(self) -> str:
        """Return the finding in some words."""
        if not self.is_allowed and self.told_apart >= _TOLD:
            return f"{self.view} is told from the picture itself in {self.told_apart:.0%} of cases"
        if not self.is_allowed:
            return (
                f"the nearest picture has the same label in {self.same_label:.0%} of cases, and under {self.view}"
                f" in {self.same_label_mirrored:.0%}"
            )
        return f"{self.view} is told from the picture itself in {self.told_apart:.0%} of cases, near chance"


def look(pixels: np.ndarray, classes: np.ndarray | None, views: Sequence[str]) -> dict[str, Mirrored]:
    """Return the finding of each view.

    Args:
        pixels: `(n, 32, 32, 3)` uint8 RGB of training images.
        classes: `(n,)` int of their classes; None where there are none.
        views: names of VIEWS that are no identity.
    """
    x = _described(pixels)
    return {view: _finding(view, x, _turned(pixels, view), classes) for view in views}


def _turned(pixels: np.ndarray, view: str) -> np.ndarray:
    turn = VIEWS[view]
    return _described(np.stack([apply(one, turn.operation, turn.parameters) for one in pixels]))


def _described(pixels: np.ndarray) -> np.ndarray:
    return np.stack([hog(one) for one in pixels]).astype(np.float64)


def _finding(view: str, x: np.ndarray, mirrored: np.ndarray, classes: np.ndarray | None) -> Mirrored:
    told, n = _told_apart(x - mirrored), len(x)
    is_told = told >= max(_TOLD, 0.5 + _FAR * np.sqrt(0.25 / n))
    same, under = (1.0, 1.0) if classes is None else (_agreeing(x, other, classes) for other in (x, mirrored))
    error = np.sqrt(max(same * (1 - same) + under * (1 - under), 1 / n) / n)
    is_other = same - under > max(_FEWER, _FAR * error)
    return Mirrored(view, told, same, under, not is_told and not is_other)


def _told_apart(difference: np.ndarray) -> float:
    """Return the share of pictures recognised by a line through 0 in the differences `(n, d)`, learnt on the others."""
    from sklearn.linear_model import RidgeClassifier

    n = len(difference)
    scaled = difference / max(float(difference.std()), 1e-9)
    fold = np.random.default_rng(0).permutation(n) % _FOLDS
    right = np.zeros(n)
    for k in range(_FOLDS):
        known = scaled[fold != k]
        sign = np.where(np.arange(len(known)) % 2 == 0, 1, -1)
        model = RidgeClassifier(alpha=difference.shape[1], fit_intercept=False).fit(known * sign[:, None], sign)
        score = model.decision_function(scaled[fold == k])
        right[fold == k] = (score > 0) + 0.5 * (score == 0)
    return float(right.mean())


def _agreeing(x: np.ndarray, others: np.ndarray, classes: np.ndarray) -> float:
    """Return the share of rows whose nearest other row, as in `others`, is of their class."""
    distance = (x**2).sum(axis=1)[:, None] - 2 * x @ others.T + (others**2).sum(axis=1)
    np.fill_diagonal(distance, np.inf)
    return float((classes[distance.argmin(axis=1)] == classes).mean())
