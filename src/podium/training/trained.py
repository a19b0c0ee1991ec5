"""A trained network as it is saved: all its weights, and the head that turns its features into predictions."""

from dataclasses import dataclass

import numpy as np

from podium.contracts.models import Fitted


@dataclass(frozen=True)
class TrainedNetwork(Fitted):
    """`weights` are those of the Keras model in its own order; `logits` and `activation` follow its features."""

    weights: tuple[np.ndarray, ...]
    logits: Fitted
    activation: Fitted

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities or values `(n, k)` of features `(n, d)`."""
        return self.activation.predict(self.logits.predict(x))
