"""All folds and a grid of strengths of logistic regression: podium's head against scikit-learn's lbfgs in a loop.

    python benchmarks/linear_heads.py                                   # 50,000 x 1,280, 10 classes, made up
    python benchmarks/linear_heads.py --features features/cifar10/lite0.h5 --rows data/cifar10/rows.parquet

Prints, for each strength, both out-of-fold log losses, and at the end both times and their ratio.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from podium.contracts import features
from podium.heads.lbfgs import path
from podium.heads.shared import standardised

GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FOLDS = 5


def main() -> None:
    """Time both on the same standardised float32 rows and folds; one warm-up of each library goes first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000)
    parser.add_argument("--d", type=int, default=1_280)
    parser.add_argument(
        "--their-folds", type=int, default=FOLDS, help="fit scikit-learn on so many folds, and scale up"
    )
    parser.add_argument("--features", type=Path)
    parser.add_argument("--rows", type=Path)
    args = parser.parse_args()
    x, y = _real(args.features, args.rows) if args.features else _made_up(args.n, args.d)
    fold = np.random.default_rng(1).permutation(len(x)) % FOLDS
    print(f"{len(x):,} rows x {x.shape[1]:,} features, {y.max() + 1} classes, {FOLDS} folds, C in {GRID}")
    _ours(x[:2000], y[:2000], fold[:2000])
    _theirs(x[:2000], y[:2000], fold[:2000], GRID[:1], 1)
    ours, ours_s, ours_cpu_s = _timed(lambda: _ours(x, y, fold))
    print(f"podium: {ours_s:.1f} s, {ours_cpu_s:.1f} s of processor time", flush=True)
    theirs, *seconds = _timed(lambda: _theirs(x, y, fold, GRID, args.their_folds))
    theirs_s, theirs_cpu_s = (value * FOLDS / args.their_folds for value in seconds)
    compared = fold < args.their_folds
    ours, theirs = _losses(ours[:, compared], y[compared]), _losses(theirs[:, compared], y[compared])
    for C, a, b in zip(GRID, ours, theirs, strict=True):
        print(f"C {C:<7g} log loss: podium {a:.5f}, scikit-learn {b:.5f}, ratio {a / b:.4f}")
    print(f"best of the grid: podium {ours.min():.5f}, scikit-learn {theirs.min():.5f}")
    print(f"podium {ours_s:.1f} s, scikit-learn {theirs_s:.1f} s: {theirs_s / ours_s:.1f} times faster")
    print(f"processor time {ours_cpu_s:.1f} s and {theirs_cpu_s:.1f} s: {theirs_cpu_s / ours_cpu_s:.1f} times less")


def _timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    return work(), time.perf_counter() - wall, time.process_time() - cpu


def _ours(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    p, truth = np.empty((len(GRID), len(x), y.max() + 1), np.float32), np.eye(y.max() + 1, dtype=np.float32)[y]
    for i in range(FOLDS):
        train, test = _standardised(x, fold, i)
        fitted = path(train, truth[fold != i], np.ones(len(train)), GRID, is_softmax=True, tolerance=1e-4)
        for j, (_, model) in enumerate(fitted):
            p[j, fold == i] = model(test)
    return p


def _theirs(x: np.ndarray, y: np.ndarray, fold: np.ndarray, grid: tuple[float, ...], n_folds: int) -> np.ndarray:
    p = np.empty((len(grid), len(x), y.max() + 1), np.float32)
    for i in range(n_folds):
        train, test = _standardised(x, fold, i)
        for j, C in enumerate(grid):
            model = LogisticRegression(C=C, max_iter=1000).fit(train, y[fold != i])
            p[j, fold == i] = model.predict_proba(test)
    return p


def _standardised(x: np.ndarray, fold: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
    train = x[fold != i]
    scale = standardised(train)
    return scale(train), scale(x[fold == i])


def _losses(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(p[:, np.arange(len(y)), y], 1e-15, 1)).mean(axis=1)


def _made_up(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rectified mixtures of 64 hidden causes with noise, and classes that the causes make likely."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n, 64)).astype(np.float32)
    y = (1.5 * causes @ rng.normal(size=(64, 10)) + rng.gumbel(size=(n, 10))).argmax(axis=1)
    mixing = (rng.normal(size=(64, d)) * rng.uniform(0.2, 1, (64, 1)) / 4).astype(np.float32)
    return np.maximum(causes @ mixing + 0.7 * rng.normal(size=(n, d)).astype(np.float32) - 0.3, 0), y


def _real(file: Path, rows: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the first view's features and the classes of the training rows; images are named as their rows."""
    found = features.read(file)
    labels = pd.read_parquet(rows).query("split == 'train'").set_index("row_id")["y"]
    first = (found.index["view"] == found.index["view"].iloc[0]) & found.index["image_id"].isin(labels.index)
    return found.matrix[first].astype(np.float32), labels[found.index.loc[first, "image_id"]].to_numpy(np.int64)


if __name__ == "__main__":
    main()
