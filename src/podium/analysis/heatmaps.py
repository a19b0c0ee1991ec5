"""Where in an image a model sees its evidence: class activation maps (Zhou et al. 2016) of heads on pooled features.

A linear head's logit is a sum over places: of the mean over a feature map, each place gives its own part; of the
maximum, the place where it was found gives all. So the head itself is asked what each place's part is worth, and the
mean of the heatmap is the logit: exactly, for a linear head on the means or maxima of any number of maps. Any other
smooth head is asked close to the image's own features, where it is nearly linear.

A finetune ends in such a linear head, so that the heatmap of its mean-pooled map is Grad-CAM's (Selvaraju et al. 2017,
section 3.1, who show it) without a gradient: times the number of places, with what is against the label left in.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from podium.backbones.network import PretrainedNetwork
from podium.contracts.models import Fitted
from podium.contracts.steps import predict
from podium.features.extraction import Extraction, Image, Row
from podium.imaging.images import Reader, Resize, Shape, frame
from podium.tasks.vector import VectorTask
from podium.training.encoder import Encoder
from podium.training.trained import TrainedNetwork

_STEP = 0.1  # of the way to a place's part: far enough for float32, near enough to stay out of saturation
Score = Callable[[np.ndarray], np.ndarray]  # (n, d) float32 features -> (n, k) float64 logits, or values

_SPOTS = 24  # that can be told apart along a side of the picture
_PARTS = {"avg": ("mean",), "max": ("maximum",), "avg_max": ("mean", "maximum")}  # of a map's features, in order


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label: `places (h, w)` float64 in logits (or values), whose mean is what the model says."""

    label: int
    places: np.ndarray


def activation(score: Score, maps: Sequence[np.ndarray], how: str) -> Heatmap:
    """Return the evidence for the label with the highest score, or for the only one.

    Args:
        score: the head, from the features `(n, d)` that pooling makes of the maps, one after the other.
        maps: each `(h, w, c)` float32; the heatmap has the places of the largest.
        how: they are pooled: `avg`, `max` or `avg_max`.
    """
    pooled = [(which, array) for array in maps for which in _PARTS[how]]
    features = np.concatenate([_pool(array, which) for which, array in pooled])
    said = score(features[None].astype(np.float32))[0]
    label = int(said.argmax())
    height, width = max((array.shape[:2] for array in maps), key=lambda shape: shape[0] * shape[1])
    places, start = np.full((height, width), said[label]), 0
    for which, array in pooled:
        stop = start + array.shape[2]
        shares = _shares(array, which)
        asked = np.flatnonzero(shares.any(axis=1))
        near = np.tile(features, (len(asked) + 1, 1))  # the last one as it is
        near[:-1, start:stop] += _STEP * shares[asked]
        answers = score(near.astype(np.float32))[:, label]
        worth = np.zeros(len(shares))
        worth[asked] = (answers[:-1] - answers[-1]) / _STEP
        if which == "maximum":
            worth *= len(worth)  # it is found once, and not a mean of all places
        spread = _spread(worth.reshape(array.shape[:2]), (height, width))
        places += spread - spread.mean()  # what each says beyond the mean of all
        start = stop
    return Heatmap(label, places)


def score_of_head(model: Fitted, task: VectorTask) -> Score:
    """Return a head's score: what is linear in the features of a linear head."""

    def score(x: np.ndarray) -> np.ndarray:
        p = predict(model, x).astype(np.float64)
        if task.is_value:
            return p
        p = np.clip(p, 1e-12, 1 - 1e-12)
        return _among(np.log(p)) if p.shape[1] > 1 and task.is_exclusive else np.asarray(np.log(p) - np.log1p(-p))

    return score


def score_of_finetune(network: TrainedNetwork, task: VectorTask) -> Score:
    """Return the score of a fold's network."""

    def score(x: np.ndarray) -> np.ndarray:
        logits = predict(network.logits, x).astype(np.float64)
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
