"""What predictions are scored by: each metric one function, with its direction and what it takes.

`y` is coded by the task: `(n,)` 0/1, class index or value, or `(n, n_labels)` 0/1. What is scored is
`(n, k)` probabilities (`k = 1` for binary), `(n, k)` values, or labels of the same shape and coding as
`y`. Texts are `(n,)` str on both sides. Of masks `y` is `(n, c)`, the pixels of each image and class, and what is
scored `(n, c, 2)`: the pixels that are predicted, and those of them that are right. `weight` is `(n,)`, positive, or
None for equal weights. Boxes are `Boxes`, held against `(n,)` of `Annotated`.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from podium.errors import PodiumError
from podium.metrics import boxes as box_metrics

Weight = np.ndarray | None
Function = Callable[[np.ndarray, np.ndarray, Weight], float]
Takes = Literal["probs", "labels", "values", "texts", "lenient_texts", "text_values", "overlaps", "boxes"]
Direction = Literal["higher", "lower"]

CLASSES = ("binary", "multiclass", "multilabel")
TEXTS = ("text",)
MASKS = ("masks",)
BOXES = ("boxes",)
_AT_K = re.compile(r"(map|top)@([1-9]\d*)")


class Decides(Protocol):
    """The part of a task that scoring needs."""

    def decide(self, p: np.ndarray) -> np.ndarray:
        """Return labels of the same shape and coding as `y`."""


@dataclass(frozen=True)
class Metric:
    """A scoring function, the direction that is better, what it takes, and the kinds of task it can score."""

    name: str
    function: Function
    direction: Direction
    takes: Takes
    tasks: tuple[str, ...]

    @property
    def sign(self) -> int:
        """Return 1 where lower is better and -1 where higher is: the sign that makes a score a loss."""
        return 1 if self.direction == "lower" else -1

    def __call__(self, y: np.ndarray, p: np.ndarray, weight: Weight = None) -> float:
        """Return the score of what the metric takes: probabilities, labels or values."""
        return float(self.function(y, p, weight))

    def score(self, y: np.ndarray, p: np.ndarray, task: Decides, weight: Weight = None) -> float:
        """Return the score of a task's predictions `(n, k)`, made into labels first where it takes labels."""
        return self(y, task.decide(p) if self.takes == "labels" else p, weight)

    def loss(self, y: np.ndarray, p: np.ndarray, task: Decides, weight: Weight = None) -> float:
        """Return the score, signed so that lower is better."""
        return self.sign * self.score(y, p, task, weight)


METRICS: dict[str, Metric] = {}


def metric(
    *, direction: Direction, takes: Takes, tasks: tuple[str, ...], name: str | None = None
) -> Callable[[Function], Metric]:
    """Make a scoring function a Metric. A competition's own metric, named `module:function`, uses it too.

    Raises PodiumError for a direction, a form of predictions or a kind of task that there is not.
    """
    for key, value, choices in (
        ("direction", direction, get_args(Direction)),
        ("takes", takes, get_args(Takes)),
    ):
        if value not in choices:
            raise PodiumError(f"@metric: {key}: {value!r}; choose one of: {', '.join(choices)}")

    def decorate(function: Function) -> Metric:
        return Metric(name or function.__name__, function, direction, takes, tasks)

    return decorate


def find(name: str, where: str) -> Metric:
    """Return the metric of a name: a built-in one, `map@K`, `top@K`, `ap@IOU`, or `module:function` of the user's own.

    A module is looked for in the working directory, the repository's root, first. `where` opens the error.
    """
    if name in METRICS:
        return METRICS[name]
    if match := _AT_K.fullmatch(name):
        return _at_k(match[1], int(match[2]))
    if found := box_metrics.parse(name):
        return Metric(name, found, "higher", "boxes", BOXES)
    if ":" in name:
        return _own(name, where)
    choices = ", ".join([*sorted(METRICS), "map@K", "top@K", *box_metrics.NAMES, "module:function"])
    raise PodiumError(f"{where}: unknown metric {name!r}; choose one of: {choices}")


