"""Boxes: maps of the trunk joined from coarse to fine; at each cell the logits of centres, and the way to the sides."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium.backbones import NETWORKS
from podium.backbones.network import PretrainedNetwork
from podium.contracts.box_blends import fuse
from podium.contracts.boxes import NUMBERS, Boxes
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain
from podium.errors import PodiumError
from podium.imaging import box_views, regions
from podium.tasks.boxes import frames
from podium.training import box_augmentation, detection, outputs
from podium.training.detection import NONE, PER_BOX, Detection
from podium.training.encoder import Encoder
from podium.training.model import Model
from podium.training.outputs import Lessons
from podium.training.outputs import Output as Base
from podium.training.trained import TrainedNetwork

_FIRST = 0.01  # probability of an object at a cell before training (Lin et al. 2017)
_VIEWS_IOU = 0.55  # at which the boxes of several views and networks are one object
_TILES_IOU = 0.45  # at which boxes of two tiles are
_EDGE_PX = 3.0  # from the edge of a tile inside of a photograph: what touches it is cut off, and whole in the next tile


@dataclass(frozen=True)
class Candidates(Fitted):
    """Flat candidates `(n, c * 6)` as packed boxes."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, c, 6)`."""
        return x.reshape(len(x), -1, NUMBERS)


