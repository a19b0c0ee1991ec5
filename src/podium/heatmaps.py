"""Where in an image a model sees its evidence: class activation maps (Zhou et al. 2016) of heads on pooled features.

Mean pooling makes a linear head's logit the mean of the head applied at each place of the feature map. So the
head itself is asked at each place, and the mean of the map is the logit: exactly, for a linear head. Any other
smooth head is asked close to the image's own features, where it is nearly linear, as Grad-CAM does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium.extraction import Extraction, Image, Row
from podium.heads import Predict
from podium.images import Reader, Resize

_STEP = 0.1  # of the way from the mean to a place: far enough for float32, near enough to stay out of saturation


@dataclass(frozen=True)
class Heatmap:
    """Evidence for one label: `places (h, w)` float64 in logits (or values), whose mean is what the model says."""

    label: int
    places: np.ndarray


def activation(predict: Predict, maps: np.ndarray, kind: str) -> Heatmap:
    """Return the evidence for the label that a model predicts from maps `(h, w, d)` float32, 1 or its value."""
    height, width, d = maps.shape
    mean = maps.mean(axis=(0, 1), dtype=np.float64)
    near = mean + _STEP * (maps.reshape(-1, d) - mean)
    scores = _linear(predict(np.vstack([mean, near]).astype(np.float32)), kind)
    label = int(scores[0].argmax()) if kind in {"multiclass", "multilabel"} else 0
    places = scores[0, label] + (scores[1:, label] - scores[0, label]) / _STEP
    return Heatmap(label, places.reshape(height, width))


def has_maps(extraction: Extraction) -> bool:
    """Return whether the features are the mean of one feature map."""
    return extraction.pooling == "avg" and len(extraction.layers) == 1


def maps_of(
    extraction: Extraction, images: Iterable[tuple[str, str]], reader: Reader, models: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each image's id and its feature map `(h, w, d)` float32.

    `images` are pairs of id and source; `models` is the machine's folder of exported models.
    """
    engine = extraction.engine(
        lambda: extraction.network.build(extraction.px, "head", extraction.layers),  # `head`: the map as it is
        batch=extraction.backbone.batch,
        px=extraction.px,
        precision=extraction.precision,
        exported=models / f"{extraction.fingerprint}-maps",
    )
    asked = (Image(image_id, source, (Row(image_id.encode(), "identity", "{}"),)) for image_id, source in images)
    for keys, maps in extraction.run(engine, asked, reader):
        yield from zip([key.decode() for key in keys], maps, strict=True)


def _linear(p: np.ndarray, kind: str) -> np.ndarray:
    """Return `(n, k)` of what is linear in the features of a linear head: logits, or values themselves."""
    if kind == "regression":
        return p.astype(np.float64)
    p = np.clip(p.astype(np.float64), 1e-12, 1 - 1e-12)
    if kind == "multiclass":  # the softmax's denominator falls out of the difference to the mean
        return np.asarray(np.log(p) - np.log(p).mean(axis=1, keepdims=True))
    return np.asarray(np.log(p) - np.log1p(-p))


def placed(places: np.ndarray, shape: tuple[int, int], how: Resize) -> np.ndarray:
    """Return the map over the whole image `(height, width)`, undoing how it became square; 0 where a crop cut."""
    import cv2

    height, width = shape
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
