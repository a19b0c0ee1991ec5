"""The images of the scored rows by one backbone's features: their places on a map, and the nearest of some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from podium.analysis.report.page import OTHERS
from podium.contracts import features
from podium.contracts.steps import Standardize, unit_rows
from podium.heads.shared import standardize

MOST_POINTS = 5_000  # of the map: more hide each other, and each adds 60 bytes to the page
SIDE = 1000  # of the map: coordinates are whole numbers from 0 to this, far finer than rounding errors
N_NEAR = 4
_USUAL_VIEW = "identity"
_BLOCK = 4096  # rows that are in memory as float32 at once


@dataclass(frozen=True)
class ImageFeatures:
    """Features by a frozen backbone: `matrix (n, d)` float16 or float32 in one view, a line for each of `images`.

    `images` are lines of the Images table with `position (n,)`, of their row among the scored rows.
    """

    backbone: str
    images: pd.DataFrame
    matrix: np.ndarray


@dataclass(frozen=True)
class Neighbour:
    """A training image close to another one; `similarity` is the cosine of their features, in [-1, 1]."""

    image_id: str
    source: str
    position: int  # of its row among the scored rows
    similarity: float


def read(path: Path, images: pd.DataFrame, ids: np.ndarray) -> ImageFeatures | None:
    """Return the features of the images of the rows `ids`; None where one has none or fold networks made them.

    Two networks trained on other folds have spaces of their own, in which rows cannot be compared.
    """
    places = pd.Series(range(len(ids)), index=ids)
    images = images[images["row_id"].isin(ids)].sort_values("image_id", ignore_index=True)

    def chosen(index: pd.DataFrame) -> np.ndarray:
        views = index["view"].unique()
        view = _USUAL_VIEW if _USUAL_VIEW in views else min(views)
        return np.asarray((index["view"] == view) & index["image_id"].isin(images["image_id"]))

    table = features.read(path, chosen)
    if table.networks or list(table.index["image_id"]) != list(images["image_id"]):
        return None
    return ImageFeatures(path.stem, images.assign(position=places[images["row_id"]].to_numpy()), table.matrix)


def sample(n: int, always: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return sorted positions of at most 5,000 of `n` images, evenly taken, and of those that are `always` shown."""
    evenly = np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(np.int64)
    return np.union1d(evenly, np.asarray(always, np.int64))


def colours(n_rows: np.ndarray) -> list[int]:
    """Return each group's colour: 0 to 7 of the eight largest, in their own order, and 8 of all others."""
    own = np.sort(np.argsort(-n_rows, kind="stable")[:OTHERS])
    return [int(np.searchsorted(own, group)) if group in own else OTHERS for group in range(len(n_rows))]


def coordinates(x: np.ndarray) -> np.ndarray:
    """Return `(n, 2)` int64 in [0, 1000]: the first two principal components of standardized features `(n, d)`.

    Components and no t-SNE, which takes minutes for 5,000 points and depends on the number of threads.
    """
    from sklearn.decomposition import PCA

    found = PCA(2, svd_solver="randomized", random_state=0).fit_transform(_scale(x).predict(x))
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray(((found - low) / np.maximum(high - low, 1e-9) * SIDE).round().astype(np.int64))


def nearest(found: ImageFeatures, fold: np.ndarray, asked: Sequence[int] | np.ndarray) -> list[list[Neighbour]]:
    """Return the four nearest images of other folds of each image at the positions `asked`, the nearest first.

    `fold (n_rows,)` is that of the scored rows. Nearness is the cosine of standardized features: the images that the
    model of the asked image's fold was trained on, and that look most like it to the backbone.
    """
    asked = np.asarray(asked, np.int64)
    x, own = found.matrix, fold[found.images["position"]]
    scale = _scale(x)
    query = unit_rows(scale.predict(x[asked]))
    best, where = np.full((len(asked), N_NEAR), -np.inf, np.float32), np.zeros((len(asked), N_NEAR), np.int64)
    for start in range(0, len(x), _BLOCK):
        block = slice(start, start + _BLOCK)
        similarity = query @ unit_rows(scale.predict(x[block])).T
        similarity[own[asked][:, None] == own[block]] = -np.inf
        both = np.hstack([best, similarity])
        places = np.hstack([where, np.tile(np.arange(start, start + similarity.shape[1]), (len(asked), 1))])
        order = np.argsort(-both, axis=1, kind="stable")[:, :N_NEAR]
        best, where = np.take_along_axis(both, order, axis=1), np.take_along_axis(places, order, axis=1)
    ids, sources, positions = (found.images[name].to_numpy(object) for name in ("image_id", "source", "position"))
    return [
        [
            Neighbour(ids[at], sources[at], positions[at], float(value))
            for at, value in zip(line, values, strict=True)
            if np.isfinite(value)
        ]
        for line, values in zip(where, best, strict=True)
    ]


def _scale(x: np.ndarray) -> Standardize:
    """Return the map to zero mean and unit variance of each column, as rows evenly taken have them."""
    return standardize(x[sample(len(x), ())])
