"""Where in an image a model sees its evidence: class activation maps (Zhou et al. 2016) of heads on pooled features.

A linear head's logit is a sum over places: of the mean over a feature map, each place gives its own part; of the
maximum, the place where it was found gives all. So each place's part is worth its product with the head's weights, and
the mean of the heatmap is the logit: exactly, for a linear head on the means or maxima of any number of maps, of one
backbone or of several.

Any other head is asked what it would say without a part of the image: with that part's places left out of the means and
maxima, which takes no network. For a linear head on means, that is the mean of the exact heatmap over the part.

A finetune ends in such a linear head, so that the heatmap of its mean-pooled map is Grad-CAM's (Selvaraju et al. 2017,
section 3.1, who show it) without a gradient: times the number of places, with what is against the label left in.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from podium.analysis.pooled_maps import PooledMaps
from podium.backbones.network import PretrainedNetwork
from podium.contracts.models import Fitted
from podium.contracts.steps import Linear
from podium.features.extraction import Extraction, Image, Row
from podium.imaging.images import Reader, Resize, Shape, frame
from podium.tasks.vector import VectorTask
from podium.training.encoder import Encoder
from podium.training.trained import TrainedNetwork

_STEP = 0.5  # of a feature, to see what it is worth to a linear head: any length would do but for rounding
_BLOCK = 256  # rows that a head is asked at once
_MOST_PARTS = 8  # of an image's height, and of its width, that are left out one by one
Score = Callable[[np.ndarray], np.ndarray]  # (n, d) float64 features -> (n, k) float64 logits, or values

_SPOTS = 24  # that can be told apart along a side of the picture
_PARTS = {"avg": ("mean",), "max": ("maximum",), "avg_max": ("mean", "maximum")}  # of a map's features, in order


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label: `places (h, w)` float64 in logits (or values), whose mean is what the model says."""

    label: int
    places: np.ndarray


@dataclass(frozen=True)
class Pooled:
    """What one backbone saw of an image: its `maps`, each `(h, w, c)` float32, pooled by avg, max or avg_max.

    `framing` is how the image became the network's square.
    """

    maps: Sequence[np.ndarray]
    pooling: str
    framing: Resize

    @property
    def steps(self) -> list[tuple[str, np.ndarray]]:
        """Return each mean or maximum that is taken of a map, in the order of the features."""
        return [(which, array) for array in self.maps for which in _PARTS[self.pooling]]

    @cached_property
    def features(self) -> np.ndarray:
        """Return `(d,)` float64."""
        return np.concatenate([_pool(array, which) for which, array in self.steps])

    def without(self, shape: Shape, grid: tuple[int, int]) -> np.ndarray:
        """Return `(n_parts, d)` float64: the features without one part of a grid over the image after the other."""
        if (shape, grid) not in self._without:
            framed, n_parts = _framed(shape, self), grid[0] * grid[1]
            parts = {id(array): _parts(array, framed, shape, grid) for array in self.maps}
            rows = [_without(array, which, parts[id(array)], n_parts) for which, array in self.steps]
            self._without[shape, grid] = np.hstack(rows)
        return self._without[shape, grid]

    @cached_property
    def _without(self) -> dict[tuple[Shape, tuple[int, int]], np.ndarray]:
        return {}


def linear(score: Score, at: np.ndarray) -> Linear:
    """Return the weights of a score that is linear in its features, found about the features `at (d,)`."""
    base = score(at[None])[0]
    slopes = []
    for start in range(0, len(at), _BLOCK):
        stop = min(start + _BLOCK, len(at))
        near = np.tile(at, (stop - start, 1))
        near[np.arange(stop - start), np.arange(start, stop)] += _STEP
        slopes.append((score(near) - base) / _STEP)
    weights = np.concatenate(slopes)
    return Linear(weights, base - at @ weights)


def activation(score: Score, maps: Sequence[np.ndarray], how: str, label: int | None = None) -> Heatmap:
    """Return the evidence on one backbone's maps, pooled by `how`, for a linear score; see `evidence`."""
    seen = Pooled(maps, how, Resize())
    label, (places,) = evidence(linear(score, seen.features), [seen], label)
    return Heatmap(label, places)


def evidence(model: Linear, seen: Sequence[Pooled], label: int | None = None) -> tuple[int, list[np.ndarray]]:
    """Return a label and its evidence on the places of each backbone; the means of all add up to what is said.

    Args:
        model: weights on the features of all `seen`, one after the other.
        seen: what each backbone saw of the image; its evidence has the places of its largest map.
        label: to explain; None: the one with the highest score.
    """
    features = np.concatenate([one.features for one in seen])
    said = model.predict(features[None])[0]
    label = int(said.argmax()) if label is None else label
    weights, start, found = model.weights[:, label], 0, []
    for one in seen:
        height, width = max((array.shape[:2] for array in one.maps), key=lambda shape: shape[0] * shape[1])
        places = np.full((height, width), said[label] / len(seen))
        for which, array in one.steps:
            stop = start + array.shape[2]
            worth = _shares(array, which) @ weights[start:stop]
            if which == "maximum":
                worth *= len(worth)  # it is found once, and not a mean of all places
            spread = _spread(worth.reshape(array.shape[:2]), (height, width))
            places += spread - spread.mean()  # what each says beyond the mean of all
            start = stop
        found.append(places)
    return label, found


