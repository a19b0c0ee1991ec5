"""A dense network (Keras, whatever its backend)."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Affine, Chain, Clip, Linear, Relu, Sigmoid, Softmax
from podium.heads import Range, Training
from podium.heads.shared import standardize
from podium.splits import folds

_ACTIVATIONS: dict[str, tuple[Fitted, ...]] = {
    "binary": (Sigmoid(),),
    "multilabel": (Sigmoid(),),
    "multiclass": (Softmax(),),
    "regression": (),
}
# Task -> activation of the last layer, loss.
_LAST = {
    "binary": ("sigmoid", "binary_crossentropy"),
    "multilabel": ("sigmoid", "binary_crossentropy"),
    "multiclass": ("softmax", "sparse_categorical_crossentropy"),
    "regression": (None, "mse"),
}


class Head(heads.Head):
    """Dropout, hidden layers if any, and a dense layer: without hidden layers the founding head of this project.

    `patience` stops at the best epoch by the loss of one of `inner` parts of the training rows, never learnt from.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {
        "epochs": Range(3, 60),
        "dropout": Range(0.0, 0.8, log=False),
        "learning_rate": Range(1e-4, 3.0),
        "l2": Range(1e-8, 1e-2),
    }

    hidden: tuple[int, ...] = ()
    """Widths of the hidden layers; none: a dense layer alone."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """The share of inputs that each layer drops while it trains."""
    batch_norm: bool = False
    """Normalise each hidden layer over the batch."""
    epochs: int = Field(8, ge=1)
    """Passes over the training rows, at most."""
    batch: int = Field(128, ge=1)
    """Rows to a step."""
    optimizer: Literal["adadelta", "adam", "adamw", "sgd"] = "adadelta"
    """Keras's optimiser."""
    learning_rate: float = Field(1.0, gt=0)
    """Of the optimiser: 1.0 suits adadelta, 1e-3 adam."""
    l2: float = Field(0.0, ge=0)
    """The L2 penalty of weights."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better loss of one of `inner` parts; null: never."""
    inner: int = Field(6, ge=2)
    """Parts of the training rows, of which early stopping holds one out."""

    def fit(self, data: Training) -> Fitted:
        """Train with the seed for initial weights, dropout and the order of batches."""
        import keras

        _repeatable(keras, data.seed)
        scale, is_value = standardize(data.x), data.task == "regression"
        # A network starts near 0: values are learnt in their own standard units.
        mean, std = (float(data.y.mean()), float(data.y.std()) or 1.0) if is_value else (0.0, 1.0)
        rows = (scale.predict(data.x), ((data.y - mean) / std).astype(np.float32), data.weight)
        learnt, options = np.ones(len(data.x), bool), {}
        if self.patience:
            learnt = folds.inner(data.y, data.group, self.inner, data.seed, is_value=is_value) > 0
            stop = keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
            options = {"validation_data": tuple(part[~learnt] for part in rows), "callbacks": [stop]}
        model = self._model(keras, data)
        x, y, weight = (part[learnt] for part in rows)
        model.fit(x, y, sample_weight=weight, batch_size=self.batch, epochs=self.epochs, verbose=0, **options)

        last = Affine(std, mean) if is_value else Clip()
        return Chain((scale, *_steps(model), *_ACTIVATIONS[data.task], last))

    def _model(self, keras: Any, data: Training) -> Any:
        layers, regular = keras.layers, keras.regularizers.L2(self.l2)
        activation, loss = _LAST[data.task]
        stack = [keras.Input((data.x.shape[1],))]
        for width in self.hidden:
            stack += [layers.Dropout(self.dropout), layers.Dense(width, kernel_regularizer=regular)]
            stack += [layers.BatchNormalization()] if self.batch_norm else []
            stack += [layers.Activation("relu")]
        stack += [layers.Dropout(self.dropout), layers.Dense(data.n_outputs, activation, kernel_regularizer=regular)]
        model = keras.Sequential(stack)
        # XLA compiles for seconds what trains in one.
        optimizer = keras.optimizers.get(
            {"class_name": self.optimizer, "config": {"learning_rate": self.learning_rate}}
        )
        model.compile(optimizer, loss, jit_compile=False)
        return model


def _steps(model: Any) -> Iterator[Fitted]:
    """Yield a trained network's layers as they predict: no dropout, and batch norm as a scale and a shift."""
    for layer in model.layers:
        kind, weights = type(layer).__name__, layer.get_weights()
        if kind == "Dense":
            yield Linear(*weights)
        elif kind == "BatchNormalization":
            gamma, beta, mean, variance = weights
            scale = gamma / np.sqrt(variance + layer.epsilon)
            yield Affine(scale, beta - mean * scale)
        elif kind == "Activation":
            yield Relu()


def _repeatable(keras: Any, seed: int) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
