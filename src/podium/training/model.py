"""The Keras side of training: one network with its head, its optimiser, and all of their state as arrays."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from podium.engines.keras import NATIVE_BFLOAT16, gpu_capability, policy
from podium.training import Finetune
from podium.training.encoder import Encoder
from podium.training.optimizer import adamw, schedule
from podium.training.phases import Phase

_IS_VALUE = "regression"


class Model:
    """A encoder with dropout and a dense layer: images to logits (or values), and to features for any other head."""

    def __init__(self, encoder: Encoder, task: str, n_outputs: int, seed: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import keras

        _repeatable(keras, seed)
        _use_all_gpus(keras)
        self.encoder, self._task = encoder, task
        with policy(precision(encoder.spec)):
            body, self._layers = encoder.build()
            # Never trained: it holds what `standardise` finds.
            self._norm = keras.layers.BatchNormalization(center=False, scale=False, trainable=False, dtype="float32")
            dropout = keras.layers.Dropout(encoder.spec.dropout, seed=seed, dtype="float32")
            self._head = keras.layers.Dense(n_outputs, dtype="float32", name="head")
            self._keras = keras.Model(body.input, self._head(dropout(self._norm(body.output))))
        self._body = body
        self._loss = _loss(keras, task, encoder.spec.label_smoothing)

    @property
    def metric(self) -> str:
        """Return the name of what `step` returns beside the loss."""
        return "mae" if self._task == _IS_VALUE else "accuracy"

    def standardise(self, images: np.ndarray) -> None:
        """Let the head see features of mean 0 and of one deviation, together of length 1, over these images.

        Layers differ in scale; and a step of Adam moves the logits by the rate times the sum of all features, so that
        the same rate would be ten times too much for a thousand features of deviation 1.
        """
        features = self.features(images)
        self._norm.set_weights([features.mean(axis=0), features.var(axis=0) * features.shape[1]])

    def open(self, phase: Phase, steps: int) -> None:
        """Let the layers of a phase be trained, with a fresh optimiser. Keras takes note by compiling, and only so.

        `steps` are those of one epoch.
        """
        import keras

        spec, n_depths = self.encoder.spec, len(self.encoder.depths)
        frozen_norms = self.encoder.is_pretrained if spec.batch_norm is None else spec.batch_norm == "frozen"
        rates = {id(variable): 1.0 for variable in self._head.variables}
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
        self._keras.compile(
            optimizer, self._loss, metrics=[_metric(keras, self._task, self.metric)], jit_compile=_jit(keras)
        )
        self._keras.optimizer.build(self._keras.trainable_variables)

    def step(self, images: Any, targets: Any, weights: Any) -> tuple[float, float]:
        """Learn from one batch; returns its loss and its metric."""
        loss, metric = self._keras.train_on_batch(images, targets, weights)
        return float(loss), float(metric)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return `(n, d)` float32 of images `(n, px, px, 3)` in [0, 255], all dropout off, in batches of one shape."""
        batch = self.encoder.spec.batch
        found = []
        for start in range(0, len(images), batch):
            some = images[start : start + batch].astype(np.float32)
            padded = np.concatenate([some, np.zeros((batch - len(some), *some.shape[1:]), np.float32)])
            found.append(np.asarray(self._body.predict_on_batch(padded), np.float32)[: len(some)])
        return np.concatenate(found)

    def head(self) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel `(d, k)` and bias `(k,)` of the dense layer on the features as they are."""
        (kernel, bias), (mean, variance) = self._head.get_weights(), self._norm.get_weights()
        kernel = kernel / np.sqrt(variance + self._norm.epsilon)[:, None]
        return kernel, bias - mean @ kernel

    def loss(self, images: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> float:
        """Return the mean loss of images that are not learnt from: no dropout, batch norm's own statistics."""
        kernel, bias = self.head()
        return float(self._loss(targets, self.features(images) @ kernel + bias, sample_weight=weights))

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


def _loss(keras: Any, task: str, smoothing: float) -> Any:
    if task == _IS_VALUE:
        return keras.losses.MeanSquaredError()
    if task == "multiclass":
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)


def _metric(keras: Any, task: str, name: str) -> Any:
    if task == _IS_VALUE:
        return keras.metrics.MeanAbsoluteError(name)
    if task == "multiclass":
        return keras.metrics.CategoricalAccuracy(name)
    return keras.metrics.BinaryAccuracy(name, threshold=0.0)


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
