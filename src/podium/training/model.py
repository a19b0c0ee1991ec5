"""The Keras side of training: an encoder with its output, an optimiser, and all of their state as arrays."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from podium.engines.keras import NATIVE_BFLOAT16, gpu_capability, policy
from podium.training import Finetune
from podium.training.encoder import Encoder
from podium.training.optimizer import adamw, schedule
from podium.training.outputs import Output
from podium.training.phases import Phase


class Model:
    """One network: images to what its output says, and to the encoder's features."""

    def __init__(self, encoder: Encoder, output: Callable[[], Output], seed: int) -> None:
        """Build the network; `output` is called once Keras is seeded, for its layers draw their weights."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import keras

        _repeatable(keras, seed)
        _use_all_gpus(keras)
        self.encoder = encoder
        with policy(precision(encoder.spec)):
            self._body, self._layers = encoder.build()
            self.output = output()
            self._keras = keras.Model(self._body.input, self.output.connect(self._body.output))
        self._loss, self._metric = self.output.loss(), self.output.metric()

    @property
    def metric(self) -> str:
        """Return the name of what `step` returns beside the loss."""
        return str(self._metric.name)

    @property
    def body(self) -> Any:
        """Return the encoder as a Keras model: images `(n, px, px, 3)` float32 in [0, 255] to features."""
        return self._body

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
        optimizer = adamw(
            [rates[id(variable)] for variable in self._keras.trainable_variables],
            spec.weight_decay,
            learning_rate=schedule(spec.schedule, phase.learning_rate, steps * len(phase.epochs), spec.warmup_fraction),
            use_ema=spec.ema is not None,
            ema_momentum=(spec.ema or 0.0) ** (1 / spec.accumulate),
            gradient_accumulation_steps=spec.accumulate if spec.accumulate > 1 else None,
            global_clipnorm=spec.clip_norm,
        )
        # XLA pays on accelerators; on a CPU it was 5 times slower than TensorFlow's own kernels. JAX has no other way.
        self._keras.compile(optimizer, self._loss, metrics=[self.output.metric()], jit_compile=_jit(keras))
        self._keras.optimizer.build(self._keras.trainable_variables)

    def step(self, images: Any, targets: Any, weights: Any) -> tuple[float, float]:
        """Learn from one batch; returns its loss and its metric."""
        loss, metric = self._keras.train_on_batch(images, targets, weights)
        return float(loss), float(metric)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the encoder's `(n, d)` float32 of images `(n, h, w, 3)` in [0, 255], all dropout off."""
        return self._in_batches(self._body, images)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return what the network says of images `(n, h, w, 3)` in [0, 255], in batches of one shape."""
        return self._in_batches(self._keras, images)

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
        self._keras.optimizer.finalize_variable_values(self._keras.trainable_variables)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all state of the network: weights, batch norm's statistics, the seeds of dropout."""
        return _values("model", self._state())

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        """Return all state of the optimiser: step, moments, moving averages, gradients that wait."""
        return _values("optimizer", self._keras.optimizer.variables)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take state from `arrays()`."""
        _assign("model", self._state(), arrays)

    def restore_optimizer(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take state from `optimizer_arrays()`, in the same phase."""
        _assign("optimizer", self._keras.optimizer.variables, arrays)

    def _state(self) -> list[Any]:
        passing = {id(variable) for variable in self._keras.metrics_variables}
        return [variable for variable in self._keras.variables if id(variable) not in passing]


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