def left_out(score: Score, seen: Sequence[Pooled], shape: Shape, label: int | None = None) -> Heatmap:
    """Return the evidence on the parts of an image of this `shape`: what is lost where a part is left out of pooling.

    Parts are equal rectangles, at most 8 x 8, each at least as large as a place of the coarsest map.
    """
    grid = _grid(seen, shape)
    n_parts = grid[0] * grid[1]
    answers = score(
        np.vstack(
            [np.concatenate([one.features for one in seen]), np.hstack([one.without(shape, grid) for one in seen])]
        )
    )
    said = answers[0]
    label = int(said.argmax()) if label is None else label
    lost = said[label] - answers[1:, label]
    # Without 1 part of n, a mean moves by 1 / (n - 1) of what the part is beyond it.
    return Heatmap(label, (said[label] + (n_parts - 1) * lost).reshape(grid))


def _framed(shape: Shape, one: Pooled) -> Shape:
    """Return the height and width that became the network's square, on the scale of an image of this `shape`."""
    return shape if one.framing.mode == "squash" else frame(shape, one.framing.shape(1), one.framing.mode)


def _grid(seen: Sequence[Pooled], shape: Shape) -> tuple[int, int]:
    """Return how many rows and columns of parts there are, so that each has a place of every map."""
    sides = [
        [
            places * min(1, own / full)
            for places, own, full in zip(array.shape, shape, _framed(shape, one), strict=False)
        ]
        for one in seen
        for array in one.maps
    ]
    rows, columns = np.clip(np.min(sides, axis=0).astype(int), 1, _MOST_PARTS)
    return int(rows), int(columns)


def _parts(array: np.ndarray, framed: Shape, shape: Shape, grid: tuple[int, int]) -> np.ndarray:
    """Return the number of the part that the middle of each place of a map lies in; -1 outside of the image."""
    axes = []
    for places, own, full, n_parts in zip(array.shape, shape, framed, grid, strict=False):
        middle = 0.5 + ((np.arange(places) + 0.5) / places - 0.5) * full / own
        axes.append(np.where((middle >= 0) & (middle < 1), np.floor(middle * n_parts).astype(int), -1))
    both = axes[0][:, None] * grid[1] + axes[1]
    return np.where((axes[0][:, None] < 0) | (axes[1] < 0), -1, both).reshape(-1)


def _without(array: np.ndarray, which: str, part: np.ndarray, n_parts: int) -> np.ndarray:
    """Return `(n_parts, c)` float64: a map's mean or maximum with one part after the other left out."""
    flat = array.reshape(len(part), -1)
    order = np.argsort(part, kind="stable")
    present, first, count = np.unique(part[order], return_index=True, return_counts=True)
    inside = present >= 0
    if which == "mean":
        sums = np.add.reduceat(flat[order].astype(np.float64), first)
        total, left = sums.sum(axis=0), np.empty((n_parts, flat.shape[1]))
        left[:] = total / len(flat)
        some = inside & (count < len(flat))
        left[present[some]] = (total - sums[some]) / (len(flat) - count[some])[:, None]
        return left
    highest = np.maximum.reduceat(flat[order], first).astype(np.float64)
    left = np.tile(highest.max(axis=0), (n_parts, 1))
    if len(present) > 1:
        second, best = np.partition(highest, -2, axis=0)[-2], highest.argmax(axis=0)
        columns = np.flatnonzero(inside[best])
        left[present[best[columns]], columns] = second[columns]
    return left


def score_of_head(model: Fitted, task: VectorTask) -> Score:
    """Return a head's score: what is linear in the features of a linear head."""

    def score(x: np.ndarray) -> np.ndarray:
        p = np.asarray(model.predict(x.astype(np.float64)), np.float64)
        if task.is_value:
            return p
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return _among(np.log(p)) if p.shape[1] > 1 and task.is_exclusive else np.asarray(np.log(p) - np.log1p(-p))

    return score


def score_of_finetune(network: TrainedNetwork, task: VectorTask) -> Score:
    """Return the score of a fold's network."""

    def score(x: np.ndarray) -> np.ndarray:
        logits = np.asarray(network.logits.predict(x.astype(np.float64)), np.float64)
        return _among(logits) if logits.shape[1] > 1 and task.is_exclusive else logits

    return score


