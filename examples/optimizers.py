"""Six optimisers race down one surface: SGD, momentum, Nesterov, AdaGrad, RMSProp and Adam, in NumPy.

    python examples/optimizers.py [PICTURE.png] [ANIMATION.gif]

The surface is Beale's: a flat valley that bends, with its minimum at (3, 0.5). Each rule is a function from a gradient
to a step; the formulas are those of the papers named below, and a test holds them against Keras's optimisers.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Rule = Callable[[np.ndarray], np.ndarray]  # gradient -> what is added to the place; it keeps its own state
START, MINIMUM = np.array([1.0, 1.5]), np.array([3.0, 0.5])


def sgd(rate: float) -> Rule:
    """Go down the gradient (Robbins and Monro 1951)."""
    return lambda g: -rate * g


def momentum(rate: float, keep: float = 0.9, *, is_nesterov: bool = False) -> Rule:
    """Keep a part of the last step (Polyak 1964); Nesterov (1983) looks at the gradient where that leads."""
    velocity = np.zeros(2)

    def step(g: np.ndarray) -> np.ndarray:
        nonlocal velocity
        velocity = keep * velocity - rate * g
        return keep * velocity - rate * g if is_nesterov else velocity

    return step


def adagrad(rate: float, first: float = 0.1, epsilon: float = 1e-7) -> Rule:
    """Divide by the root of all squared gradients so far (Duchi, Hazan and Singer 2011)."""
    total = np.full(2, first)

    def step(g: np.ndarray) -> np.ndarray:
        nonlocal total
        total = total + g**2
        return -rate * g / np.sqrt(total + epsilon)

    return step


def rmsprop(rate: float, keep: float = 0.9, epsilon: float = 1e-7) -> Rule:
    """Divide by the root of a running mean of squared gradients (Tieleman and Hinton 2012)."""
    mean = np.zeros(2)

    def step(g: np.ndarray) -> np.ndarray:
        nonlocal mean
        mean = keep * mean + (1 - keep) * g**2
        return -rate * g / np.sqrt(mean + epsilon)

    return step


def adam(rate: float, keep: float = 0.9, keep_squares: float = 0.999, epsilon: float = 1e-7) -> Rule:
    """Momentum and RMSProp, both corrected for their start at zero (Kingma and Ba 2015)."""
    mean, squares, n = np.zeros(2), np.zeros(2), 0

    def step(g: np.ndarray) -> np.ndarray:
        nonlocal mean, squares, n
        n += 1
        mean = keep * mean + (1 - keep) * g
        squares = keep_squares * squares + (1 - keep_squares) * g**2
        corrected = rate * np.sqrt(1 - keep_squares**n) / (1 - keep**n)
        return -corrected * mean / (np.sqrt(squares) + epsilon)

    return step


RACERS: dict[str, Callable[[], Rule]] = {
    "SGD": lambda: sgd(0.003),
    "momentum": lambda: momentum(0.003),
    "Nesterov": lambda: momentum(0.003, is_nesterov=True),
    "AdaGrad": lambda: adagrad(0.5),
    "RMSProp": lambda: rmsprop(0.02),
    "Adam": lambda: adam(0.1),
}


def height(place: np.ndarray) -> np.ndarray:
    """Return Beale's function of places `(..., 2)`."""
    x, y = place[..., 0], place[..., 1]
    return np.asarray((1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2)


def gradient(place: np.ndarray) -> np.ndarray:
    """Return `(2,)`: the gradient of `height`."""
    x, y = place
    parts = [(1.5 - x + x * y, y, 1), (2.25 - x + x * y**2, y**2, 2 * y), (2.625 - x + x * y**3, y**3, 3 * y**2)]
    return np.array(
        [sum(2 * r * (power - 1) for r, power, _ in parts), sum(2 * r * x * slope for r, _, slope in parts)]
    )


def race(steps: int) -> dict[str, np.ndarray]:
    """Return each optimiser's path, `(steps + 1, 2)`."""
    paths = {}
    for name, make in RACERS.items():
        rule, places = make(), [START]
        for _ in range(steps):
            places.append(places[-1] + rule(gradient(places[-1])))
        paths[name] = np.array(places)
    return paths


def draw(paths: dict[str, np.ndarray], upto: int, axes: Any) -> None:
    """Draw the surface's contours and the paths up to a step."""
    xx, yy = np.meshgrid(np.linspace(-0.5, 4.5, 200), np.linspace(-1.6, 2.2, 200))
    axes.contour(xx, yy, height(np.stack([xx, yy], axis=2)), np.logspace(-2, 4, 19), colors="0.75", linewidths=0.7)
    for place, (name, path) in enumerate(paths.items()):
        colour = f"C{place}"
        axes.plot(*path[: upto + 1].T, color=colour, lw=1.5, label=f"{name} {height(path[upto]):.2g}")
        axes.plot(*path[upto], "o", color=colour)
    axes.plot(*MINIMUM, "k*", ms=14)
    axes.set(title=f"step {upto}", xlim=(-0.5, 4.5), ylim=(-1.6, 2.2))
    axes.legend(loc="lower left", fontsize=8, title="height above the minimum")


def main(picture: Path, animation: Path, steps: int = 300, frames: int = 40) -> dict[str, float]:
    """Draw the race; returns each optimiser's last height above the minimum, which is 0."""
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    paths = race(steps)
    figure = Figure((8, 5), layout="constrained")
    axes = figure.subplots()
    draw(paths, steps, axes)
    figure.savefig(picture)
    at = np.unique(np.geomspace(1, steps, frames).astype(int))  # the first steps are the quickest
    film = FuncAnimation(figure, lambda step: (axes.clear(), draw(paths, step, axes)), frames=at)
    film.save(animation, PillowWriter(fps=8), dpi=60)
    ends = {name: float(height(path[-1])) for name, path in paths.items()}
    print(", ".join(f"{name} {end:.3g}" for name, end in sorted(ends.items(), key=lambda item: item[1])))
    return ends


if __name__ == "__main__":
    given = [*sys.argv[1:], *["optimizers.png", "optimizers.gif"][len(sys.argv) - 1 :]]
    main(*map(Path, given))
