"""What heads that look at each image of a row share: settings, and a small network trained by gradients in NumPy.

It is a dense layer for each image, one vector of all, and the answer. Keras takes seconds to build what trains in one.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.bags import unpacked
from podium.contracts.models import Fitted
from podium.contracts.steps import Affine, Chain, Clip, Linear, Relu, Sigmoid, Softmax
from podium.heads import Range, Training
from podium.heads.shared import standardize
from podium.splits import folds

Arrays = dict[str, np.ndarray]
Back = Callable[[np.ndarray], tuple[np.ndarray, Arrays]]  # gradient of a row's vector -> of its images, of the weights

_DECAY, _SQUARES, _TINY = 0.9, 0.999, 1e-7  # Adam (Kingma and Ba 2015)


class BagHead(heads.Head):
    """A network over the images of a row, whose features are standardised.

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
    """What an image becomes: a vector of so many numbers."""
    dropout: float = Field(0.25, ge=0, lt=1)
    """The share of inputs that the dense layers drop while they train."""
    epochs: int = Field(30, ge=1)
    """Passes over the training rows, at most."""
    batch: int = Field(32, ge=1)
    """Rows to a step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Of Adam."""
    l2: float = Field(1e-4, ge=0)
    """The L2 penalty of the dense layers' weights."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better loss of one of `inner` parts; null: never."""
    inner: int = Field(6, ge=2)
    """Parts of the training rows, of which early stopping holds one out."""

    @abstractmethod
    def begin(self, rng: np.random.Generator) -> tuple[Arrays, int]:
        """Return the weights at the start of what makes one vector of all images, and that vector's width."""

    @abstractmethod
    def pool(self, weights: Arrays, hidden: np.ndarray, is_there: np.ndarray) -> tuple[np.ndarray, Back]:
        """Return a vector for each row, `(n, u)` of `(n, m, h)` and bool `(n, m)`, and the way back."""

    @abstractmethod
    def step(self, weights: Arrays, width: int, each: Fitted) -> Fitted:
        """Return the same as a model of packed rows; `each` is the step of each image."""

    def fit(self, data: Training) -> Fitted:
        """Train with the seed for initial weights, dropout and the order of batches."""
        assert data.width is not None, "rows of several images come packed"
        images, is_there = unpacked(data.x, data.width)
        scale = standardize(images[is_there])
        x = np.where(is_there[:, :, None], scale.predict(images), 0).astype(np.float32)
        # A network starts near 0: values are learnt in their own standard units.
        is_value = data.task == "regression"
        mean, std = (float(data.y.mean()), float(data.y.std()) or 1.0) if is_value else (0.0, 1.0)
        target = np.eye(data.n_outputs)[data.y] if data.task == "multiclass" else (data.y - mean) / std
        target = target.reshape(len(x), -1).astype(np.float32)
        last: Fitted = Affine(std, mean) if is_value else Softmax() if data.task == "multiclass" else Sigmoid()
        parts = (x, is_there, target, (data.weight / data.weight.mean()).astype(np.float32))
        weights = self._trained(parts, self._held(data), data)
        each = Chain((scale, Linear(weights["each"], weights["each_offset"]), Relu()))
        answer = Linear(weights["last"], weights["last_offset"])
        return Chain((self.step(weights, data.width, each), answer, last, *(() if is_value else (Clip(),))))

    def _held(self, data: Training) -> np.ndarray:
        """Return `(n,)` bool: the rows that early stopping goes by."""
        if self.patience is None:
            return np.zeros(len(data.x), bool)
        part = folds.inner(data.y, data.group, self.inner, data.seed, is_value=data.task == "regression")
        return np.asarray(part == 0)

    def _trained(self, parts: tuple[np.ndarray, ...], held: np.ndarray, data: Training) -> Arrays:
        rng = np.random.default_rng(data.seed)
        pool, width = self.begin(rng)
        weights = pool | {
            "each": uniform(rng, parts[0].shape[2], self.hidden),
            "last": uniform(rng, width, data.n_outputs),
        }
        weights |= {"each_offset": np.zeros(self.hidden), "last_offset": np.zeros(data.n_outputs)}
        weights = {name: array.astype(np.float32) for name, array in weights.items()}
        moments = {name: (np.zeros_like(array), np.zeros_like(array)) for name, array in weights.items()}
        learnt, best, n_steps, waited = np.flatnonzero(~held), (np.inf, weights), 0, 0
        for _ in range(self.epochs):
            order = rng.permutation(learnt)
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                _, gradients = self.gradients(weights, tuple(part[rows] for part in parts), data.task, rng)
                n_steps += 1
                weights = {
                    name: self._moved(weights[name], gradients[name], moments[name], n_steps) for name in weights
                }
            if self.patience is not None:
                loss = self.gradients(weights, tuple(part[held] for part in parts), data.task)[0]
                waited = 0 if loss < best[0] else waited + 1
                best = (loss, weights) if loss < best[0] else best
                if waited == self.patience:
                    break
        return weights if self.patience is None else best[1]

    def _moved(
        self, weights: np.ndarray, gradient: np.ndarray, moments: tuple[np.ndarray, np.ndarray], n: int
    ) -> np.ndarray:
        """Return weights after a step of Adam, whose moments are changed."""
        first, second = moments
        first += (1 - _DECAY) * (gradient - first)
        second += (1 - _SQUARES) * (gradient**2 - second)
        rate = self.learning_rate * np.sqrt(1 - _SQUARES**n) / (1 - _DECAY**n)
        return np.asarray(weights - rate * first / (np.sqrt(second) + _TINY), weights.dtype)

    def gradients(
        self, weights: Arrays, parts: tuple[np.ndarray, ...], task: str, rng: np.random.Generator | None = None
    ) -> tuple[float, Arrays]:
        """Return the loss of some rows and its gradients; without `rng` nothing is dropped."""
        x, is_there, target, weight = parts
        x = x * self._kept(x.shape, rng)
        reached = x @ weights["each"] + weights["each_offset"]
        pooled, back = self.pool(weights, np.maximum(reached, 0), is_there)
        kept = self._kept(pooled.shape, rng)
        loss, error = _loss((pooled * kept) @ weights["last"] + weights["last_offset"], target, weight, task)
        to_hidden, gradients = back((error @ weights["last"].T) * kept)
        to_reached = (to_hidden * (reached > 0)).reshape(-1, self.hidden)
        gradients |= {"each": x.reshape(-1, x.shape[2]).T @ to_reached, "each_offset": to_reached.sum(axis=0)}
        gradients |= {"last": (pooled * kept).T @ error, "last_offset": error.sum(axis=0)}
        for name in ("each", "last"):
            loss += self.l2 * float((weights[name] ** 2).sum())
            gradients[name] = gradients[name] + 2 * self.l2 * weights[name]
        return loss, gradients

    def _kept(self, shape: tuple[int, ...], rng: np.random.Generator | None) -> np.ndarray | float:
        """Return what inputs are multiplied by: 0 where one is dropped, so that the mean stays."""
        if rng is None or not self.dropout:
            return 1.0
        return ((rng.random(shape, np.float32) >= self.dropout) / np.float32(1 - self.dropout)).astype(np.float32)


def uniform(rng: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """Return initial weights `(n_in, n_out)` that keep the variance (Glorot and Bengio 2010)."""
    return np.asarray(rng.uniform(-1, 1, (n_in, n_out)) * np.sqrt(6 / (n_in + n_out)))


def _loss(out: np.ndarray, target: np.ndarray, weight: np.ndarray, task: str) -> tuple[float, np.ndarray]:
    """Return the mean loss of logits or values `(n, k)`, and its gradient."""
    share = weight[:, None] / len(out)
    if task == "regression":
        return float((share * (out - target) ** 2).sum()), 2 * share * (out - target)
    if task == "multiclass":
        p = Softmax().predict(out)
        return float(-(share * target * np.log(np.maximum(p, 1e-12))).sum()), share * (p - target)
    share = share / out.shape[1]
    loss = share * (np.logaddexp(0, out) - target * out)
    return float(loss.sum()), share * (Sigmoid().predict(out) - target)
