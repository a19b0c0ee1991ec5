"""What several heads do to their inputs and outputs."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from podium.contracts.models import Fitted
from podium.contracts.steps import Affine, Chain, Columns, Constant, Platt, Project, Rows, Standardize
from podium.heads import Training
from podium.splits import folds

Fit = Callable[[Training], Fitted]

_BLOCK = 256  # rows


def standardize(x: np.ndarray) -> Standardize:
    """Return the map to zero mean and unit variance of each column of `x`; a constant column becomes 0."""
    mean, std = _moments(x)
    scale = np.where(std > 1e-6 * (np.abs(mean) + 1e-6), 1 / np.maximum(std, 1e-30), 0.0).astype(np.float32)
    return Standardize(mean.astype(np.float32), scale)


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of each column, in float64.

    In blocks that stay in a core's cache, about the first row: five times faster than a float64 copy of all.
    """
    origin = x[0].astype(np.float64)
    total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for start in range(0, len(x), _BLOCK):
        part = x[start : start + _BLOCK] - origin
        total += part.sum(axis=0)
        squares += np.einsum("ij,ij->j", part, part)
    mean = total / len(x)
    return origin + mean, np.sqrt(np.maximum(squares / len(x) - mean**2, 0))


@cache
def _say(text: str) -> None:
    """Print to standard error, once: folds of one size have the same to say."""
    print(text, file=sys.stderr)  # noqa: T201


def reduce(x: np.ndarray, n_components: int | None) -> Fitted:
    """Return the map to standardised features or, with a number, to that many principal components of them.

    All components are divided by one constant, so that their mean variance is 1. Where there are fewer than asked
    for, all are taken, and this is said.
    """
    scale = standardize(x)
    if n_components is None:
        return scale
    from scipy.linalg import eigh

    scaled = scale.predict(x)
    n, d = scaled.shape
    if n_components > min(n, d):
        _say(f"pca: {n_components} components of {n} rows with {d} features: all {min(n, d)} that there are")
    # Of the two Gram matrices the smaller one has all the eigenvectors that count; only those asked for are computed.
    gram = scaled.T @ scaled if d <= n else scaled @ scaled.T
    last = len(gram) - 1
    values, axes = eigh(gram, subset_by_index=[max(last + 1 - n_components, 0), last], overwrite_a=True)
    if d > n:
        axes = scaled.T @ (axes / np.sqrt(np.maximum(values, 1e-6 * values[-1])))
    axes = axes / np.sqrt(max(values.sum() / (n * len(values)), 1e-12))
    return Chain((scale, Project(axes)))


def training_rows(data: Training, transform: Fitted, x: np.ndarray) -> Rows:
    """Return the training rows for a model that compares with them; `x` are those of `data` through `transform`.

    Components are fewer than features, so they are kept as they are; else all folds share one array of features.
    """
    if isinstance(transform, Chain) or data.source is None or data.index is None:
        return Rows(x, np.arange(len(x)), Chain(()))
    return Rows(data.source, data.index, transform)


def per_label(data: Training, fit: Fit) -> Fitted:
    """Fit a model, or for a multilabel task one for each label; a label that all or none have is predicted so."""
    if data.task != "multilabel":
        return fit(data)
    return Columns(
        tuple(
            Constant(y[:1]) if (y == y[0]).all() else fit(replace(data, y=y, task="binary", n_outputs=1))
            for y in data.y.T
        )
    )


def calibrated(data: Training, fit: Fit, parts: int) -> Fitted:
    """Turn a model's decisions into probabilities, by decisions for training rows that the model did not see.

    They come from models of `parts` inner folds; the model that predicts is fitted on all rows. Rows of a class that is
    in one part only are left out of none, and their decisions are those of this last model.
    """
    part = folds.inner(data.y, data.group, parts, data.seed, is_value=False)
    for label in np.unique(data.y):
        if len(np.unique(part[data.y == label])) == 1:
            part[data.y == label] = -1
    model = fit(data)
    unseen = model.predict(data.x).astype(np.float64)
    for i in np.unique(part[part >= 0]):
        unseen[part == i] = fit(data.of(part != i)).predict(data.x[part == i])
    return Chain((model, calibration(data, unseen)))


def calibration(data: Training, unseen: np.ndarray) -> Platt:
    """Return the map of decisions to probabilities, learnt on decisions `(n, k)` for rows that no model saw."""
    truth = one_against_rest(data) > 0
    slopes = np.array([_platt(unseen[:, j], truth[:, j], data.weight) for j in range(data.n_outputs)])
    return Platt(slopes, data.task == "multiclass")


def one_against_rest(data: Training) -> np.ndarray:
    """Return `(n, k)` float64: +1 where a row has the class or label, -1 where not."""
    of_class = np.arange(data.n_outputs) if data.task == "multiclass" else 1
    return np.asarray(2.0 * (data.y.reshape(len(data.y), -1) == of_class) - 1.0)


def fit_svm(data: Training, pca: int | None, inner: int, decide: Fit, regress: Fit) -> Fitted:
    """Fit a support vector machine on scaled features: values in their own standard units, or calibrated decisions."""
    scale = reduce(data.x, pca)
    data = replace(data, x=scale.predict(data.x))
    if data.task == "regression":
        mean, std = float(data.y.mean()), float(data.y.std()) or 1.0
        return Chain((scale, regress(replace(data, y=(data.y - mean) / std)), Affine(std, mean)))
    return Chain((scale, per_label(data, lambda rows: calibrated(rows, decide, inner))))


def _platt(decision: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of the sigmoid of least log loss, by damped Newton steps (Lin, Lin & Weng 2007).

    Targets are smoothed as Platt does: by one row of the other kind, so that separable decisions stay finite.
    """
    from scipy.special import expit  # a quarter of a second, which stages without a fit do not spend

    scale = max(float(np.abs(decision).max()), 1e-12)
    a = np.column_stack([decision / scale, np.ones(len(decision))])
    positive, negative = weight[truth].sum(), weight[~truth].sum()
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(w: np.ndarray) -> float:
        z = a @ w
        return float(weight @ (np.logaddexp(0, z) - target * z))

    w, best = np.zeros(2), loss(np.zeros(2))
    for _ in range(100):
        p = expit(a @ w)
        gradient = a.T @ (weight * (p - target))
        hessian = (a * (weight * p * (1 - p))[:, None]).T @ a + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-8 and loss(w - size * step) > best - 1e-4 * size * (gradient @ step):  # noqa: PLR2004  # Armijo
            size /= 2
        w, before, best = w - size * step, best, loss(w - size * step)
        if before - best < 1e-9 * (1 + best):  # it is flat
            break
    return float(w[0] / scale), float(w[1])
