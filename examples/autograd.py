"""Reverse-mode automatic differentiation in NumPy, and a logistic regression that is trained by it.

    python examples/autograd.py [PICTURE.png]

Every operation remembers its inputs and how a gradient of its output becomes gradients of them. `backward` walks the
operations from the loss to the weights. The picture: the loss by step, and the learnt border between two species.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Pull = Callable[[np.ndarray], np.ndarray]  # gradient of the output -> gradient of one input


class Tensor:
    """An array that knows where it came from; `gradient` is filled by `backward`."""

    def __init__(self, value: np.ndarray | float, inputs: tuple[tuple["Tensor", Pull], ...] = ()) -> None:
        self.value = np.asarray(value, np.float64)
        self.gradient = np.zeros_like(self.value)
        self._inputs = inputs

    def __add__(self, other: "Tensor") -> "Tensor":
        pulls = ((self, lambda g: _summed(g, self.value.shape)), (other, lambda g: _summed(g, other.value.shape)))
        return Tensor(self.value + other.value, pulls)

    def __mul__(self, other: "Tensor") -> "Tensor":
        pulls = (
            (self, lambda g: _summed(g * other.value, self.value.shape)),
            (other, lambda g: _summed(g * self.value, other.value.shape)),
        )
        return Tensor(self.value * other.value, pulls)

    def __matmul__(self, other: "Tensor") -> "Tensor":
        pulls = ((self, lambda g: g @ other.value.T), (other, lambda g: self.value.T @ g))
        return Tensor(self.value @ other.value, pulls)

    def tanh(self) -> "Tensor":
        """Return the hyperbolic tangent of each number."""
        out = np.tanh(self.value)
        return Tensor(out, ((self, lambda g: g * (1 - out**2)),))

    def softplus(self) -> "Tensor":
        """Return log(1 + exp(x)), which overflows for no x."""
        slope = 0.5 * (1 + np.tanh(0.5 * self.value))
        return Tensor(np.logaddexp(0, self.value), ((self, lambda g: g * slope),))

    def mean(self) -> "Tensor":
        """Return the mean of all numbers."""
        return Tensor(self.value.mean(), ((self, lambda g: np.full(self.value.shape, g / self.value.size)),))

    def backward(self) -> None:
        """Fill `gradient` of everything that this number, a loss, was computed from."""
        order: list[Tensor] = []
        self._visit(order, set())
        for tensor in order:
            tensor.gradient = np.zeros_like(tensor.value)
        self.gradient = np.ones_like(self.value)
        for tensor in reversed(order):  # each after all that use it
            for source, pull in tensor._inputs:
                source.gradient = source.gradient + pull(tensor.gradient)

    def _visit(self, order: list["Tensor"], seen: set[int]) -> None:
        if id(self) not in seen:
            seen.add(id(self))
            for source, _ in self._inputs:
                source._visit(order, seen)
            order.append(self)


def _summed(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the gradient of what was broadcast: the sum over its copies."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    ones = tuple(axis for axis, n in enumerate(shape) if n == 1)
    return gradient.sum(axis=ones, keepdims=True) if ones else gradient


def log_loss(x: np.ndarray, y: np.ndarray, weights: Tensor, offset: Tensor) -> Tensor:
    """Return the mean log loss of logits `x @ weights + offset`; `x (n, d)`, `y (n,)` of 0 and 1, `weights (d, 1)`."""
    logits = Tensor(x) @ weights + offset
    return (logits.softplus() + logits * Tensor(-y[:, None])).mean()


def train(x: np.ndarray, y: np.ndarray, steps: int = 300, rate: float = 1.0) -> tuple[Tensor, Tensor, list[float]]:
    """Return weights, offset and the loss by step, of gradient descent from zeros."""
    weights, offset, losses = Tensor(np.zeros((x.shape[1], 1))), Tensor(np.zeros(1)), []
    for _ in range(steps):
        loss = log_loss(x, y, weights, offset)
        loss.backward()
        losses.append(float(loss.value))
        for tensor in (weights, offset):
            tensor.value = tensor.value - rate * tensor.gradient
    return weights, offset, losses


def main(picture: Path) -> float:
    """Tell versicolor from virginica by the petals; returns the accuracy."""
    from matplotlib.figure import Figure
    from sklearn.datasets import load_iris

    iris = load_iris()
    chosen = iris.target > 0
    x, y = iris.data[chosen, 2:], (iris.target[chosen] == 2).astype(float)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    weights, offset, losses = train(x, y)
    accuracy = float(np.mean((x @ weights.value + offset.value > 0)[:, 0] == y))
    print(f"log loss {losses[0]:.4f} -> {losses[-1]:.4f}, accuracy {accuracy:.2f}")

    figure = Figure((9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(losses)
    left.set(xlabel="step", ylabel="log loss", yscale="log")
    xx, yy = np.meshgrid(np.linspace(-2.5, 2.5, 100), np.linspace(-2.5, 2.5, 100))
    logits = np.stack([xx, yy], axis=2) @ weights.value[:, 0] + offset.value
    right.contourf(xx, yy, 1 / (1 + np.exp(-logits)), 20, cmap="coolwarm", alpha=0.6)
    right.scatter(*x.T, c=y, cmap="coolwarm", edgecolors="black")
    right.set(xlabel="petal length, standardised", ylabel="petal width", title=f"accuracy {accuracy:.2f}")
    figure.savefig(picture)
    return accuracy


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "autograd.png"))
