"""Where in an image a model sees its evidence: class activation maps (Zhou et al. 2016) of heads on pooled features.

A linear head's logit is a sum over places: of the mean over a feature map, each place gives its own part; of the
maximum, the place where it was found gives all. So the head itself is asked what each place's part is worth, and the
mean of the heatmap is the logit: exactly, for a linear head on the means or maxima of any number of maps. Any other
smooth head is asked close to the image's own features, where it is nearly linear, as Grad-CAM does.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.backbones.network import KerasNetwork
from podium.extraction import Extraction, Image, Row
from podium.heads import Predict
from podium.images import Reader, Resize

_STEP = 0.1  # of the way to a place's part: far enough for float32, near enough to stay out of saturation
_SPOTS = 24  # that can be told apart along a side of the picture
_PARTS = {"avg": ("mean",), "max": ("maximum",), "avg_max": ("mean", "maximum")}  # of a map's features, in order


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label: `places (h, w)` float64 in logits (or values), whose mean is what the model says."""

    label: int
    places: np.ndarray


def activation(predict: Predict, maps: Sequence[np.ndarray], pooling: str, kind: str) -> Heatmap:
    """Return the evidence for the label that a model predicts from an image's maps, or for 1, or for its value.

    Args:
        predict: the head, from the features `(n, d)` that `pooling` makes of the maps, one after the other.
        maps: each `(h, w, c)` float32; the heatmap has the places of the largest.
        pooling: `avg`, `max` or `avg_max`.
        kind: of the task.
    """
    pooled = [(which, array) for array in maps for which in _PARTS[pooling]]
    features = np.concatenate([_pool(array, which) for which, array in pooled])
    said = _linear(predict(features[None].astype(np.float32)), kind)[0]
    label = int(said.argmax()) if kind in {"multiclass", "multilabel"} else 0
    height, width = max((array.shape[:2] for array in maps), key=lambda shape: shape[0] * shape[1])
    places, start = np.full((height, width), said[label]), 0
    for which, array in pooled:
        stop = start + array.shape[2]
        shares = _shares(array, which)
        asked = np.flatnonzero(shares.any(axis=1))
        near = np.tile(features, (len(asked) + 1, 1))  # the last one as it is
        near[:-1, start:stop] += _STEP * shares[asked]
        answers = _linear(predict(near.astype(np.float32)), kind)[:, label]
        worth = np.zeros(len(shares))
        worth[asked] = (answers[:-1] - answers[-1]) / _STEP
        if which == "maximum":
            worth *= len(worth)  # it is found once, and not a mean of all places
        spread = _spread(worth.reshape(array.shape[:2]), (height, width))
        places += spread - spread.mean()  # what each says beyond the mean of all
        start = stop
    return Heatmap(label, places)


def _pool(array: np.ndarray, which: str) -> np.ndarray:
    return np.asarray(array.mean(axis=(0, 1), dtype=np.float64) if which == "mean" else array.max(axis=(0, 1)))


def _shares(array: np.ndarray, which: str) -> np.ndarray:
    """Return what each place has, `(h w, c)`: beyond the mean, or the maxima that are found there first, else 0."""
    flat = array.reshape(-1, array.shape[2]).astype(np.float64)
    if which == "mean":
        return np.asarray(flat - flat.mean(axis=0))
    found = np.zeros_like(flat)
    channels = np.arange(flat.shape[1])
    found[flat.argmax(axis=0), channels] = flat.max(axis=0)
    return found


def _spread(places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map on a finer grid, each place over the cells that it covers; places are densities."""
    rows, columns = (np.arange(fine) * coarse // fine for fine, coarse in zip(shape, places.shape, strict=True))
    return np.asarray(places[np.ix_(rows, columns)])


def has_maps(extraction: Extraction) -> bool:
    """Return whether the features are means or maxima over feature maps."""
    return isinstance(extraction.network, KerasNetwork) and extraction.pooling in _PARTS


def maps_of(
    extraction: Extraction, images: Iterable[tuple[str, str]], reader: Reader, models: Path
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield each image's id and its feature maps, `(h, w, c)` float32 for each layer.

    `images` are pairs of id and source; `models` is the machine's folder of exported models.
    """
    network = extraction.network
    shapes = _shapes(extraction)
    engine = extraction.engine(
        lambda: network.build(extraction.px, "maps", extraction.layers),
        batch=extraction.backbone.batch,
        px=extraction.px,
        precision=extraction.precision,
        exported=models / f"{extraction.fingerprint}-maps",
    )
    asked = (Image(image_id, source, (Row(image_id.encode(), "identity", "{}"),)) for image_id, source in images)
    for keys, maps in extraction.run(engine, asked, reader):
        for key, flat in zip(keys, maps, strict=True):
            parts = np.split(flat, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
            yield key.decode(), [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _shapes(extraction: Extraction) -> list[tuple[int, int, int]]:
    """Return height, width and depth of each layer's map; tokens are places of a square."""
    network = extraction.network
    assert isinstance(network, KerasNetwork)
    outputs = network.trunk(extraction.px, extraction.layers, pretrained=False).output
    shapes = []
    for layer in extraction.layers:
        *places, depth = outputs[layer].shape[1:]
        side = math.isqrt(places[0] - network.n_prefix)
        height, width = places if len(places) > 1 else (side, side)
        shapes.append((height, width, depth))
    return shapes


def _linear(p: np.ndarray, kind: str) -> np.ndarray:
    """Return `(n, k)` of what is linear in the features of a linear head: logits, or values themselves."""
    if kind == "regression":
        return p.astype(np.float64)
    p = np.clip(p.astype(np.float64), 1e-12, 1 - 1e-12)
    if kind == "multiclass":  # the softmax's denominator falls out of the difference to the mean
        return np.asarray(np.log(p) - np.log(p).mean(axis=1, keepdims=True))
    return np.asarray(np.log(p) - np.log1p(-p))


def placed(places: np.ndarray, shape: tuple[int, int], how: Resize) -> np.ndarray:
    """Return the map over the whole image `(height, width)`, undoing how it became square; 0 where a crop cut.

    A fine map is blurred first: what a place stands for is wider than the place, and a maximum's is one dot.
    """
    import cv2

    height, width = shape
    sigma = max(places.shape) / _SPOTS
    if sigma > 1:
        places = cv2.GaussianBlur(places, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    if how.mode == "squash":
        return np.asarray(cv2.resize(places, (width, height), interpolation=cv2.INTER_CUBIC))
    side = max(shape) if how.mode == "pad" else min(shape)
    square = cv2.resize(places, (side, side), interpolation=cv2.INTER_CUBIC)
    top, left = abs(height - side) // 2, abs(width - side) // 2
    if how.mode == "pad":
        return np.asarray(square[top : top + height, left : left + width])
    whole = np.zeros(shape)
    whole[top : top + side, left : left + side] = square
    return whole


def coloured(heat: np.ndarray) -> np.ndarray:
    """Return `(h, w, 4)` uint8 RGBA: red where the evidence is for the label, blue where it is against it."""
    strength = np.abs(heat) / max(float(np.abs(heat).max()), 1e-9)
    rgba = np.zeros((*heat.shape, 4), np.uint8)
    rgba[heat > 0, :3] = (230, 40, 30)
    rgba[heat <= 0, :3] = (40, 90, 230)
    rgba[..., 3] = (255 * strength).round()
    return rgba
