"""How often `podium compare` is right, on simulated experiments whose truth is known.

    python benchmarks/compare.py [--rounds 400]

Each experiment predicts the same 2,000 labelled images in five folds. Its logit is signal, plus an error that both
share (hard images), one of its own for each image, and one for each fold's model (the luck of training).
Prints how many of 100 pairs are told apart, where B is no better (another seed, and so other folds), and
where B is better by twice a standard error; and beside it what the usual tests would say.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import special

from podium import metrics
from podium.analysis import significance
from podium.tasks.binary import Task

N_ROWS, N_FOLDS = 2000, 5
SIGNAL, NOISE = 2.2, 1.5  # about 0.86 accuracy and 0.32 log loss, as the default competition
SHARED = 0.9  # of the error's variance
LUCK = 0.02  # of a fold's model, in signal: 0.002 log loss between seeds
LOG_LOSS = metrics.METRICS["log_loss"]
TASK = Task(target="y")


@dataclass(frozen=True)
class Images:
    """Labels `(n,)` and the error that all models share `(n,)`."""

    y: np.ndarray
    error: np.ndarray


def draw_images(rng: np.random.Generator, n: int) -> Images:
    """Return images, half of them positive."""
    return Images(rng.integers(2, size=n), rng.normal(0, NOISE * SHARED**0.5, n))


def predict(rng: np.random.Generator, images: Images, signal: float, folds: np.ndarray) -> np.ndarray:
    """Return out-of-fold probabilities `(n, 1)` of an experiment of that signal."""
    luck = rng.normal(0, LUCK, folds.max() + 1)[folds]
    own = rng.normal(0, NOISE * (1 - SHARED) ** 0.5, len(folds))
    logit = (signal + luck) * (2 * images.y - 1) + images.error + own
    return special.expit(logit)[:, None]


def standard_errors(rng: np.random.Generator) -> tuple[float, float]:
    """Return the standard error of one log loss, and of the paired difference of two, at 2,000 images."""
    images = draw_images(rng, 400_000)
    folds = np.arange(len(images.y))  # a model for every image: the luck is in the mean
    a, b = (row_losses(images.y, predict(rng, images, SIGNAL, folds)) for _ in "ab")
    return a.std() / N_ROWS**0.5, (a - b).std() / N_ROWS**0.5


def row_losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return each row's log loss."""
    return -np.log(np.where(y == 1, p[:, 0], 1 - p[:, 0]))


def better_signal(gain: float) -> float:
    """Return the signal whose expected log loss is lower by `gain`."""
    rng = np.random.default_rng(1)
    images = draw_images(rng, 400_000)
    own = rng.normal(0, NOISE * (1 - SHARED) ** 0.5, len(images.y))

    def expected(signal: float) -> float:
        p = special.expit(signal * (2 * images.y - 1) + images.error + own)
        return float(row_losses(images.y, p[:, None]).mean())

    low, high = SIGNAL, SIGNAL + 3
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(SIGNAL) - expected(middle) < gain else (low, middle)
    return low


def told_apart(rounds: int, gain: float, *, new_folds: bool) -> dict[str, float]:
    """Return how many of 100 pairs each way of testing calls different (`better` alone, where B is better)."""
    signal = better_signal(gain) if gain else SIGNAL
    found = dict.fromkeys(("podium", "images alone", "folds alone (corrected t)", "folds differ: unpaired"), 0)
    for index in range(rounds):
        rng = np.random.default_rng([index, round(1e6 * gain), new_folds])
        images = draw_images(rng, N_ROWS)
        folds_a = np.arange(N_ROWS) % N_FOLDS
        folds_b = rng.permutation(folds_a) if new_folds else folds_a
        p_a, p_b = predict(rng, images, SIGNAL, folds_a), predict(rng, images, signal, folds_b)

        def loss_a(rows: np.ndarray, y: np.ndarray = images.y, p: np.ndarray = p_a) -> float:
            return LOG_LOSS.loss(y[rows], p[rows], TASK)

        def loss_b(rows: np.ndarray, y: np.ndarray = images.y, p: np.ndarray = p_b) -> float:
            return LOG_LOSS.loss(y[rows], p[rows], TASK)

        groups = np.arange(N_ROWS)
        pair = significance.paired(loss_a, loss_b, groups, folds_a, folds_b, seed=index)
        apart = significance.unpaired(loss_a, loss_b, (groups, groups), (folds_a, folds_b), seed=index)
        found["podium"] += pair.interval.low > 0 or (not gain and pair.interval.high < 0)
        found["images alone"] += pair.over_images.low > 0 or (not gain and pair.over_images.high < 0)
        if pair.over_folds:
            found["folds alone (corrected t)"] += pair.over_folds.low > 0 or (not gain and pair.over_folds.high < 0)
        found["folds differ: unpaired"] += apart.interval.low > 0 or (not gain and apart.interval.high < 0)
    return {way: 100 * count / rounds for way, count in found.items()}


def main() -> None:
    """Print the table and fail where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    single, pair = standard_errors(np.random.default_rng(0))
    print(f"standard error of one log loss {single:.4f}, of the paired difference {pair:.4f}, at {N_ROWS:,} images")
    results = {
        "noise only, another seed and other folds": told_apart(rounds, 0, new_folds=True),
        "noise only, same folds": told_apart(rounds, 0, new_folds=False),
        "B better by 2 standard errors of the score": told_apart(rounds, 2 * single, new_folds=False),
        "B better by 2 standard errors of the paired difference": told_apart(rounds, 2 * pair, new_folds=False),
    }
    for case, found in results.items():
        print(f"\n{case}: told apart, of 100 pairs ({rounds} simulated)")
        for way, share in found.items():
            print(f"  {way:28} {share:5.1f}")
    noise, same, planted, hard = (found["podium"] for found in results.values())
    print(f"\nThe most powerful test of that level finds 64 of the last 100; podium {hard:.0f}.")
    assert noise <= 5, "noise is called a difference"
    assert same <= 5, "noise is called a difference"
    assert planted >= 70, "a planted difference is missed"


if __name__ == "__main__":
    main()
