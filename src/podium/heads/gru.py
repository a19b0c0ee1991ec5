"""A recurrent network over a row's images, in their order."""

import numpy as np
from pydantic import Field

from podium.contracts.bags import Recurrent
from podium.contracts.models import Fitted
from podium.contracts.steps import Sigmoid
from podium.heads.bags import Arrays, Back, BagHead, uniform


class Head(BagHead):
    """The last state of a gated recurrent unit that reads the images one by one: slices, frames, steps in time."""

    units: int = Field(32, ge=1)
    """Numbers that it keeps in mind."""

    def begin(self, rng: np.random.Generator) -> tuple[Arrays, int]:
        """See BagHead; what the state is multiplied by turns it and keeps its length."""
        u = self.units
        turns = [np.linalg.qr(rng.normal(size=(u, u)))[0] for _ in range(3)]
        return {
            "kernel": uniform(rng, self.hidden, 3 * u),
            "recurrent": np.hstack(turns),
            "bias": np.zeros((2, 3 * u)),
        }, u

    def pool(self, weights: Arrays, hidden: np.ndarray, is_there: np.ndarray) -> tuple[np.ndarray, Back]:
        """See BagHead; the way back goes through time from the last image to the first."""
        kernel, recurrent, bias = weights["kernel"], weights["recurrent"], weights["bias"]
        given, sigmoid = hidden @ kernel + bias[0], Sigmoid().predict
        state, seen = np.zeros((len(hidden), self.units), hidden.dtype), []
        for place in range(hidden.shape[1]):
            (x_z, x_r, x_c) = np.split(given[:, place], 3, axis=1)
            (s_z, s_r, s_c) = np.split(state @ recurrent + bias[1], 3, axis=1)
            z, r = sigmoid(x_z + s_z), sigmoid(x_r + s_r)
            c = np.tanh(x_c + r * s_c)
            seen.append((state, z, r, c, s_c))
            state = np.where(is_there[:, place, None], z * state + (1 - z) * c, state)

        def back(to_state: np.ndarray) -> tuple[np.ndarray, Arrays]:
            to_hidden = np.zeros_like(hidden)
            gradients = {name: np.zeros_like(weights[name]) for name in ("kernel", "recurrent", "bias")}
            for place in reversed(range(hidden.shape[1])):
                before, z, r, c, s_c = seen[place]
                to_new = to_state * is_there[:, place, None]
                to_c = to_new * (1 - z) * (1 - c**2)
                to_z, to_r = to_new * (before - c) * z * (1 - z), to_c * s_c * r * (1 - r)
                to_given, to_own = np.hstack([to_z, to_r, to_c]), np.hstack([to_z, to_r, to_c * r])
                gradients["kernel"] += hidden[:, place].T @ to_given
                gradients["recurrent"] += before.T @ to_own
                gradients["bias"] += np.stack([to_given.sum(axis=0), to_own.sum(axis=0)])
                to_hidden[:, place] = to_given @ kernel.T
                to_state = to_state - to_new + to_new * z + to_own @ recurrent.T
            return to_hidden, gradients

        return state, back

    def step(self, weights: Arrays, width: int, each: Fitted) -> Fitted:
        """See BagHead."""
        return Recurrent(width, each, weights["kernel"], weights["recurrent"], weights["bias"])