def _among(logits: np.ndarray) -> np.ndarray:
    """Return logits less the mean of all, in which the softmax's denominator cancels."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


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


def pooling(of: Extraction | Encoder) -> str | None:
    """Return how feature maps became the features, or None where heatmaps cannot show it."""
    if isinstance(of, Extraction):
        named = of.pooling if isinstance(of.network, PretrainedNetwork) else None
    elif isinstance(of.network, PretrainedNetwork):
        named = of.description["pooling"]
    else:
        named = "avg" if of.network.ends_in_map else None
    return named if named in _PARTS else None


def maps_of(
    extraction: Extraction, images: Iterable[tuple[str, str]], reader: Reader, models: Path
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield each image's id and its feature maps, `(h, w, c)` float32 for each layer.

    `images` are pairs of id and source; `models` is the machine's folder of exported models.
    """
    engine, shapes = _engine_of_maps(extraction, models)
    asked = (Image(image_id, source, (Row(image_id.encode(), "identity", "{}"),)) for image_id, source in images)
    for keys, maps in extraction.run(engine, asked, reader):
        for key, flat in zip(keys, maps, strict=True):
            parts = np.split(flat, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
            yield key.decode(), [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _engine_of_maps(extraction: Extraction, models: Path) -> tuple[Any, Sequence[tuple[int, ...]]]:
    """Return what runs a backbone to its maps, and the shape of each: of extraction's own exported model, if it can."""
    if extraction.engine_name == "openvino":
        found = PooledMaps.of(extraction, models / extraction.fingerprint, _PARTS[extraction.pooling])
        if found:
            return found, found.shapes
    network = extraction.network
    engine = extraction.engine(
        lambda: network.build(extraction.px, "maps", extraction.layers),
        batch=extraction.backbone.batch,
        px=extraction.px,
        precision=extraction.precision,
        exported=models / f"{extraction.fingerprint}-maps",
    )
    return engine, _shapes(extraction)


def maps_of_finetune(encoder: Encoder, weights: Sequence[np.ndarray], pixels: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield the feature maps of each image `(n, px, px, 3)`, as `maps_of` does, from a saved network's own encoder."""
    import keras

    network = encoder.network
    if isinstance(network, PretrainedNetwork):
        inner = network.trunk(encoder.px, encoder.depths, pretrained=False)
        images = keras.Input((encoder.px, encoder.px, 3))
        maps = inner(network.preprocess(images))
        model = keras.Model(images, [maps[layer] for layer in encoder.spec.layers or network.layers[-1:]])
    else:
        whole = network.build(encoder.input)
        model = keras.Model(whole.input, [whole.layers[-1].input])
    # The encoder's weights come first in a saved network.
    for variable, value in zip(model.variables, weights, strict=False):
        variable.assign(value)
    for image in pixels:
        found = model.predict_on_batch(image[None])  # Keras returns one map as it is, several as a list
        several = found if isinstance(found, list) else [found]
        yield [_as_map(np.asarray(one[0], np.float32), network) for one in several]


def _as_map(places: np.ndarray, network: Any) -> np.ndarray:
    """Return `(h, w, c)`; tokens `(t, c)` are places of a square."""
    if places.ndim == 3:  # noqa: PLR2004  # rows, columns, channels
        return places
    tokens = places[network.n_prefix :]
    return tokens.reshape(math.isqrt(len(tokens)), -1, tokens.shape[1])


def _shapes(extraction: Extraction) -> list[tuple[int, ...]]:
    """Return height, width and depth of each layer's map."""
    network = extraction.network
    assert isinstance(network, PretrainedNetwork)
    outputs = network.trunk(extraction.px, extraction.layers, pretrained=False).output
    empty = (np.empty(outputs[layer].shape[1:], np.float32) for layer in extraction.layers)
    return [_as_map(one, network).shape for one in empty]


def placed(places: np.ndarray, shape: tuple[int, int], how: Resize) -> np.ndarray:
    """Return the map over the whole image `(height, width)`, undoing how it was framed; 0 where a crop cut.

    A fine map is blurred first: what a place stands for is wider than the place, and a maximum's is one dot.
    """
    import cv2

    height, width = shape
    sigma = max(places.shape) / _SPOTS
    if sigma > 1:
        places = cv2.GaussianBlur(places, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    if how.mode == "squash":
        return np.asarray(cv2.resize(places, (width, height), interpolation=cv2.INTER_CUBIC))
    framed = frame(shape, how.shape(1), how.mode)
    whole = np.zeros([max(sides) for sides in zip(shape, framed, strict=True)])
    _middle(whole, framed)[:] = cv2.resize(places, framed[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(_middle(whole, shape))


def _middle(whole: np.ndarray, shape: Shape) -> np.ndarray:
    top, left = ((side - own) // 2 for side, own in zip(whole.shape, shape, strict=True))
    return whole[top : top + shape[0], left : left + shape[1]]
