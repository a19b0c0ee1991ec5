"""The steps that fitted models are made of: everything that predicts, and nothing that fits.

Heads, stacked ensembles and adjustments all return these. The file imports NumPy (and LightGBM for trees) and the model
format only, so that an exported model can run the same code.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from podium.contracts.models import Fitted

BLOCK = 256  # rows
_THREADS = 2  # of LightGBM; fixed, like everything that may change how numbers are rounded


def predict(model: Fitted, x: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Return `(n, k)` float32 of features `(n, d)`, each row independent of the rest of the batch.

    Matrix products round a row differently among other rows. In float64, and in blocks of one shape (the last one is
    padded), what is left of that is far below what float32 shows. A smaller `block` suits a few rows in a hurry.
    """
    blocks = []
    for start in range(0, max(len(x), 1), block):  # no rows are one empty block, which knows its columns
        rows = x[start : start + block]
        padded = np.zeros((block, x.shape[1]))
        padded[: len(rows)] = rows
        blocks.append(model.predict(padded)[: len(rows)].astype(np.float32))
    return np.concatenate(blocks)


@dataclass(frozen=True)
class Chain(Fitted):
    """Steps, each on what the one before it returns."""

    steps: tuple[Fitted, ...]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return what the last step returns."""
        for step in self.steps:
            x = step.predict(x)
        return x


@dataclass(frozen=True)
class Standardize(Fitted):
    """Columns shifted by their mean, then scaled; `mean` and `scale` are `(d,)` float32."""

    mean: np.ndarray
    scale: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, d)`, in the precision of `x`."""
        centred = x - self.mean
        centred *= self.scale
        return np.asarray(centred)


@dataclass(frozen=True)
class Project(Fitted):
    """Principal components: columns times `axes (d, c)`."""

    axes: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, c)`."""
        return np.asarray(x @ self.axes)


@dataclass(frozen=True)
class Linear(Fitted):
    """A linear map: `x @ weights (d, k) + offsets (k,)`; logits, decisions or values."""

    weights: np.ndarray
    offsets: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        return np.asarray(x @ self.weights + self.offsets)


@dataclass(frozen=True)
class Affine(Fitted):
    """Columns scaled, then shifted: a trained batch norm, or values brought back to their own units."""

    scale: np.ndarray | float
    shift: np.ndarray | float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        return np.asarray(x * self.scale + self.shift)


@dataclass(frozen=True)
class Relu(Fitted):
    """Negative numbers become 0."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return an array like `x`."""
        return np.asarray(np.maximum(x, 0))


@dataclass(frozen=True)
class Sigmoid(Fitted):
    """Logits to probabilities, each column by itself."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return an array like `x`, in [0, 1]."""
        return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))  # no overflow for any logit


@dataclass(frozen=True)
class Softmax(Fitted):
    """Logits to probabilities of classes that exclude each other."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return an array like `x` whose rows sum to 1."""
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Clip(Fitted):
    """Probabilities in [0, 1], whatever a library's rounding made of them."""

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return an array like `x`."""
        return np.asarray(np.clip(x, 0, 1))


@dataclass(frozen=True)
class Platt(Fitted):
    """Decisions to probabilities by a sigmoid for each column (Platt 1999); `slopes (k, 2)` are slope and offset.

    Of classes that exclude each other, the sigmoids are divided by their sum.
    """

    slopes: np.ndarray
    is_exclusive: bool

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)` in [0, 1]."""
        p = Sigmoid().predict(x * self.slopes[:, 0] + self.slopes[:, 1])
        return Clip().predict(p / p.sum(axis=1, keepdims=True) if self.is_exclusive else p)


@dataclass(frozen=True)
class Constant(Fitted):
    """The same numbers for every row: `values (k,)`, of a label that all training rows have, or none."""

    values: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        return np.tile(self.values, (len(x), 1))


@dataclass(frozen=True)
class Columns(Fitted):
    """One model for each label, or for each part of the columns, side by side."""

    models: tuple[Fitted, ...]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        return np.hstack([model.predict(x) for model in self.models])


@dataclass(frozen=True)
class Fill(Fitted):
    """Columns that a model predicts among columns that are constant: `values (k,)`, and `is_predicted (k,)`."""

    values: np.ndarray
    is_predicted: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        p = np.tile(self.values.astype(np.float64), (len(x), 1))
        p[:, self.is_predicted] = x
        return p


@dataclass(frozen=True)
class Interpolate(Fitted):
    """A monotone piecewise linear map of each number: from `points` to `values`, both `(m,)`."""

    points: np.ndarray
    values: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return an array like `x`, float32."""
        return np.asarray(np.interp(x, self.points, self.values), np.float32)


