"""What heads that look at each image of a row share: settings, training and the way back to arrays."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.bags import unpacked
from podium.contracts.models import Fitted
from podium.contracts.steps import Affine, Chain, Clip, Linear, Relu, Sigmoid, Softmax
from podium.heads import Range, Training
from podium.heads.shared import standardize
from podium.splits import folds

_LAST: dict[str, tuple[str | None, str, tuple[Fitted, ...]]] = {
    "binary": ("sigmoid", "binary_crossentropy", (Sigmoid(), Clip())),
    "multilabel": ("sigmoid", "binary_crossentropy", (Sigmoid(), Clip())),
    "multiclass": ("softmax", "sparse_categorical_crossentropy", (Softmax(), Clip())),
    "regression": (None, "mse", ()),
}


class BagHead(heads.Head):
    """A network (Keras) over the images of a row: a dense layer for each, then one vector of all, then the answer.

    `patience` stops at the best epoch by the loss of one of `inner` parts of the training rows, never learnt from.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    takes: ClassVar[Literal["mean", "images"]] = "images"
    space: ClassVar[dict[str, Range]] = {
        "hidden": Range(16, 256),
        "epochs": Range(5, 100),
        "learning_rate": Range(1e-4, 1e-2),
        "dropout": Range(0.0, 0.6, log=False),
    }

    hidden: int = Field(64, ge=1)
    """What a row's image becomes: a vector of so many numbers."""
    dropout: float = Field(0.25, ge=0, lt=1)
    """The share of inputs that the dense layers drop while they train."""
    epochs: int = Field(30, ge=1)
    """Passes over the training rows, at most."""
    batch: int = Field(32, ge=1)
    """Rows to a step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam."""
    l2: float = Field(1e-4, ge=0)
    """The L2 penalty of weights."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better loss of one of `inner` parts; null: never."""
    inner: int = Field(6, ge=2)
    """Parts of the training rows, of which early stopping holds one out."""

    @abstractmethod
    def pooled(self, keras: Any, hidden: Any, is_there: Any) -> tuple[Any, Callable[[int, Fitted], Fitted]]:
        """Return a vector of each row's images, symbolic `(n, m, h)` and bool `(n, m)`, and its model once trained.

        The model takes the width of an image among a packed row, and the step of each image.
        """

    def fit(self, data: Training) -> Fitted:
        """Train with the seed for initial weights, dropout and the order of batches."""
        import keras

        _repeatable(keras, data.seed)
        assert data.width is not None, "rows of several images come packed"
        images, is_there = unpacked(data.x, data.width)
        scale, is_value = standardize(images[is_there]), data.task == "regression"
        x = np.where(is_there[:, :, None], scale.predict(images), 0).astype(np.float32)
        # A network starts near 0: values are learnt in their own standard units.
        mean, std = (float(data.y.mean()), float(data.y.std()) or 1.0) if is_value else (0.0, 1.0)
        y = ((data.y - mean) / std).astype(np.float32)
        learnt, options = np.ones(len(x), bool), {}
        if self.patience:
            learnt = folds.inner(data.y, data.group, self.inner, data.seed, is_value=is_value) > 0
            stop = keras.callbacks.EarlyStopping(patience=self.patience, restore_best_weights=True)
            held = ([x[~learnt], is_there[~learnt]], y[~learnt], data.weight[~learnt])
            options = {"validation_data": held, "callbacks": [stop]}
        model, each, made, last = self._model(keras, data, x.shape[1:])
        model.fit(
            [x[learnt], is_there[learnt]],
            y[learnt],
            sample_weight=data.weight[learnt],
            batch_size=self.batch,
            epochs=self.epochs,
            verbose=0,
            **options,
        )
        steps = Chain((scale, Linear(*each.get_weights()), Relu()))
        ends = (Affine(std, mean),) if is_value else _LAST[data.task][2]
        return Chain((made(data.width, steps), Linear(*last.get_weights()), *ends))

    def _model(self, keras: Any, data: Training, shape: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
        layers, regular = keras.layers, keras.regularizers.L2(self.l2)
        activation, loss, _ = _LAST[data.task]
        images, is_there = keras.Input(shape), keras.Input(shape[:1], dtype="bool")
        each = layers.Dense(self.hidden, "relu", kernel_regularizer=regular)
        pooled, made = self.pooled(keras, each(layers.Dropout(self.dropout)(images)), is_there)
        last = layers.Dense(data.n_outputs, activation, kernel_regularizer=regular)
        model = keras.Model([images, is_there], last(layers.Dropout(self.dropout)(pooled)))
        # XLA compiles for seconds what trains in one.
        model.compile(keras.optimizers.Adam(self.learning_rate), loss, jit_compile=False)
        return model, each, made, last


def _repeatable(keras: Any, seed: int) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
