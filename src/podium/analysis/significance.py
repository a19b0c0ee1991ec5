"""Is B better than A? The difference of two scores on the same rows, and how far to trust it.

Two things make a difference that another draw would not repeat: the images that happen to be there, and
the luck of training (seed, training rows). A paired bootstrap over images measures the first. Folds that
differ by more than their images explain measure the second.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from podium.errors import PodiumError

RowLoss = Callable[[np.ndarray], float]  # positions of rows -> score, signed so that lower is better

RESAMPLES = 1000
LEVEL = 0.95
POWER = 0.8  # of finding the difference, in "how many images it would take"
MOST_UNDEFINED = 0.5  # of the resamples
MOST_IMAGES = 10_000_000  # beyond what anybody labels: the two are as good as equal


@dataclass(frozen=True)
class Interval:
    """Both ends of a 95 % confidence interval of a gain."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much better B is than A, positive where B is better, in units of the score.

    `over_images` is the percentile interval of the bootstrap, `over_folds` that of the corrected resampled t
    (None where A and B were not fitted on the same folds). `interval`, of both errors together, decides.
    """

    gain: float
    interval: Interval
    over_images: Interval
    over_folds: Interval | None
    n: int

    @property
    def verdict(self) -> str:
        """Return `better`, `worse`, `the same` or `cannot tell`: what B is, beside A."""
        if self.interval.low == self.interval.high == 0:
            return "the same"
        if self.interval.low > 0:
            return "better"
        return "worse" if self.interval.high < 0 else "cannot tell"

    @property
    def images_needed(self) -> float:
        """Return how many images would show a gain of this size four times of five; infinite for none.

        The half width of an interval falls with the square root of the number of images.
        """
        from scipy import stats  # 0.3 s, and only where something is compared

        if self.gain == 0:
            return np.inf
        half = (self.interval.high - self.interval.low) / 2
        decisive, powered = stats.norm.ppf((1 + LEVEL) / 2), stats.norm.ppf(POWER)
        return float(self.n * (half / abs(self.gain) * (1 + powered / decisive)) ** 2)

    def sentence(self) -> str:
        """Return the verdict in plain words, with its interval."""
        ends = f"95 % interval {self.interval.low:+.4g} to {self.interval.high:+.4g}"
        if self.verdict == "the same":
            return "No difference: the scored predictions are the same."
        if self.verdict != "cannot tell":
            return f"B is {self.verdict}: by {abs(self.gain):.4g} ({ends})."
        return f"Cannot tell: B differs by {self.gain:+.4g} ({ends}). {self._more()}"

    def _more(self) -> str:
        needed = self.images_needed
        if needed > MOST_IMAGES:
            return f"So small a difference would take more than {MOST_IMAGES:,} images: take either."
        if self.over_images.low > 0 or self.over_images.high < 0:
            return "The images are enough; the folds differ too much: try folds.repeats."
        digits = 10 ** (int(np.log10(needed)) - 1)
        return f"If it is real, it would take about {round(needed / digits) * digits:,} images; there are {self.n:,}."


def paired(
    a: RowLoss, b: RowLoss, groups: np.ndarray, folds_a: np.ndarray, folds_b: np.ndarray, seed: int = 0
) -> Difference:
    """Return the difference of two scores of the same rows.

    Args:
        a: the loss of A on the rows at the given positions.
        b: that of B.
        groups: `(n,)` int codes from 0; rows of one group are drawn together.
        folds_a: `(n,)` int, the fold whose model of A predicted the row.
        folds_b: that of B.
        seed: of the bootstrap.
    """

    def gain(rows: np.ndarray) -> float:
        return a(rows) - b(rows)

    same = np.array_equal(folds_a, folds_b)
    by_folds = [_by_fold(gain, folds) for folds in ([folds_a] if same else [folds_a, folds_b])]
    drawn = bootstrap(gain, groups, seed)
    training = [_training(by_fold, drawn) for by_fold in by_folds]
    return _difference(gain(np.arange(len(groups))), drawn, training, by_folds[0] if same else None, len(groups))


def unpaired(
    a: RowLoss, b: RowLoss, groups: tuple[np.ndarray, np.ndarray], folds: tuple[np.ndarray, np.ndarray], seed: int = 0
) -> Difference:
    """Return the difference of two scores of different rows, whose errors are independent and add up."""
    sides = list(zip((a, b), groups, folds, strict=True))
    scores = [loss(np.arange(len(group))) for loss, group, _ in sides]
    draws = [bootstrap(loss, group, seed + side) for side, (loss, group, _) in enumerate(sides)]
    training = [_training(_by_fold(loss, fold), drawn) for (loss, _, fold), drawn in zip(sides, draws, strict=True)]
    n = min(len(group) for group in groups)
    return _difference(scores[0] - scores[1], draws[0] - draws[1], training, None, n)


def bootstrap(statistic: RowLoss, groups: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Return `(resamples,)` values of a statistic on rows drawn with replacement, whole groups at a time.

    NaN where a draw leaves the statistic undefined, such as AUC without a positive row (Efron and Tibshirani 1993).
    """
    rng = np.random.default_rng(seed)
    rows = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    values = np.empty(resamples)
    for index in range(resamples):
        chosen = rng.integers(len(sizes), size=len(sizes))
        lengths = sizes[chosen]
        # Positions within each chosen group: 0, 1, ... after its own start.
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        values[index] = _or_nan(statistic, rows[np.repeat(starts[chosen], lengths) + within])
    if np.isnan(values).mean() > MOST_UNDEFINED:
        raise PodiumError("the metric is undefined on most resamples of the rows: there are too few of a class")
    return values


