"""Attention over a row's images: the network says which of them count."""

import numpy as np
from pydantic import Field

from podium.contracts.bags import Attention
from podium.contracts.models import Fitted
from podium.contracts.steps import Sigmoid
from podium.heads.bags import Arrays, Back, BagHead, uniform


class Head(BagHead):
    """The mean of a row's images, weighted by gated attention (Ilse et al. 2018); their order does not count."""

    attention: int = Field(32, ge=1)
    """Width of the layers that weigh an image."""

    def begin(self, rng: np.random.Generator) -> tuple[Arrays, int]:
        """See BagHead; offsets are the last row of a layer."""
        h, a = self.hidden, self.attention
        layers = {name: np.vstack([uniform(rng, h, a), np.zeros(a)]) for name in ("tanh", "gate")}
        return layers | {"score": uniform(rng, a, 1)[:, 0]}, h

    def pool(self, weights: Arrays, hidden: np.ndarray, is_there: np.ndarray) -> tuple[np.ndarray, Back]:
        """See BagHead."""
        layer, gate, score = weights["tanh"], weights["gate"], weights["score"]
        a = np.tanh(hidden @ layer[:-1] + layer[-1])
        g = Sigmoid().predict(hidden @ gate[:-1] + gate[-1])
        scores = np.where(is_there, (a * g) @ score, np.float32(-1e9))
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        share = powers / powers.sum(axis=1, keepdims=True)

        def back(to_pooled: np.ndarray) -> tuple[np.ndarray, Arrays]:
            to_share = np.einsum("nmh,nh->nm", hidden, to_pooled)
            to_score = share * (to_share - (share * to_share).sum(axis=1, keepdims=True))
            to_gated = to_score[:, :, None] * score
            to_a, to_g = to_gated * g * (1 - a**2), to_gated * a * g * (1 - g)
            to_hidden = share[:, :, None] * to_pooled[:, None] + to_a @ layer[:-1].T + to_g @ gate[:-1].T
            gradients = {"score": np.einsum("nm,nma->a", to_score, a * g)}
            for name, to in (("tanh", to_a), ("gate", to_g)):
                gradients[name] = np.vstack([np.einsum("nmh,nma->ha", hidden, to, optimize=True), to.sum(axis=(0, 1))])
            return to_hidden, gradients

        return np.einsum("nm,nmh->nh", share, hidden), back

    def step(self, weights: Arrays, width: int, each: Fitted) -> Fitted:
        """See BagHead."""
        return Attention(width, each, weights["tanh"], weights["gate"], weights["score"])
