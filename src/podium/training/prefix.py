"""The layers that no phase has trained so far, run by a fast engine; the rest is a network of its own.

Training needs their outputs alone: no gradients, no moments, and an engine computes them several times as fast as what
trains. Both parts are made of the layers of the whole network, so that nothing is copied back when a phase ends.
"""

import hashlib
import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from podium import plugins
from podium.backbones.network import PretrainedNetwork
from podium.engines import Engine
from podium.errors import PodiumError
from podium.features.extraction import named
from podium.training.augmentation import Augmentation
from podium.training.encoder import Encoder
from podium.training.phases import phases

ROOM = 2 << 30  # bytes of memory that maps may take: those of 24,000 images before EfficientNet-Lite0's sixth block


@dataclass(frozen=True)
class FrozenEngine:
    """Who runs the layers that stay as they are, and in which precision."""

    name: str
    engine: type[Engine]
    precision: str

    @property
    def description(self) -> str:
        """Return what changes the numbers, for the fingerprint and the features file."""
        return f"{self.name}: {self.engine.version()}, {self.precision}"


def frozen_engine(encoder: Encoder, where: str = "") -> FrozenEngine | None:
    """Return who runs the frozen layers, or None where Keras runs the whole network: on a GPU, or all layers learn.

    Raises PodiumError naming the param below `where` that asks for what this machine cannot do.
    """
    spec, network = encoder.spec, encoder.network
    if (
        encoder.gives == "maps"
        or not isinstance(network, PretrainedNetwork)
        or not any(phase.depth for phase in phases(encoder))
    ):
        return None
    name: str = spec.frozen_engine
    if name == "auto":
        suitable = (one for one in network.engines if plugins.find("engines", one, where).suits())
        name = next(suitable, "keras")
    if name == "keras":
        return None
    engine: type[Engine] = plugins.find("engines", name, f"{where}.frozen_engine")
    precision = engine.precisions()[0] if spec.precision == "auto" else spec.precision
    if name in network.engines and engine.suits() and precision in engine.precisions():
        return FrozenEngine(name, engine, precision)
    if spec.frozen_engine == "auto":
        return None
    raise PodiumError(
        f"{where}.frozen_engine: {name} cannot run {spec.network} in {precision} here; choose auto or keras"
    )


def fastest(encoder: Encoder) -> FrozenEngine | None:
    """Return who predicts with a whole trained network; None: Keras, which is the choice on a GPU."""
    network = encoder.network
    if not isinstance(network, PretrainedNetwork):
        return None
    name = next((one for one in network.engines if plugins.find("engines", one, "").suits()), "keras")
    if name == "keras":
        return None
    engine: type[Engine] = plugins.find("engines", name, "")
    return FrozenEngine(name, engine, engine.precisions()[0])


class Prefix:
    """From pixels to what the rest of the network takes: maps and pooled vectors, flat and side by side."""

    def __init__(self, model: Any, engine: FrozenEngine, batch: int, folder: Path) -> None:
        """Load `model`, `(n, px, px, 3)` to `(n, d)`; its exported copy is kept in `folder`, by its weights' digest."""
        self.batch, self.width, px = batch, model.output.shape[1], model.input.shape[1]
        facts = [engine.description, batch, px, self.width, _digest(model)]
        self._engine = engine.engine(
            lambda: model, batch=batch, px=px, precision=engine.precision, exported=folder / named(facts)
        )

    def run(self, images: Any) -> np.ndarray:
        """Return `(n, d)` float32 of images `(n, px, px, 3)` in [0, 255], an array or a tensor."""
        images, parts = np.asarray(images, np.float32), []
        for start in range(0, len(images), self.batch):
            some = images[start : start + self.batch]
            rest = self.batch - len(some)
            padded = np.concatenate([some, np.zeros((rest, *some.shape[1:]), np.float32)]) if rest else some
            parts.append(self._engine.run(padded)[: len(some)])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]