@dataclass(frozen=True)
class Mean(Fitted):
    """The mean of several models' predictions."""

    models: tuple[Fitted, ...]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)`."""
        return np.asarray(np.mean([model.predict(x) for model in self.models], axis=0))


@dataclass(frozen=True)
class Rows(Fitted):
    """Training rows that a model compares with: lines `index` of `source (m, d)`, through `transform`.

    `source` holds the rows of all folds, and is written once for all of their models.
    """

    source: np.ndarray
    index: np.ndarray
    transform: Fitted

    @cached_property
    def values(self) -> np.ndarray:
        """Return `(n_train, c)`."""
        return self.transform.predict(np.asarray(self.source[self.index], np.float64))


@dataclass(frozen=True)
class Kernel(Fitted):
    """A sum of Gaussian kernels: `(offset + exp(-gamma |x - row|^2)) @ dual (n_train, k) + intercept`."""

    rows: Rows
    gamma: float
    dual: np.ndarray
    offset: float
    intercept: np.ndarray | float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return decisions or values `(n, k)` float64 of transformed features."""
        return np.asarray(similarities(x, self.rows.values, self.gamma, self.offset) @ self.dual + self.intercept)


def similarities(a: np.ndarray, b: np.ndarray, gamma: float, offset: float = 0.0) -> np.ndarray:
    """Return `(len(a), len(b))` float64: the Gaussian kernel of rows, plus `offset`."""
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b) - 2 * (a @ b.T)
    return np.asarray(offset + np.exp(-gamma * np.maximum(squares, 0).astype(np.float64)))


@dataclass(frozen=True)
class Votes(Fitted):
    """Decisions between pairs of classes to one score a class: votes, then confidence where votes are equal.

    The rule of scikit-learn's `SVC(decision_function_shape="ovr")`: pairs (0, 1), (0, 2), ..., positive for the first.
    """

    n_classes: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, n_classes)` float64 of `(n, n_classes (n_classes - 1) / 2)`."""
        votes, confidence = np.zeros((2, len(x), self.n_classes))
        for pair, (a, b) in enumerate(zip(*np.triu_indices(self.n_classes, 1), strict=True)):
            votes[:, a] += x[:, pair] >= 0
            votes[:, b] += x[:, pair] < 0
            confidence[:, a] += x[:, pair]
            confidence[:, b] -= x[:, pair]
        return np.asarray(votes + confidence / (3 * (np.abs(confidence) + 1)))


@dataclass(frozen=True)
class Neighbours(Fitted):
    """The targets of the `n_near` training rows of the highest cosine similarity, the nearer the heavier.

    A neighbour's weight is exp(similarity / temperature); `prior` rows' worth of the mean target keeps probabilities
    from 0. `targets (n_train, k)`, `mean (k,)`, `weight (n_train,)`.
    """

    rows: Rows
    targets: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    n_near: int
    temperature: float
    prior: float

    @cached_property
    def _directions(self) -> np.ndarray:
        return unit_rows(self.rows.values)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)` of transformed features."""
        similarity = unit_rows(x) @ self._directions.T
        near = np.argpartition(-similarity, self.n_near - 1, axis=1)[:, : self.n_near]
        closeness = np.take_along_axis(similarity, near, axis=1)
        # Relative to the nearest, so that rows far from all training rows still follow their neighbours.
        weight = np.exp((closeness - closeness.max(axis=1, keepdims=True)) / self.temperature) * self.weight[near]
        total = (weight[:, :, None] * self.targets[near]).sum(axis=1) + self.prior * self.mean
        return np.asarray(total / (weight.sum(axis=1, keepdims=True) + self.prior))


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


@dataclass(frozen=True)
class Impute(Fitted):
    """One column of numbers: `fill` where missing, and where `is_flagged` a second column that is 1 there."""

    fill: float
    is_flagged: bool

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, 1)` or `(n, 2)` of `(n, 1)`."""
        missing = np.isnan(x)
        filled = np.where(missing, self.fill, x)
        return np.hstack([filled, missing]) if self.is_flagged else np.asarray(filled)


@dataclass(frozen=True)
class DateParts(Fitted):
    """One column of days since 1970: the days, and for each of `periods` (in days) sine and cosine of the phase."""

    fill: float
    periods: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, 1 + 2 periods)` of `(n, 1)`."""
        days = np.where(np.isnan(x), self.fill, x)
        phase = 2 * np.pi * days / self.periods
        return np.hstack([days, np.sin(phase), np.cos(phase)])


@dataclass(frozen=True)
class OneHot(Fitted):
    """One column of categories: a column of 0 and 1 for each of `codes (c,)`; all 0 for a category not among them.

    A NaN among the codes stands for missing cells.
    """

    codes: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, c)` of `(n, 1)`."""
        return _equal(x, self.codes).astype(np.float64)


@dataclass(frozen=True)
class Ordinal(Fitted):
    """One column of categories: their place among the rising `codes (c,)`, -1 for any other and where missing."""

    codes: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, 1)` of `(n, 1)`."""
        known = _equal(x, self.codes)
        return np.where(known.any(axis=1), known @ np.arange(len(self.codes)), -1.0)[:, None]


@dataclass(frozen=True)
class CategoryMeans(Fitted):
    """One column of categories: the mean target of each of `codes (c,)`, `means (c, k)`; `prior (k,)` for any other."""

    codes: np.ndarray
    means: np.ndarray
    prior: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)` of `(n, 1)`."""
        known = _equal(x, self.codes)
        return np.where(known.any(axis=1, keepdims=True), known.astype(np.float64) @ self.means, self.prior)


def _equal(x: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return `(n, c)` bool of `(n, 1)` and `(c,)`: NaN equals NaN."""
    return np.asarray((x == codes) | (np.isnan(x) & np.isnan(codes)))


@dataclass(frozen=True)
class EncodeMetadata(Fitted):
    """Features as they are, and the columns of metadata behind the first `n_features`, each through its own step."""

    n_features: int
    columns: tuple[Fitted, ...]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, n_features + e)` float64."""
        cells = x[:, self.n_features :].astype(np.float64)
        encoded = [step.predict(cells[:, [place]]) for place, step in enumerate(self.columns)]
        return np.hstack([x[:, : self.n_features], *encoded])


@dataclass(frozen=True)
class Trees(Fitted):
    """Boosted trees in LightGBM's own text format; `(n, k)` probabilities or values."""

    text: str

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, k)` float64."""
        return np.asarray(self._booster.predict(x, num_threads=_THREADS)).reshape(len(x), -1)
