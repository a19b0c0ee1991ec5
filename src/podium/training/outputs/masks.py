"""Masks: a sigmoid for each class and pixel, or a softmax of exclusive classes and the background."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium import paths
from podium.contracts.masks import SURE, Masks, resized
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain
from podium.errors import PodiumError
from podium.features.extraction import named
from podium.imaging.views import undo
from podium.storage.files import atomic
from podium.tasks.masks import Truth
from podium.training import outputs
from podium.training.crops import Crops, equalised, tiled
from podium.training.decoders import DECODERS
from podium.training.encoder import Encoder
from podium.training.mask_losses import loss
from podium.training.model import Model
from podium.training.outputs import Lessons
from podium.training.outputs import Output as Base
from podium.training.trained import TrainedNetwork

_RARE = 0.1  # probability of each class before training: most pixels are of none


@dataclass(frozen=True)
class Maps(Fitted):
    """What is kept of an image, flat, as it is."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, d)`."""
        return x


@dataclass(frozen=True)
class Problem(outputs.Problem):
    """Masks. What is kept of an image is the probability of each class and pixel, in 255ths."""

    has_features: ClassVar[bool] = False
    at_once: ClassVar[int] = 8

    @property
    def name(self) -> str:
        """See Problem."""
        return f"{super().name} {len(self.data.labels)} {self.task.exclusive}"

    @property
    def repeats(self) -> int:
        """See Problem."""
        return int(self.encoder.spec.masks.crops)

    def check(self) -> None:
        """See Problem."""
        spec, stride = self.encoder.spec, self.encoder.stride
        if spec.resize.mode != "squash":
            raise PodiumError(f"{self.where}.resize.mode: must be squash, so that masks fit their pictures")
        if spec.patience is not None:
            raise PodiumError(f"{self.where}.patience: must be null; networks of masks are trained to the end")
        if "rand_augment" in spec.augment.names:
            raise PodiumError(
                f"{self.where}.augment: rand_augment moves pictures without their masks; name rotation, shift, ..."
            )
        if self.encoder.is_pretrained:
            self.encoder.strides  # noqa: B018  # raises PodiumError where a decoder cannot take its maps
        sides = (spec.masks.crop,) if spec.masks.crop else self.encoder.shape
        if any(side % stride for side in sides):
            key = "masks.crop" if spec.masks.crop else "resize"
            raise PodiumError(f"{self.where}.{key}: the sides must be multiples of {stride} for this network")

    def lessons(self, row_ids: np.ndarray) -> Lessons:
        """See Problem; `target` only stands for the masks, so that a corrected one trains anew."""
        truth: Truth = self.task.truth(self.data, row_ids)
        target = np.stack([_digest(truth, row) for row in range(len(truth))])
        n = len(truth)
        return Lessons(target, np.ones(n), np.zeros(n, np.int64), np.zeros(n))

    def drawing(self, images: pd.DataFrame, pixels: np.ndarray) -> Callable[[np.ndarray, int], tuple[Any, Any]]:
        """See Problem."""
        return Crops(pixels, self._masks(images), self.encoder.spec.masks, self.encoder.spec.augment).draw

    def _masks(self, images: pd.DataFrame) -> np.ndarray:
        """Return `(n, h, w, c)` uint8 in the order of `images`, mapped from a file; all 0 where none are known."""
        known = images[images["split"] != "test"]
        truth: Truth = self.task.truth(self.data, known["row_id"])
        digests = [_digest(truth, row).tobytes().hex() for row in range(len(truth))]
        shape = (len(images), *self.encoder.shape, len(self.data.labels))
        facts = [known["place"].tolist(), digests, list(shape)]
        path = paths.cache() / "decoded" / "masks" / f"{named(facts)}.npy"
        if not path.exists():
            with atomic(path) as temporary:
                made = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                for row, place in enumerate(known["place"]):
                    whole = truth.masks(row).astype(np.uint8) * SURE
                    made[place] = np.moveaxis(resized(whole, self.encoder.shape) > SURE // 2, 0, -1)
                made.flush()
        mapped: np.ndarray = np.load(path, mmap_mode="r")
        return mapped

    def decoded(self, image: np.ndarray) -> np.ndarray:
        """See Problem."""
        limit = self.encoder.spec.masks.clahe
        return image if limit is None else equalised(image, limit)

    def build(self, seed: int) -> Model:
        """See Problem."""
        n = len(self.data.labels)
        return Model(self.encoder, lambda: Output(n, self.task.exclusive, self.encoder, seed), seed)

    def kept(self, model: Model, images: Sequence[np.ndarray]) -> np.ndarray:
        """See Problem; `(n, c * h * w)` float32 of whole numbers from 0 to 255."""
        settings = self.encoder.spec.masks

        def probabilities(image: np.ndarray) -> np.ndarray:
            return _activated(model.logits(image[None])[0], exclusive=self.task.exclusive)

        found = [tiled(image, probabilities, settings, self.encoder.stride) for image in images]
        return np.stack([np.rint(np.moveaxis(p, -1, 0) * SURE).reshape(-1) for p in found]).astype(np.float32)

    def trained(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> TrainedNetwork:  # noqa: ARG002
        """See Problem; `predict` takes what is kept of images."""
        return TrainedNetwork(outputs.weights(arrays), Chain(()), Maps())

    def predictions(self, asked: Sequence[Any], networks: Sequence[Any]) -> Masks:
        """See Problem: the mean over a row's views, turned back, and over the networks."""
        plan = pd.concat([part.assign(model=n) for n, (_, part) in enumerate(asked)], ignore_index=True)
        models = [(model, network) for (model, _), network in zip(asked, networks, strict=True)]
        shapes = self.data.images.set_index("row_id")[["height", "width"]]
        groups = list(plan.groupby("row_id", sort=True))
        maps = np.empty(len(groups), object)
        maps[:] = [partial(self._mean, models, part) for _, part in groups]
        row_id = np.array([name for name, _ in groups], object)
        split = np.array([part["split"].iloc[0] for _, part in groups], object)
        shape = shapes.loc[row_id].to_numpy(np.int64)
        return Masks(row_id, split, maps, shape, tuple(self.data.labels))

    def _mean(self, models: Sequence[tuple[Any, Any]], plan: pd.DataFrame) -> np.ndarray:
        """Return `(c, h, w)` uint8 of these lines of the plan, of one row."""
        n, (height, width) = len(self.data.labels), self.encoder.shape
        total = np.zeros((n, height, width), np.float32)
        columns = (plan[name].tolist() for name in ("model", "key", "operation", "parameters"))
        for which, key, operation, parameters in zip(*columns, strict=True):
            model, network = models[which]
            [row] = model.rows.get([key])
            flat = network.predict(row[None].astype(np.float32))
            total += undo(flat.reshape(n, -1), (height, width), operation, parameters)
        return np.asarray(np.rint(total / len(plan)).astype(np.uint8))


class Output(Base):
    """Logits `(n, h, w, k)`: of each class, or, of exclusive ones, of the background and each class."""

    takes: ClassVar[str] = "maps"

    def __init__(self, n_labels: int, exclusive: bool, encoder: Encoder, seed: int) -> None:  # noqa: FBT001
        import keras

        spec = encoder.spec
        self._exclusive, self._spec = exclusive, spec
        self._strides = [1, *encoder.strides.values()] if encoder.is_pretrained else [1]
        self._trained: list[Any] = []
        odds = _RARE / (1 - (n_labels if exclusive else 1) * min(_RARE, 0.5 / n_labels))
        bias = [*([0.0] if exclusive else []), *[float(np.log(odds))] * n_labels]
        self._dropout = keras.layers.SpatialDropout2D(spec.dropout, seed=seed, dtype="float32")
        self._head = keras.layers.Conv2D(
            len(bias), 1, dtype="float32", name="head", bias_initializer=keras.initializers.Constant(bias)
        )

    def connect(self, encoded: Any) -> Any:
        """See Output."""
        if self._spec.decoder is not None:
            encoded, self._trained = DECODERS[self._spec.decoder](list(encoded), self._strides)
        return self._head(self._dropout(encoded))

    def loss(self) -> Any:
        """See Output."""
        return loss(self._spec.masks.loss, exclusive=self._exclusive)

    def metric(self) -> Any:
        """See Output; Dice's coefficient of a batch at one half."""
        import keras

        return keras.metrics.MeanMetricWrapper(partial(_dice, exclusive=self._exclusive), "dice")

    def layers(self) -> list[Any]:
        """See Output."""
        return [*self._trained, self._head]


def _digest(truth: Truth, row: int) -> np.ndarray:
    """Return `(8,)` float32 whole numbers that stand for a row's masks."""
    text = "\n".join(map(str, [truth.shape[row].tolist(), *truth.runs[row]]))
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], "<u2").astype(np.float32)


def _activated(logits: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Return the classes' probabilities `(h, w, c)`."""
    logits = logits.astype(np.float32)
    if not exclusive:
        return np.asarray(1 / (1 + np.exp(-logits)))
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray((e / e.sum(axis=-1, keepdims=True))[..., 1:])


def _dice(target: Any, logits: Any, *, exclusive: bool) -> Any:
    from keras import ops

    if exclusive:
        top = ops.argmax(logits, axis=-1)
        found = ops.cast(top[..., None] == ops.arange(1, logits.shape[-1], dtype=top.dtype), "float32")
    else:
        found = ops.cast(logits > 0, "float32")
    target = ops.cast(target > 0.5, "float32")  # noqa: PLR2004  # interpolated pixels are of one side
    both, either = ops.sum(found * target, axis=(1, 2, 3)), ops.sum(found + target, axis=(1, 2, 3))
    return ops.where(either > 0, 2 * both / ops.maximum(either, 1.0), 1.0)
