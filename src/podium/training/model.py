"""The Keras side of training: an encoder with its output, an optimiser, and all of their state as arrays."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from podium.engines.keras import NATIVE_BFLOAT16, gpu_capability, policy
from podium.training import Finetune
from podium.training.encoder import Encoder
from podium.training.optimizer import adamw, schedule
from podium.training.outputs import Output
from podium.training.phases import Phase, phases
from podium.training.prefix import FrozenEngine, Maps, Prefix, fastest, frozen_engine, pays, split


class Model:
    """One network: images to what its output says, and to the encoder's features."""

    def __init__(self, encoder: Encoder, output: Callable[[], Output], seed: int) -> None:
        """Build the network; `output` is called once Keras is seeded, for its layers draw their weights."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        _repeatable(keras, seed)
        _use_all_gpus(keras)
        self.encoder = encoder
        with policy(precision(encoder.spec)):
            self._body, self._layers = encoder.build()
            self.output = output()
            self._keras = keras.Model(self._body.input, self.output.connect(self._body.output))
        self._learner = self._keras  # or its upper part, where an engine runs the layers below
        self._frozen: FrozenEngine | None = None
        self._parts: dict[int, _Parts] = {}
        self._prefix: Prefix | None = None  # of the phase
        self._loss, self._metric = self.output.loss(), self.output.metric()

    @property
    def metric(self) -> str:
        """Return the name of what `step` returns beside the loss."""
        return str(self._metric.name)

    @property
    def body(self) -> Any:
        """Return the encoder as a Keras model: images `(n, px, px, 3)` float32 in [0, 255] to features."""
        return self._body

    def use_frozen_engine(self, folder: Path) -> None:
        """Let a fast engine run the layers that no phase trains, where there is one; `folder` keeps exported models."""
        self._frozen, self._exported = frozen_engine(self.encoder), folder

    def open(self, phase: Phase, steps: int) -> None:
        """Let the layers of a phase be trained, with a fresh optimiser. Keras takes note by compiling, and only so.

        `steps` are those of one epoch.
        """
        import keras

        spec, n_depths = self.encoder.spec, len(self.encoder.depths)
        frozen_norms = self.encoder.is_pretrained if spec.batch_norm is None else spec.batch_norm == "frozen"
        rates = {id(variable): 1.0 for layer in self.output.layers() for variable in layer.variables}
        for layer, depth in self._layers:
            is_norm = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = depth >= phase.depth and not (is_norm and frozen_norms)
            rates |= {id(variable): spec.layer_decay ** (n_depths - depth) for variable in layer.variables}
        parts = self._split(phase.untouched)
        self._learner, self._prefix = (parts.learner, parts.prefix) if parts else (self._keras, None)
        optimizer = adamw(
            [rates[id(variable)] for variable in self._learner.trainable_variables],
            spec.weight_decay,
            learning_rate=schedule(spec.schedule, phase.learning_rate, steps * len(phase.epochs), spec.warmup_fraction),
            use_ema=spec.ema is not None,
            ema_momentum=(spec.ema or 0.0) ** (1 / spec.accumulate),
            gradient_accumulation_steps=spec.accumulate if spec.accumulate > 1 else None,
            global_clipnorm=spec.clip_norm,
        )
        # XLA pays on accelerators; on a CPU it was 5 times slower than TensorFlow's own kernels. JAX has no other way.
        self._learner.compile(optimizer, self._loss, metrics=[self.output.metric()], jit_compile=_jit(keras))
        self._learner.optimizer.build(self._learner.trainable_variables)

    def prepare(self, images: Any) -> Any:
        """Return what `step` takes for augmented images `(n, px, px, 3)` float32, which is what `open` set up."""
        return self._prefix.run(images) if self._prefix else images

    def maps(self, pixels: np.ndarray, places: np.ndarray, n_epochs: int) -> Maps | None:
        """Return what `step` takes, made once for so many epochs of a phase; None where it is made batch by batch."""
        augment = self.encoder.spec.augment
        if self._prefix is None or not pays(self._prefix, augment, len(places), n_epochs):
            return None
        return Maps(self._prefix, augment, pixels, places)

    def step(self, prepared: Any, targets: Any, weights: Any) -> tuple[float, float]:
        """Learn from one batch, of images as `prepare` makes them; returns its loss and its metric."""
        loss, metric = self._learner.train_on_batch(prepared, targets, weights)
        return float(loss), float(metric)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the encoder's `(n, d)` float32 of images `(n, h, w, 3)` in [0, 255], all dropout off."""
        parts = self._split(self._untouched)
        return self._in_batches(parts.body, parts.prefix.run(images)) if parts else self._in_batches(self._body, images)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return what the network says of images `(n, h, w, 3)` in [0, 255], in batches of one shape."""
        parts = self._split(self._untouched)
        if parts:
            return self._in_batches(parts.learner, parts.prefix.run(images))
        return self._in_batches(self._keras, images)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return what a network of maps says of pictures `(n, h, w, 3)` in [0, 255], of any size, all at once.

        Called as it is: TensorFlow would compile it for each shape, and from the second on for unknown sides, which
        bilinear enlargement does not take.
        """
        return np.asarray(self._keras(images.astype(np.float32), training=False), np.float32)

    def engine_outputs(self, images: np.ndarray) -> np.ndarray:
        """Return what `outputs` does, by the engine that is fastest here: the network is exported as it is now."""
        engine = fastest(self.encoder)
        if engine is None:
            return self.outputs(images)
        with TemporaryDirectory(prefix="podium-") as folder:
            return Prefix(self._keras, engine, self.encoder.spec.batch, Path(folder)).run(images)

    @property
    def _untouched(self) -> int:
        return min(phase.untouched for phase in phases(self.encoder))

    def _split(self, depth: int) -> "_Parts | None":
        """Return the network in two, cut before the layers of this depth; None where Keras runs it whole."""
        if self._frozen is None or not depth:
            return None
        if depth not in self._parts:
            import keras

            with policy(precision(self.encoder.spec)):
                below, flat, features = split(self.encoder, self._body, depth)
                body, learner = keras.Model(flat, features), keras.Model(flat, self.output.connect(features))
            prefix = Prefix(below, self._frozen, self.encoder.spec.batch, self._exported)
            self._parts[depth] = _Parts(prefix, body, learner)
        return self._parts[depth]

    def _in_batches(self, network: Any, images: np.ndarray) -> np.ndarray:
        batch, parts = self.encoder.spec.batch, []
        for start in range(0, len(images), batch):
            some = images[start : start + batch].astype(np.float32)
            padded = np.concatenate([some, np.zeros((batch - len(some), *some.shape[1:]), np.float32)])
            parts.append(np.asarray(network.predict_on_batch(padded), np.float32)[: len(some)])
        return np.concatenate(parts)

    def loss(self, images: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
        """Return the mean loss of images that are not trained on: no dropout, batch norm's own statistics."""
        return float(self._loss(targets, self.outputs(images), sample_weight=weights))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the weights' moving average in their place, for the time being."""
        before = self.arrays()
        self.apply_ema()
        try:
            yield
        finally:
            self.restore(before)

    def apply_ema(self) -> None:
        """Put the weights' moving average in their place, for good; without `ema`, nothing changes."""
        self._learner.optimizer.finalize_variable_values(self._learner.trainable_variables)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all state of the network: weights, batch norm's statistics, the seeds of dropout."""
        return _values("model", self._state())

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        """Return all state of the optimiser: step, moments, moving averages, gradients that wait."""
        return _values("optimizer", self._learner.optimizer.variables)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take state from `arrays()`."""
        _assign("model", self._state(), arrays)

    def restore_optimizer(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take state from `optimizer_arrays()`, in the same phase."""
        _assign("optimizer", self._learner.optimizer.variables, arrays)

    def _state(self) -> list[Any]:
        passing = {id(variable) for variable in self._keras.metrics_variables}
        return [variable for variable in self._keras.variables if id(variable) not in passing]


@dataclass(frozen=True)
class _Parts:
    """A network in two: what stays as it is, and two models of what that gives, to features and to outputs."""

    prefix: Prefix
    body: Any
    learner: Any


def precision(spec: Finetune) -> str:
    """Return what a network computes in, where params.yaml leaves it to the machine.

    On a CPU float32: in bfloat16 EfficientNet-Lite0 learnt 4 times slower in TensorFlow 2.21.
    """
    if spec.precision != "auto":
        return spec.precision
    return "bfloat16" if (gpu_capability() or 0) >= NATIVE_BFLOAT16 else "float32"


def _values(kind: str, variables: list[Any]) -> dict[str, np.ndarray]:
    import keras

    # By position: automatic names count layers of the process, and so differ in the next.
    return {f"{kind}/{n}": np.asarray(keras.ops.convert_to_numpy(v.value)) for n, v in enumerate(variables)}


def _assign(kind: str, variables: list[Any], arrays: Mapping[str, np.ndarray]) -> None:
    for n, variable in enumerate(variables):
        variable.assign(arrays[f"{kind}/{n}"])


def _jit(keras: Any) -> bool:
    return bool(keras.backend.backend() == "jax")


def _use_all_gpus(keras: Any) -> None:
    """Share each batch out over several GPUs, where Keras's backend can: JAX."""
    # JAX raises where there is no GPU to list, so the driver is asked first.
    if keras.backend.backend() == "jax" and gpu_capability() and len(keras.distribution.list_devices("gpu")) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())


def _repeatable(keras: Any, seed: int) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
