"""Rows of several images as one vector each, and the models that look at each image of a row.

A row's images lie one after the other in their order: of each a 1, then its features; where there is no image, zeros.
So rows of different numbers of images are one matrix, and a model that knows an image's width can read any of them.
"""

from dataclasses import dataclass

import numpy as np

from podium.contracts.models import Fitted
from podium.contracts.steps import Sigmoid


def packed(x: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return `(n_rows, m * (d + 1))` of image features `(n_images, d)`, m the greatest number of images of a row.

    Row i is made of the `count[i]` images from `first[i]` on.
    """
    most, d = int(count.max(initial=0)), x.shape[1]
    out = np.zeros((len(first), most, d + 1), x.dtype)
    row = np.repeat(np.arange(len(first)), count)
    place = np.arange(len(x)) - np.repeat(first, count)
    out[row, place, 0], out[row, place, 1:] = 1, x
    return out.reshape(len(first), most * (d + 1))


def unpacked(x: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features `(n, m, d)`, and `(n, m)` bool: where there is an image; `width` is d + 1."""
    images = x.reshape(len(x), -1, width)
    return images[:, :, 1:], images[:, :, 0] > 0


@dataclass(frozen=True)
class Attention(Fitted):
    """The weighted mean of a row's images, weights by gated attention (Ilse et al. 2018).

    `each` makes `(n, h)` of image features `(n, d)`; `tanh` and `gate` are `(h + 1, a)`, offsets last; `score (a,)`.
    """

    width: int
    each: Fitted
    tanh: np.ndarray
    gate: np.ndarray
    score: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, h)` of packed rows."""
        images, is_there = unpacked(x, self.width)
        n, m, d = images.shape
        hidden = self.each.predict(images.reshape(n * m, d)).reshape(n, m, -1)
        gated = np.tanh(hidden @ self.tanh[:-1] + self.tanh[-1]) * Sigmoid().predict(
            hidden @ self.gate[:-1] + self.gate[-1]
        )
        scores = np.where(is_there, gated @ self.score, -np.inf)
        powers = np.exp(scores - np.where(is_there.any(axis=1), scores.max(axis=1, initial=-1e30), 0)[:, None])
        total = np.maximum(powers.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return np.asarray(np.einsum("nm,nmh->nh", powers / total, hidden))


@dataclass(frozen=True)
class Recurrent(Fitted):
    """The last state of a gated recurrent unit (Cho et al. 2014) that reads a row's images in their order.

    `each` makes `(n, h)` of image features `(n, d)`; `kernel (h, 3 u)`, `recurrent (u, 3 u)` and `bias (2, 3 u)` hold
    update, reset and candidate side by side, as Keras's `GRU(reset_after=True)` does.
    """

    width: int
    each: Fitted
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, u)` of packed rows."""
        images, is_there = unpacked(x, self.width)
        n, m, d = images.shape
        given = self.each.predict(images.reshape(n * m, d)).reshape(n, m, -1) @ self.kernel + self.bias[0]
        state = np.zeros((n, len(self.recurrent)))
        for place in range(m):
            own = state @ self.recurrent + self.bias[1]
            (update, reset, candidate), (own_update, own_reset, own_candidate) = (
                np.split(part, 3, axis=1) for part in (given[:, place], own)
            )
            keep = Sigmoid().predict(update + own_update)
            new = np.tanh(candidate + Sigmoid().predict(reset + own_reset) * own_candidate)
            state = np.where(is_there[:, place, None], keep * state + (1 - keep) * new, state)
        return state