@dataclass(frozen=True)
class Problem(outputs.Problem):
    """Boxes. What is kept of an image are its candidates, in the network's pixels: no features for heads."""

    has_features: ClassVar[bool] = False
    is_exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder", replace(self.encoder, has_pyramid=True))

    @property
    def settings(self) -> Detection:
        """Return the settings of the network's end."""
        return self.encoder.spec.boxes or Detection.model_validate({})

    @property
    def name(self) -> str:
        """See Problem."""
        return f"{super().name} {len(self.data.labels)}"

    def check(self) -> None:
        """See Problem."""
        spec = self.encoder.spec
        if not isinstance(self.encoder.network, PretrainedNetwork):
            raise PodiumError(f"{self.where}.network: boxes take a pretrained network's maps; {spec.network} has none")
        if not spec.layers:
            choices = ", ".join(self.encoder.network.layers)
            raise PodiumError(f"{self.where}.layers: name the maps to find boxes on, the finest first, among {choices}")
        sides = _sides(spec.network, self.encoder.px, spec.layers)
        if any(coarse != -(-fine // 2) for fine, coarse in pairwise(sides)):
            shown = ", ".join(f"{name} {side}" for name, side in zip(spec.layers, sides, strict=True))
            raise PodiumError(
                f"{self.where}.layers: each map must be half as fine as the one before; the sides: {shown}"
            )
        if spec.patience is not None:
            raise PodiumError(f"{self.where}.patience: leave it out: networks that find boxes are trained to the end")
        if name := box_augmentation.refused(spec.augment):
            raise PodiumError(f"{self.where}.augment: {name} says nothing of boxes; leave it out")
        train = self.data.images[self.data.images["split"] != "test"]
        if (twice := train["row_id"].duplicated()).any():
            raise PodiumError(
                f"{self.where}: row_id {train['row_id'][twice].iloc[0]!r}: rows to train on need one image"
            )

    def lessons(self, row_ids: np.ndarray) -> Lessons:
        """See Problem; each image's boxes in the network's pixels, filled up with `NONE`."""
        truth = self.task.truth(self.data, row_ids)
        geometry = self._geometry(self.data.images.drop_duplicates("row_id").set_index("row_id").loc[row_ids])
        table = np.zeros((len(truth), max([len(one) for one in truth], default=0), PER_BOX), np.float32)
        table[..., 4] = NONE
        for own, one, scale, offset in zip(table, truth, geometry.scale, geometry.offset, strict=True):
            own[: len(one), :4] = one.xyxy * scale + offset
            own[: len(one), 4] = one.label
        counts = pd.Series([len(one) for one in truth])
        inner = pd.qcut(counts, 3, labels=False, duplicates="drop").to_numpy()
        flat = table.reshape(len(table), -1)
        return Lessons(flat, np.ones(len(table)), np.zeros(len(table), np.int64), inner)

    def build(self, seed: int) -> Model:
        """See Problem."""
        cells(self.encoder)  # builds a network to see its maps, before the seed is set
        return Model(self.encoder, lambda: Output(len(self.data.labels), self.encoder.px, self.settings), seed)

    def drawing(self, images: pd.DataFrame, pixels: np.ndarray) -> Callable[[np.ndarray, int], tuple[Any, Any]]:
        """See Problem; a batch's boxes become what each cell learns."""
        has_boxes = set(self.data.rows.loc[self.data.rows["y"].notna(), "row_id"])
        known = images[(images["split"] != "test") & images["row_id"].isin(has_boxes)]
        target = self.lessons(known["row_id"].to_numpy(object)).target
        boxes = np.full((len(pixels), *target.shape[1:]), NONE, np.float32)
        boxes[known["place"]] = target
        boxes = boxes.reshape(len(pixels), -1, PER_BOX)
        stride, shape = cells(self.encoder)

        def draw(places: np.ndarray, seed: int) -> tuple[Any, Any]:
            augment = self.encoder.spec.augment
            done, moved = box_augmentation.apply(augment, self.settings, pixels[places], boxes[places], seed)
            return done, detection.dense(moved, shape, stride, len(self.data.labels))

        return draw

    def kept(self, model: Model, images: Any) -> np.ndarray:
        """See Problem; `(n, candidates * 6)`, found by the fast engine where there is one."""
        stride, shape = cells(self.encoder)
        found = detection.decode(model.engine_outputs(images), shape, stride, self.settings)
        return found.reshape(len(images), -1)

    def trained(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> TrainedNetwork:  # noqa: ARG002
        """See Problem; `predict` takes what is kept of images."""
        return TrainedNetwork(outputs.weights(arrays), Chain(()), Candidates())

    def predictions(self, asked: Sequence[Any], networks: Sequence[Any]) -> Boxes:
        """See Problem: views and networks are fused image by image, and tiles then row by row."""
        tables, packed = [], []
        for n, ((model, plan), network) in enumerate(zip(asked, networks, strict=True)):
            if len(plan):
                tables.append(plan.assign(network=n))
                packed.append(network.predict(np.stack([*model.rows.get(plan["key"])])))
        plan, boxes = pd.concat(tables, ignore_index=True), np.concatenate(packed)
        boxes = self._on_images(plan, boxes)
        images, by_image = _fused(plan, boxes)
        return self._rows(images, by_image)

    def _on_images(self, plan: pd.DataFrame, boxes: np.ndarray) -> np.ndarray:
        """Return packed boxes in the pixels of their images, of what the network's views of them show."""
        boxes, shape = boxes.astype(np.float64), self.encoder.shape
        for (operation, parameters), part in plan.groupby(["operation", "parameters"]):
            at = part.index.to_numpy()
            view = str(operation), json.loads(str(parameters))
            boxes[at, :, :4] = box_views.undone(boxes[at, :, :4], *view, shape)
        geometry = self._geometry(plan)
        xyxy = (boxes[..., :4] - geometry.offset[:, None]) / geometry.scale[:, None]
        boxes[..., :4] = xyxy.clip(0, geometry.limits[:, None])
        is_flat = (boxes[..., 0] >= boxes[..., 2]) | (boxes[..., 1] >= boxes[..., 3])  # it lay in the padding
        boxes[is_flat] = (0, 0, 0, 0, 0, NONE)
        return boxes

    def _geometry(self, images: pd.DataFrame) -> "_Geometry":
        mode, target = self.encoder.spec.resize.mode, self.encoder.shape
        sizes = self.data.images.set_index("image_id")[["width", "height"]].loc[images["image_id"]].to_numpy()
        ways = [box_views.letterbox((int(height), int(width)), target, mode) for width, height in sizes]
        scale, offset = (np.array([way[k] for way in ways]).reshape(-1, 4) for k in (0, 1))
        return _Geometry(scale, offset, np.tile(sizes, 2).astype(np.float64))

    def _rows(self, images: pd.DataFrame, boxes: np.ndarray) -> Boxes:
        """Return the boxes of rows, of those of their images, which are tiles where there are several."""
        by_row, parts, ids, splits = frames(self.data.images), [], [], []
        sources = self.data.images.set_index("image_id")["source"]
        for name, own in images.groupby("row_id", sort=True):
            row_id = str(name)
            frame, found = by_row[row_id], []
            for at, source in zip(own.index, sources.loc[own["image_id"]], strict=True):
                part = regions.parse(source)
                tile = boxes[at][boxes[at][:, 5] != NONE]
                found.append(_moved(tile, part, frame) if part.is_part else tile)
            joined = np.concatenate(found)
            if len(found) > 1:
                joined = fuse(joined[None, None].astype(np.float32), np.ones(1), "nms", _TILES_IOU)[0]
                joined = joined[joined[:, 5] != NONE]
            ids.append(row_id)
            splits.append(own["split"].iloc[0])
            parts.append((joined[:, :4], joined[:, 4], joined[:, 5]))
        return Boxes.of_parts(ids, np.array(splits, object), parts, self.data.labels)


@dataclass(frozen=True)
class _Geometry:
    """The way from `n` images to the network's: each `(n, 4)`, of x, y, x, y; `limits` are the images' sides."""

    scale: np.ndarray
    offset: np.ndarray
    limits: np.ndarray


def _fused(plan: pd.DataFrame, boxes: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a line for each image, and its boxes: those of all its lines, one model each, fused."""
    first = plan.drop_duplicates("image_id").sort_values("image_id", ignore_index=True)
    image = pd.Index(first["image_id"]).get_indexer(plan["image_id"])
    order = np.lexsort((plan["view"].astype(str), plan["network"], image))
    counts = np.bincount(image)
    starts = np.cumsum(counts) - counts
    done = np.zeros((len(first), 0, NUMBERS))
    for m in np.unique(counts):  # train rows have fewer models than test rows
        some = np.flatnonzero(counts == m)
        models = boxes[order[starts[some] + np.arange(m)[:, None]]]
        found = fuse(models, np.ones(m), "wbf", _VIEWS_IOU) if m > 1 else models[0]
        width = max(done.shape[1], found.shape[1])
        wider = np.zeros((len(first), width, NUMBERS))
        wider[..., 5] = NONE
        wider[:, : done.shape[1]] = done
        wider[some, : found.shape[1]] = found
        done = wider
    return first, done


def _moved(boxes: np.ndarray, part: regions.Region, frame: regions.Region) -> np.ndarray:
    """Return a tile's boxes in the pixels of the row, without those that its edge inside of the row cuts off."""
    inner = np.array(
        [
            part.x > frame.x,
            part.y > frame.y,
            part.x + part.width < frame.x + frame.width,
            part.y + part.height < frame.y + frame.height,
        ]
    )
    sides = np.array([0, 0, part.width, part.height])
    is_cut = (inner & (np.abs(boxes[:, :4] - sides) < _EDGE_PX)).any(axis=1)
    kept = boxes[~is_cut].copy()
    kept[:, :4] += np.array([part.x - frame.x, part.y - frame.y] * 2)
    return np.asarray(kept)


def cells(encoder: Encoder) -> tuple[int, tuple[int, int]]:
    """Return the stride of the finest map in pixels, and its rows and columns."""
    side = _sides(encoder.spec.network, encoder.px, encoder.pooled)[0]
    return round(encoder.px / side), (side, side)


@cache
def _sides(network: str, px: int, layers: tuple[str, ...]) -> tuple[int, ...]:
    """Return the side of each of a network's maps; the network is built to see, without its weights."""
    found = NETWORKS[network]
    assert isinstance(found, PretrainedNetwork)
    maps = dict(zip(sorted(layers), found.trunk(px, layers, pretrained=False).outputs, strict=True))
    return tuple(int(maps[name].shape[1]) for name in layers)


class Output(Base):
    """`(n, cells, classes + 4)`: logits of centres, and pixels to the left, upper, right and lower side."""

    takes: ClassVar[str] = "maps"

    def __init__(self, n_labels: int, px: int, settings: Detection) -> None:
        self._n_labels, self._px, self._settings = n_labels, px, settings
        self._layers: list[Any] = []

    def connect(self, encoded: Any) -> Any:
        """See Output; the maps come finest first."""
        from keras import ops

        if not self._layers:
            self._make(len(encoded))
        made = iter(self._layers)
        joined: Any = None
        for maps in reversed(encoded):
            lateral = next(made)(maps)
            if joined is not None:
                upper = next(made)(joined)
                lateral = ops.add(lateral, upper[:, : lateral.shape[1], : lateral.shape[2]])
            joined = next(made)(next(made)(next(made)(lateral)))
        for _ in range(self._settings.depth):
            joined = next(made)(next(made)(next(made)(joined)))
        logits, reach = next(made)(joined), ops.softplus(next(made)(joined))
        stride = round(self._px / joined.shape[1])
        both = ops.concatenate([logits, reach * (2.0 * stride)], axis=-1)
        self.grid = detection.centres((joined.shape[1], joined.shape[2]), stride)
        return ops.reshape(both, (-1, joined.shape[1] * joined.shape[2], self._n_labels + 4))

    def _make(self, n_maps: int) -> None:
        from keras import initializers, layers

        width = self._settings.width

        def refined() -> list[Any]:
            return [
                layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
            ]

        for n in range(n_maps):
            self._layers += [layers.Conv2D(width, 1)] + [layers.UpSampling2D(2)] * bool(n) + refined()
        for _ in range(self._settings.depth):
            self._layers += refined()
        prior = initializers.Constant(float(np.log(_FIRST / (1 - _FIRST))))
        small = initializers.RandomNormal(stddev=0.01)
        self._layers += [
            layers.Conv2D(self._n_labels, 1, bias_initializer=prior, kernel_initializer=small, dtype="float32"),
            layers.Conv2D(4, 1, kernel_initializer=small, dtype="float32"),
        ]

    def loss(self) -> Any:
        """See Output."""
        import keras

        n, weight, grid = self._n_labels, self._settings.box_loss, np.tile(self.grid, 2)

        class BoxesLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
            """Centres by CenterNet's focal loss, boxes by generalised IoU; each over the batch's objects."""

            def call(self, target: Any, found: Any) -> Any:
                ops = keras.ops
                heat, logits = target[..., :n], found[..., :n]
                is_centre = ops.cast(heat > 1 - 1e-4, "float32")  # the bell's own peak is 1
                p = ops.sigmoid(logits)
                hit = is_centre * (1 - p) ** 2 * ops.softplus(-logits)
                miss = (1 - is_centre) * (1 - heat) ** 4 * p**2 * ops.softplus(logits)
                objects = ops.maximum(ops.mean(ops.sum(is_centre, axis=(1, 2))), 1.0)
                centres = ops.sum(hit + miss, axis=(1, 2)) / objects
                boxes = grid + found[..., n:] * np.array([-1, -1, 1, 1], np.float32)
                own = target[..., n + 4]
                lost = ops.sum(own * (1 - giou(boxes, target[..., n : n + 4])), axis=1)
                return centres + weight * lost / ops.maximum(ops.mean(ops.sum(own, axis=1)), 1e-3)

        return BoxesLoss()

    def metric(self) -> Any:
        """See Output; the mean overlap of the boxes at the cells that learn of one."""
        import keras

        n, grid = self._n_labels, np.tile(self.grid, 2)

        def overlap(target: Any, found: Any) -> Any:
            ops = keras.ops
            boxes = grid + found[..., n:] * np.array([-1, -1, 1, 1], np.float32)
            own = ops.sum(target[..., n + 4])
            values = ops.sum(target[..., n + 4] * iou(boxes, target[..., n : n + 4])[0]) / ops.maximum(own, 1e-3)
            return values * ops.ones_like(target[:, 0, 0])

        return keras.metrics.MeanMetricWrapper(overlap, "iou")

    def layers(self) -> list[Any]:
        """See Output."""
        return self._layers


def iou(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the intersection over union of boxes `(..., 4)`, pair by pair, and the union."""
    from keras import ops

    low, high = ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:])
    both = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    either = ops.prod(a[..., 2:] - a[..., :2], axis=-1) + ops.prod(b[..., 2:] - b[..., :2], axis=-1) - both
    return both / ops.maximum(either, 1e-3), either


def giou(a: Any, b: Any) -> Any:
    """Return the generalised IoU of boxes `(..., 4)`, pair by pair (Rezatofighi et al. 2019)."""
    from keras import ops

    overlap, either = iou(a, b)
    around = ops.prod(ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2]), axis=-1)
    return overlap - (around - either) / ops.maximum(around, 1e-3)