class Maps:
    """What a prefix gives for every view that exact augmentation can draw of the training images, made once.

    They are the numbers that it would give for each batch: an engine's are independent of the rest of the batch.
    """

    def __init__(self, prefix: Prefix, augment: Augmentation, pixels: np.ndarray, places: np.ndarray) -> None:
        """Run the prefix over all views of the images at these places among `pixels`."""
        self._augment, self._line = augment, {place: n for n, place in enumerate(places)}
        draws = list(product((False, True), repeat=len(augment.operations)))
        self._maps = np.zeros((len(draws), len(places), prefix.width), np.float32)
        for maps, drawn in zip(self._maps, draws, strict=True):
            for start in range(0, len(places), prefix.batch):
                some = slice(start, start + prefix.batch)
                maps[some] = prefix.run(augment.seen(pixels[places[some]], drawn))

    def of(self, places: np.ndarray, seed: int) -> np.ndarray:
        """Return `(n, d)` float32 of images at these places, as `Augmentation.apply` changes them with this seed."""
        bits = self._augment.drawn(len(places), seed)
        draw = bits @ (1 << np.arange(bits.shape[1])[::-1])
        return self._maps[draw, [self._line[place] for place in places]]


def pays(prefix: Prefix, augment: Augmentation, n_images: int, n_epochs: int) -> bool:
    """Return whether to make maps once: fewer of them than batch by batch, and little enough to keep in memory."""
    n_views = 2 ** len(augment.operations)
    return augment.is_exact and n_views < n_epochs and n_views * n_images * prefix.width * 4 <= ROOM


def split(encoder: Encoder, body: Any, depth: int) -> tuple[Any, Any, Any]:
    """Cut `encoder.build()`'s model before the layers of `depth`, which must not be 0.

    Returns:
        A Keras model from pixels to `(n, d)`; the symbolic input `(n, d)` of the rest; and the features, its output,
        or the maps that an encoder gives.
    """
    import keras
    from keras import ops

    names, pooled = encoder.depths, encoder.pooled
    [trunk] = (layer for layer in body.layers if isinstance(layer, keras.Model))
    maps = dict(zip(sorted(names), trunk.outputs, strict=True))  # Keras flattens a dict by its sorted keys
    frozen = [name for name in pooled if names.index(name) < depth]
    cuts = _cuts(trunk, [maps[name] for name in names[:depth]])

    pixels = keras.Input(body.input.shape[1:])
    below = keras.Model(trunk.inputs, [*cuts, *(maps[name] for name in frozen)])
    outputs = below(encoder.preprocess(pixels))
    parts = [ops.reshape(ops.cast(cut, "float32"), (-1, math.prod(cut.shape[1:]))) for cut in outputs[: len(cuts)]]
    whole = [encoder.pool(map_) for map_ in outputs[len(cuts) :]]
    parts += [ops.reshape(part, (-1, math.prod(part.shape[1:]))) for part in whole]
    prefix = keras.Model(pixels, ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0])

    flat = keras.Input((prefix.output.shape[1],))
    ends = np.cumsum([part.shape[1] for part in parts])
    pieces = [flat[:, end - part.shape[1] : end] for end, part in zip(ends, parts, strict=True)]
    shaped = [ops.reshape(piece, (-1, *part.shape[1:])) for piece, part in zip(pieces[len(cuts) :], whole, strict=True)]
    vectors = dict(zip(frozen, shaped, strict=True))
    if cuts:
        above = keras.Model(cuts, {name: maps[name] for name in names[depth:]})
        taken = [ops.reshape(piece, (-1, *cut.shape[1:])) for piece, cut in zip(pieces, cuts, strict=False)]
        found = above(taken)
        vectors |= {name: encoder.pool(found[name]) for name in pooled if name not in frozen}
    if encoder.has_pyramid:
        return prefix, flat, [vectors[name] for name in pooled]
    features = ops.concatenate([vectors[name] for name in pooled], axis=-1) if len(pooled) > 1 else vectors[pooled[0]]
    return prefix, flat, features


def _cuts(trunk: Any, ends: list[Any]) -> list[Any]:
    """Return the symbolic tensors, of those that `ends` need and themselves, that the rest of the trunk takes."""
    import keras

    below = {id(node) for node in _calls(keras.Model(trunk.inputs, ends))}
    cuts: dict[int, Any] = {}
    for call in _calls(trunk):
        if id(call) not in below:
            parents = zip(call.input_tensors, call.parent_nodes, strict=True)
            cuts |= {id(tensor): tensor for tensor, parent in parents if id(parent) in below}
    return list(cuts.values())


def _calls(model: Any) -> list[Any]:
    """Return the calls of layers and operations that a functional model is made of, from its inputs on."""
    by_depth = model._nodes_by_depth  # noqa: SLF001  # Keras has no public view of a model's graph
    return [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def _digest(model: Any) -> str:
    hasher = hashlib.sha256()
    for weights in model.get_weights():
        hasher.update(str(weights.shape).encode())
        hasher.update(np.ascontiguousarray(weights).tobytes())
    return hasher.hexdigest()