def over_folds(by_fold: np.ndarray) -> Interval:
    """Return the interval of the corrected resampled t (Nadeau and Bengio 2003) of k folds' differences `(k,)`."""
    from scipy import stats

    k = len(by_fold)
    half = float(stats.t.ppf((1 + LEVEL) / 2, k - 1) * np.sqrt(by_fold.var(ddof=1) * _overlap(k)))
    return Interval(float(by_fold.mean()) - half, float(by_fold.mean()) + half)


@dataclass(frozen=True)
class _Training:
    """The variance of a score that comes from the luck of training, and its degrees of freedom."""

    variance: float
    freedom: int


def _training(by_fold: np.ndarray, drawn: np.ndarray) -> _Training:
    """Return what the folds' spread holds beyond their images' own, which folds do not share.

    Only this excess gets the correction for shared training rows. The corrected t alone finds a difference of
    three standard errors one time of three, this one two times of three; where training luck rules, both agree.
    """
    k = len(by_fold)
    if k <= 1:  # one fold has no spread
        return _Training(0.0, 1)
    excess = max(0.0, float(by_fold.var(ddof=1)) - k * float(np.nanvar(drawn)))
    return _Training(excess * _overlap(k), k - 1)


def _overlap(k: int) -> float:
    """Return 1 / k, widened by n_test / n_train = 1 / (k - 1) for the training rows that folds share."""
    return 1 / k + 1 / (k - 1)


def _by_fold(statistic: RowLoss, folds: np.ndarray) -> np.ndarray:
    values = np.array([_or_nan(statistic, np.flatnonzero(folds == fold)) for fold in np.unique(folds)])
    defined: np.ndarray = values[np.isfinite(values)]
    return defined


def _or_nan(statistic: RowLoss, rows: np.ndarray) -> float:
    try:
        return statistic(rows)
    except PodiumError:  # such as AUC, of rows without a positive one
        return np.nan


def _difference(
    gain: float, drawn: np.ndarray, training: list[_Training], by_fold: np.ndarray | None, n: int
) -> Difference:
    from scipy import stats

    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    variance = float(np.nanvar(drawn)) + sum(part.variance for part in training)
    # Satterthwaite (1946): few folds know little of training luck, which matters as far as it weighs.
    doubt = sum(part.variance**2 / part.freedom for part in training)
    quantile = stats.t.ppf((1 + LEVEL) / 2, variance**2 / doubt if doubt else np.inf)
    half = float(quantile) * variance**0.5
    return Difference(
        gain=gain,
        interval=Interval(gain - half, gain + half),
        over_images=Interval(float(low), float(high)),
        over_folds=None if by_fold is None or len(by_fold) <= 1 else over_folds(by_fold),
        n=n,
    )
