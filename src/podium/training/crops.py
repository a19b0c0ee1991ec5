"""What a network of masks learns from, and how it is asked: crops of pictures with their masks, tiles of large ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from podium.settings import Settings
from podium.training.augmentation import Augmentation

_MARGIN = 0.25  # of a crop's side, on each side: what a turned or shifted crop shows is picture, and no mirror of it


class MaskTraining(Settings):
    """Beside the other settings of a finetune, those of networks that end in masks."""

    crop: Annotated[int | None, Field(ge=16)] = None
    """Pixels a side of the squares that are cut out to train on; null: whole pictures."""
    crops: Annotated[int, Field(ge=1)] = 1
    """Crops of each picture in an epoch."""
    positive: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of crops around a pixel of some class; the others lie anywhere."""
    loss: Literal["cross_entropy", "dice", "both", "focal", "tversky", "both_tversky", "lovasz", "both_lovasz"] = "both"
    """What is minimised; `both` is cross-entropy and Dice, `both_...` cross-entropy and the other."""
    clahe: Annotated[float | None, Field(gt=0)] = None
    """Limit of a local equalisation of contrast, of training and predicted pictures; null: none."""
    tile: Annotated[int | None, Field(ge=32)] = None
    """Pixels a side of the squares that a picture is predicted in; null: the whole picture at once."""
    overlap: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    """The share of a tile's side that its neighbour covers too, blended."""


@dataclass(frozen=True)
class Crops:
    """Draws augmented crops: a function of seed and place, so that a batch can be made again."""

    pixels: np.ndarray  # (n, h, w, 3) uint8
    masks: np.ndarray  # (n, h, w, c) uint8, 0 or 1
    settings: MaskTraining
    augment: Augmentation

    def draw(self, places: np.ndarray, seed: int) -> tuple[Any, Any]:
        """Return `(b, px, px, 3)` float32 in [0, 255] and its masks `(b, px, px, c)` float32, as tensors."""
        rng = np.random.default_rng([seed, 0])
        height, width = self.pixels.shape[1:3]
        crop = self.settings.crop
        sides = (height, width) if crop is None else (crop, crop)
        margin = round(_MARGIN * sides[0]) if crop is not None and self.augment.is_affine else 0
        corners = [self._corner(place, sides, rng) for place in places]
        images, masks = (
            np.stack([_cut(part[p], at, sides, margin) for p, at in zip(places, corners, strict=True)])
            for part in (self.pixels, self.masks)
        )
        images, masks = self.augment.apply_with_masks(images, masks, seed)
        inside = (slice(None), slice(margin, margin + sides[0]), slice(margin, margin + sides[1]))
        return images[inside], masks[inside]

    def _corner(self, place: int, sides: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """Return the top and left of a crop that lies within the picture, as far as that is larger."""
        room = [max(whole - side, 0) for whole, side in zip(self.pixels.shape[1:3], sides, strict=True)]
        top, left = (int(rng.integers(0, most + 1)) for most in room)
        wants_positive, label = rng.random() < self.settings.positive, rng.integers(self.masks.shape[-1])
        shift = [int(rng.integers(0, side)) for side in sides]
        which = rng.random()
        if wants_positive and any(room):
            rows, columns = np.nonzero(self.masks[place][..., label])
            if len(rows):
                one = int(which * len(rows))
                top, left = (
                    int(np.clip(at - by, 0, most))
                    for at, by, most in zip((rows[one], columns[one]), shift, room, strict=True)
                )
        return top, left


def _cut(image: np.ndarray, corner: tuple[int, int], sides: tuple[int, int], margin: int) -> np.ndarray:
    """Return a part of `(h, w, c)`, mirrored beyond its edges."""
    rows, columns = (
        _mirrored(np.arange(start - margin, start + side + margin), whole)
        for start, side, whole in zip(corner, sides, image.shape, strict=False)
    )
    return np.asarray(image[rows][:, columns])


def _mirrored(places: np.ndarray, n: int) -> np.ndarray:
    period = max(2 * n - 2, 1)
    places = np.abs(places) % period
    return np.minimum(places, period - places) if n > 1 else np.zeros_like(places)


def padded(image: np.ndarray, multiple: int, least: int = 0) -> np.ndarray:
    """Return `(h, w, c)` mirrored at its right and bottom, so that both sides are multiples, and `least` or more."""
    sides = [max(-(-side // multiple) * multiple, least) for side in image.shape[:2]]
    return _cut(image, (0, 0), (sides[0], sides[1]), 0)


def tiled(
    image: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], settings: MaskTraining, multiple: int
) -> np.ndarray:
    """Return `predict` of `(h, w, 3)` as `(h, w, c)` float32, by tiles where the settings say so.

    `predict` takes `(h, w, 3)` with sides that are multiples of `multiple`. Where tiles overlap, each counts the less
    the nearer its own edge is.
    """
    height, width = image.shape[:2]
    if settings.tile is None or settings.tile >= max(height, width):
        return predict(padded(image, multiple))[:height, :width]
    tile = -(-settings.tile // multiple) * multiple
    whole = padded(image, 1, tile)
    border = max(round(settings.overlap * tile), 1)
    ramp = np.minimum(np.arange(tile) + 1, border) / border
    weight = (np.minimum(ramp, ramp[::-1])[:, None] * np.minimum(ramp, ramp[::-1]))[..., None].astype(np.float32)
    total, norm = np.zeros((0, 0, 0), np.float32), np.zeros((*whole.shape[:2], 1), np.float32)
    for top in _starts(whole.shape[0], tile, tile - border):
        for left in _starts(whole.shape[1], tile, tile - border):
            found = predict(whole[top : top + tile, left : left + tile])
            total = total if total.size else np.zeros((*whole.shape[:2], found.shape[2]), np.float32)
            total[top : top + tile, left : left + tile] += weight * found
            norm[top : top + tile, left : left + tile] += weight
    return np.asarray((total / norm)[:height, :width])


def _starts(whole: int, tile: int, step: int) -> list[int]:
    return [*range(0, whole - tile, step), whole - tile]


def equalised(image: np.ndarray, limit: float) -> np.ndarray:
    """Return `(h, w, 3)` uint8 RGB whose lightness is equalised locally (Zuiderveld 1994), in 8 by 8 parts."""
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=limit, tileGridSize=(8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