def jackknife(score: Callable[[np.ndarray], float], n: int, blocks: int = 50) -> float:
    """Return the standard error of any statistic of `n` rows, such as the difference of two members' scores.

    Delete-a-block jackknife (Kunsch 1989; here every `blocks`-th row is a block): `score` takes the positions
    of the rows to keep. For a mean over rows it agrees with the usual standard error.
    """
    blocks = min(blocks, n)
    rows = np.arange(n)
    scores = np.array([score(rows[rows % blocks != block]) for block in range(blocks)])
    return float(np.sqrt((blocks - 1) * scores.var()))


def _own(name: str, where: str) -> Metric:
    module_name, _, function_name = name.partition(":")
    root = str(Path.cwd())
    sys.path.insert(0, root)
    try:
        found = getattr(import_module(module_name), function_name, None)
    except PodiumError as error:
        raise PodiumError(f"{where}: {name}: {error}") from None
    except Exception as error:  # noqa: BLE001  # whatever the user's code raises: TypeError for `takes` left out
        raise PodiumError(f"{where}: {name}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(root)
    if not isinstance(found, Metric):
        raise PodiumError(f"{where}: {name}: must be a function decorated with @podium.metrics.metric(...)")
    return replace(found, name=name)


def _register(found: Metric) -> Metric:
    METRICS[found.name] = found
    return found


# Probabilities


@_register
@metric(direction="lower", takes="probs", tasks=CLASSES)
def log_loss(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
    """Mean negative log likelihood; for several labels the mean over them.

    Kaggle's definition: rows of several classes are rescaled to sum to 1, then clipped at 1e-15.
    """
    p = p.astype(np.float64)
    if y.ndim == 1 and p.shape[1] > 1:
        total = p.sum(axis=1)
        if (total <= 0).any():
            raise PodiumError(f"log_loss: {(total <= 0).sum()} rows give no class any probability")
        truth = p[np.arange(len(y)), y.astype(np.int64)] / total
        return _mean(-np.log(np.clip(truth, 1e-15, 1.0)), weight)
    truth = np.where(_columns(y) == 1, p, 1.0 - p)
    return _mean(-np.log(np.clip(truth, 1e-15, 1.0)).mean(axis=1), weight)


@_register
@metric(direction="lower", takes="probs", tasks=CLASSES)
def brier(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
    """Mean squared error of the probabilities, summed over classes (Brier 1950); of P(positive) if binary."""
    return _mean(((_indicators(y, p) - p) ** 2).sum(axis=1), weight)


@_register
@metric(direction="higher", takes="probs", tasks=CLASSES)
def auc(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
    """Area under the ROC curve (Fawcett 2006); the mean over labels, or over classes against the rest."""
    return _over_columns(_auc, _indicators(y, p), p, weight)


@_register
@metric(direction="higher", takes="probs", tasks=CLASSES)
def average_precision(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
    """Sum of precision times gain in recall (scikit-learn's definition, without interpolation); mean over columns."""
    return _over_columns(_average_precision, _indicators(y, p), p, weight)


def _at_k(kind: str, k: int) -> Metric:
    def map_at_k(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
        """Mean average precision of the k likeliest labels (Kaggle): hits' precisions / min(k, true labels)."""
        hits = np.take_along_axis(_indicators(y, p), _likeliest(p)[:, :k], axis=1)
        precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
        possible = np.clip(_indicators(y, p).sum(axis=1), 1, k)
        return _mean((precision * hits).sum(axis=1) / possible, weight)

    def top_at_k(y: np.ndarray, p: np.ndarray, weight: Weight) -> float:
        """Share of rows whose class is among the k likeliest (ILSVRC's top-k accuracy)."""
        return _mean((_likeliest(p)[:, :k] == _columns(y)).any(axis=1), weight)

    function = map_at_k if kind == "map" else top_at_k
    tasks = ("multiclass", "multilabel") if kind == "map" else ("multiclass",)
    return Metric(f"{kind}@{k}", function, "higher", "probs", tasks)


# Labels


@_register
@metric(direction="higher", takes="labels", tasks=CLASSES)
def accuracy(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Share of rows whose label, or whole set of labels, is right."""
    return _mean((_columns(y) == _columns(labels)).all(axis=1), weight)


@_register
@metric(direction="higher", takes="labels", tasks=("binary", "multiclass"))
def balanced_accuracy(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Mean recall of the classes that occur (Brodersen et al. 2010)."""
    table = _confusion(y, labels, weight)
    actual = table.sum(axis=1)
    return float((np.diag(table)[actual > 0] / actual[actual > 0]).mean())


@_register
@metric(direction="higher", takes="labels", tasks=("binary",))
def f1(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """F1 of the positive class: 2 tp / (2 tp + fp + fn) (van Rijsbergen 1979); 0 where undefined, in all variants."""
    return float(_f1(_columns(y), _columns(labels), weight, axis=0).mean())


@_register
@metric(direction="higher", takes="labels", tasks=CLASSES)
def f1_macro(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Mean of the classes' F1, of all classes that occur in truth or prediction; of all labels if multilabel."""
    return float(_f1(*_label_columns(y, labels), weight, axis=0).mean())


@_register
@metric(direction="higher", takes="labels", tasks=CLASSES)
def f1_micro(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """F1 of all decisions counted together; accuracy, where there is one label a row."""
    return float(_f1(*_label_columns(y, labels), weight, axis=None))


@_register
@metric(direction="higher", takes="labels", tasks=("multilabel",))
def f1_samples(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Mean of the rows' F1."""
    return _mean(_f1(y, labels, None, axis=1), weight)


@_register
@metric(direction="higher", takes="labels", tasks=("binary", "multiclass"))
def mcc(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Matthews' correlation coefficient, for any number of classes (Gorodkin 2004); 0 where undefined."""
    table = _confusion(y, labels, weight)
    actual, predicted, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    covariance = np.trace(table) * total - actual @ predicted
    spread = (total**2 - actual @ actual) * (total**2 - predicted @ predicted)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


@_register
@metric(direction="higher", takes="labels", tasks=("binary", "multiclass", "regression"))
def quadratic_weighted_kappa(y: np.ndarray, labels: np.ndarray, weight: Weight) -> float:
    """Cohen's kappa with squared distances as weights (Cohen 1968); values are rounded to the nearest grade."""
    table = _confusion(np.rint(y), np.rint(labels), weight)
    grades = np.arange(len(table))
    distance = (grades[:, None] - grades) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    by_chance = (distance * expected).sum()
    return float(1 - (distance * table).sum() / by_chance) if by_chance > 0 else 0.0


# Values


@_register
@metric(direction="lower", takes="values", tasks=("regression", "binary"))
def rmse(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(_mean(((_columns(y) - values) ** 2).mean(axis=1), weight)))


@_register
@metric(direction="lower", takes="values", tasks=("regression", "binary"))
def mae(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Mean absolute error."""
    return _mean(np.abs(_columns(y) - values).mean(axis=1), weight)


@_register
@metric(direction="lower", takes="values", tasks=("regression",))
def rmsle(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """RMSE of log(1 + value) (Kaggle); every value must be above -1."""
    if min(y.min(), values.min()) <= -1:
        raise PodiumError("rmsle: values must be above -1; set submission.clip in params.yaml")
    return rmse(np.log1p(y), np.log1p(values.astype(np.float64)), weight)


@_register
@metric(direction="higher", takes="values", tasks=("regression",))
def r2(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Share of the variance explained: 1 - residual / total sum of squares, the total about the weighted mean."""
    total = rmse(y, np.full((len(y), 1), np.average(y, weights=weight)), weight)
    return 1 - (rmse(y, values, weight) / total) ** 2 if total else 0.0


@_register
@metric(direction="higher", takes="values", tasks=("regression", "binary"))
def pearson(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Pearson's correlation; 0 where either side is constant."""
    return _correlation(y, values[:, 0], weight)


@_register
@metric(direction="higher", takes="values", tasks=("regression", "binary"))
def spearman(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Pearson's correlation of the ranks, ties at their mean rank (Spearman 1904)."""
    return _correlation(_ranks(y), _ranks(values[:, 0]), weight)


# What they share


# Texts


@_register
@metric(direction="higher", takes="texts", tasks=TEXTS)
def exact_match(y: np.ndarray, texts: np.ndarray, weight: Weight) -> float:
    """Share of the texts that are right in every character."""
    return _mean((y == texts).astype(np.float64), weight)


@_register
@metric(direction="higher", takes="lenient_texts", tasks=TEXTS)
def lenient_match(y: np.ndarray, texts: np.ndarray, weight: Weight) -> float:
    """Share of the texts that are right once the characters of each of the task's `equal` groups are one."""
    return _mean((y == texts).astype(np.float64), weight)


@_register
@metric(direction="higher", takes="text_values", tasks=TEXTS)
def value_match(y: np.ndarray, values: np.ndarray, weight: Weight) -> float:
    """Share of the texts whose value as arithmetic is right, however it is written; one without a value is wrong."""
    return _mean(np.array([a is not None and a == b for a, b in zip(y, values, strict=True)], np.float64), weight)


@_register
@metric(direction="lower", takes="texts", tasks=TEXTS)
def character_error_rate(y: np.ndarray, texts: np.ndarray, weight: Weight) -> float:
    """Edits from the predictions to the truth, over the truth's characters: sums over all rows, so it may exceed 1."""
    lengths = np.array([len(text) for text in y], np.float64)
    return _mean(_edits(y, texts), weight) / _mean(lengths, weight)


@_register
@metric(direction="lower", takes="texts", tasks=TEXTS)
def edit_distance(y: np.ndarray, texts: np.ndarray, weight: Weight) -> float:
    """Mean of each row's edits over the longer one's characters: the normalised edit distance, in [0, 1]."""
    longer = np.array([max(len(a), len(b), 1) for a, b in zip(y, texts, strict=True)])
    return _mean(_edits(y, texts) / longer, weight)


# Masks


@_register
@metric(direction="higher", takes="overlaps", tasks=MASKS)
def pixel_f1(y: np.ndarray, overlaps: np.ndarray, weight: Weight) -> float:
    """F1, or Dice's coefficient, of the pixels of all images together; the mean over classes that have any."""
    return _pooled(lambda truth, found, both: 2 * both / (truth + found), y, overlaps, weight)


@_register
@metric(direction="higher", takes="overlaps", tasks=MASKS)
def pixel_iou(y: np.ndarray, overlaps: np.ndarray, weight: Weight) -> float:
    """Intersection over union of the pixels of all images together; the mean over classes that have any."""
    return _pooled(lambda truth, found, both: both / (truth + found - both), y, overlaps, weight)


@_register
@metric(direction="higher", takes="overlaps", tasks=MASKS)
def mean_dice(y: np.ndarray, overlaps: np.ndarray, weight: Weight) -> float:
    """Mean Dice's coefficient of images and classes (Kaggle): 1 where truth and prediction are both empty."""
    truth, found, both = y, overlaps[..., 0], overlaps[..., 1]
    dice = np.where(truth + found > 0, 2 * both / np.maximum(truth + found, 1), 1.0)
    return _mean(dice.mean(axis=1), weight)


@_register
@metric(direction="higher", takes="overlaps", tasks=MASKS)
def mean_iou(y: np.ndarray, overlaps: np.ndarray, weight: Weight) -> float:
    """Mean intersection over union of images and classes: 1 where truth and prediction are both empty."""
    return _mean(_iou(y, overlaps).mean(axis=1), weight)


@_register
@metric(direction="higher", takes="overlaps", tasks=MASKS)
def mean_iou_precision(y: np.ndarray, overlaps: np.ndarray, weight: Weight) -> float:
    """Share of the thresholds 0.5, 0.55, ... 0.95 that an image's IoU exceeds, one object an image (TGS Salt)."""
    exceeded = _iou(y, overlaps)[..., None] > np.linspace(0.5, 0.95, 10)
    return _mean(exceeded.mean(axis=(1, 2)), weight)


def _iou(y: np.ndarray, overlaps: np.ndarray) -> np.ndarray:
    union = y + overlaps[..., 0] - overlaps[..., 1]
    return np.where(union > 0, overlaps[..., 1] / np.maximum(union, 1), 1.0)


def _pooled(
    ratio: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    y: np.ndarray,
    overlaps: np.ndarray,
    weight: Weight,
) -> float:
    """Return the mean over classes of a ratio of weighted sums over images; 1 where no class has a pixel."""
    w = np.ones(len(y)) if weight is None else weight
    truth, found, both = (w @ part for part in (y, overlaps[..., 0], overlaps[..., 1]))
    some = truth + found > 0
    return float(ratio(truth[some], found[some], both[some]).mean()) if some.any() else 1.0


def _edits(y: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return `(n,)`: the fewest insertions, deletions and substitutions from one text to the other."""
    return np.array([0 if a == b else levenshtein(a, b) for a, b in zip(y, texts, strict=True)], np.float64)


def levenshtein(a: str, b: str) -> int:
    """Return the fewest insertions, deletions and substitutions from `a` to `b` (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, char in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (char != other))
    return row[-1]


def _mean(rows: np.ndarray, weight: Weight) -> float:
    return float(np.average(rows, weights=weight))


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _indicators(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return `(n, k)` 0/1: one column per column of `p`."""
    return _columns(y) if y.ndim > 1 or p.shape[1] == 1 else (y[:, None] == np.arange(p.shape[1])).astype(np.int64)


def _label_columns(y: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction as 0/1 columns, one for each class that occurs in either."""
    if y.ndim > 1:
        return y, labels
    classes = np.union1d(y, labels)
    return (y[:, None] == classes).astype(np.int64), (labels[:, None] == classes).astype(np.int64)


def _likeliest(p: np.ndarray) -> np.ndarray:
    """Return the columns of each row, the likeliest first; ties in column order."""
    return np.argsort(-p, axis=1, kind="stable")


def _confusion(y: np.ndarray, labels: np.ndarray, weight: Weight) -> np.ndarray:
    """Return the `(classes, classes)` weights of (truth, prediction), from the smallest code to the largest."""
    low = int(min(y.min(), labels.min()))
    side = int(max(y.max(), labels.max())) - low + 1
    cell = (y.astype(np.int64) - low) * side + labels.astype(np.int64) - low
    return np.bincount(cell, weights=weight, minlength=side * side).reshape(side, side).astype(np.float64)


def _f1(y: np.ndarray, labels: np.ndarray, weight: Weight, axis: int | None) -> np.ndarray:
    w = 1.0 if weight is None else weight[:, None]
    both = (w * (y * labels)).sum(axis=axis)
    either = (w * (y + labels)).sum(axis=axis)
    return np.asarray(2 * both / np.where(either > 0, either, 1))


def _over_columns(
    curve: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, p: np.ndarray, weight: Weight
) -> float:
    w = np.ones(len(p)) if weight is None else weight
    return float(np.mean([curve(*_steps(truth[:, j], p[:, j], w)) for j in range(p.shape[1])]))


def _steps(y: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of true and false positives above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    positive = np.cumsum((weight * y)[order])[last]
    negative = np.cumsum((weight * (1 - y))[order])[last]
    if not positive[-1] or not negative[-1]:
        raise PodiumError("this metric needs rows with and without each label; here one has none of either")
    return np.append(0.0, positive), np.append(0.0, negative)


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    return float(np.trapezoid(positive, negative) / (positive[-1] * negative[-1]))


def _average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    precision = positive[1:] / (positive[1:] + negative[1:])
    return float((np.diff(positive) * precision).sum() / positive[-1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])


def _correlation(a: np.ndarray, b: np.ndarray, weight: Weight) -> float:
    table = np.cov(a.astype(np.float64), b.astype(np.float64), aweights=weight, ddof=0)
    spread = np.sqrt(table[0, 0] * table[1, 1])
    return float(table[0, 1] / spread) if spread > 0 else 0.0
