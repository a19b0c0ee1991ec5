"""Attention over a row's images: the network says which of them count."""

from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field

from podium.contracts.bags import Attention
from podium.contracts.models import Fitted
from podium.heads.bags import BagHead


class Head(BagHead):
    """The mean of a row's images, weighted by gated attention (Ilse et al. 2018); their order does not count."""

    attention: int = Field(32, ge=1)
    """Width of the layers that weigh an image."""

    def pooled(self, keras: Any, hidden: Any, is_there: Any) -> tuple[Any, Callable[[int, Fitted], Fitted]]:
        """See BagHead."""
        layers, ops = keras.layers, keras.ops
        tanh, gate = layers.Dense(self.attention, "tanh"), layers.Dense(self.attention, "sigmoid")
        score = layers.Dense(1, use_bias=False)
        scores = ops.squeeze(score(tanh(hidden) * gate(hidden)), -1)
        weights = ops.softmax(ops.where(is_there, scores, -1e9), axis=1)

        def made(width: int, each: Fitted) -> Attention:
            return Attention(width, each, _stacked(tanh), _stacked(gate), score.get_weights()[0][:, 0])

        return ops.sum(weights[:, :, None] * hidden, axis=1), made


def _stacked(layer: Any) -> np.ndarray:
    """Return `(h + 1, a)`: a dense layer's weights, then its offsets."""
    weights, offsets = layer.get_weights()
    return np.vstack([weights, offsets])
