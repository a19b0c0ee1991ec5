"""A vector of scores: dropout and a dense layer on the encoder's pooled features."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from podium.tasks.vector import VectorTask
from podium.training import Finetune
from podium.training.encoder import Encoder
from podium.training.model import Model
from podium.training.outputs import Output as Base


def build(encoder: Encoder, task: VectorTask, n_outputs: int, seed: int) -> Model:
    """Return a network that ends in scores, before it is trained; `seed` is its only source of randomness."""
    spec = encoder.spec
    return Model(encoder, lambda: Output(task, n_outputs, spec, seed), seed)


class Output(Base):
    """Logits, or standardised values, `(n, n_outputs)`; any other head can be fitted on the same features."""

    takes: ClassVar[str] = "features"

    def __init__(self, task: VectorTask, n_outputs: int, spec: Finetune, seed: int) -> None:
        import keras

        self._task, self._spec = task, spec
        # Never trained: it holds what `begin` finds.
        self._norm = keras.layers.BatchNormalization(center=False, scale=False, trainable=False, dtype="float32")
        self._dropout = keras.layers.Dropout(spec.dropout, seed=seed, dtype="float32")
        self._dense = keras.layers.Dense(n_outputs, dtype="float32", name="head")

    def connect(self, encoded: Any) -> Any:
        """See Output."""
        return self._dense(self._dropout(self._norm(encoded)))

    def loss(self) -> Any:
        """See Output."""
        return self._task.network_loss(self._spec.label_smoothing, self._spec.focal)

    def metric(self) -> Any:
        """See Output."""
        return self._task.network_metric()

    def layers(self) -> list[Any]:
        """See Output."""
        return [self._dense]

    def begin(self, model: Any, images: np.ndarray) -> None:
        """Standardise features for the dense layer: zero mean, variance 1/d, so that their expected squared norm is 1.

        Layers differ in scale; and a step of Adam moves the logits by the rate times the sum of all features, so that
        the same rate would be ten times too much for a thousand features of variance 1.
        """
        features = model.features(images)
        self._norm.set_weights([features.mean(axis=0), features.var(axis=0) * features.shape[1]])

    def final(self) -> Mapping[str, np.ndarray]:
        """Return `kernel (d, k)` and `bias (k,)` of the dense layer on the features as they are."""
        (kernel, bias), (mean, variance) = self._dense.get_weights(), self._norm.get_weights()
        kernel = kernel / np.sqrt(variance + self._norm.epsilon)[:, None]
        return {"kernel": kernel, "bias": bias - mean @ kernel}
