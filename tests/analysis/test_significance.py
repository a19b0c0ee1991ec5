"""The paired difference against hand-made formulas and known truths."""

import numpy as np
import pytest
from scipy import stats

from podium import metrics
from podium.analysis import significance
from podium.errors import PodiumError
from podium.tasks.binary import Task

N = 1000


def mean_of(losses):
    return lambda rows: float(losses[rows].mean())


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def folds():
    return np.arange(N) % 5


def test_the_bootstrap_of_a_mean_has_its_standard_error(rng):
    """Independent oracle: s / sqrt(n)."""
    losses = rng.exponential(1, N)
    drawn = significance.bootstrap(mean_of(losses), np.arange(N), seed=0)
    assert drawn.std() == pytest.approx(losses.std() / N**0.5, rel=0.1)
    assert drawn.mean() == pytest.approx(losses.mean(), abs=0.01)


def test_rows_of_a_group_count_once(rng):
    """Ten copies of each row under one group say no more than the rows themselves, in whatever order they lie."""
    losses = rng.exponential(1, 200)
    order = rng.permutation(2000)
    groups = np.repeat(np.arange(200), 10)[order]
    drawn = significance.bootstrap(mean_of(losses[groups]), groups, seed=0)
    assert drawn.std() == pytest.approx(losses.std() / 200**0.5, rel=0.1)


def test_groups_are_drawn_whole(rng):
    """Whatever is drawn, each group has all of its rows or none, as often as it is drawn."""
    groups = rng.integers(30, size=100)
    groups = np.unique(groups, return_inverse=True)[1]

    def multiples(rows):
        counts = np.bincount(rows, minlength=100)
        assert all(len(set(counts[groups == group])) == 1 for group in np.unique(groups))
        return 0.0

    significance.bootstrap(multiples, groups, seed=0, resamples=20)


def test_the_corrected_t_by_hand():
    """Nadeau and Bengio's interval of five numbers, computed step by step."""
    by_fold = np.array([0.01, 0.03, 0.02, 0.00, 0.04])
    half = 2.7764 * (0.00025 * (1 / 5 + 1 / 4)) ** 0.5  # t quantile of 4 degrees, from a table
    found = significance.over_folds(by_fold)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-4)


def test_a_clear_gain_is_told_and_swapping_mirrors_it(rng, folds):
    """B better than A is A worse than B, by the same number."""
    a = rng.exponential(1, N)
    b = a - 0.1 + rng.normal(0, 0.2, N)
    groups = np.arange(N)
    there = significance.paired(mean_of(a), mean_of(b), groups, folds, folds)
    back = significance.paired(mean_of(b), mean_of(a), groups, folds, folds)
    assert there.verdict == "better"
    assert back.verdict == "worse"
    assert there.gain == pytest.approx((a - b).mean())
    assert (back.interval.low, back.interval.high) == pytest.approx((-there.interval.high, -there.interval.low))
    assert there.sentence().startswith("B is better: by 0.")
    assert back.sentence().startswith("B is worse: by 0.")


def test_pairing_sees_what_separate_scores_cannot(rng, folds):
    """Hard images are hard for both: their error falls out of a paired difference and stays in an unpaired one."""
    a = rng.exponential(1, N)
    b = a - 0.03 + rng.normal(0, 0.1, N)
    groups = np.arange(N)
    assert significance.paired(mean_of(a), mean_of(b), groups, folds, folds).verdict == "better"
    apart = significance.unpaired(mean_of(a), mean_of(b), (groups, groups), (folds, folds))
    assert apart.verdict == "cannot tell"
    assert apart.over_folds is None
    width = apart.over_images.high - apart.over_images.low
    assert width == pytest.approx(2 * 1.96 * (a.var() / N + b.var() / N) ** 0.5, rel=0.12)


def test_luck_of_training_widens_the_interval(rng, folds):
    """Folds that differ far beyond their images: the verdict follows the corrected t, not the images."""
    a = rng.exponential(1, N)
    b = a - np.array([0.5, 0.0, 0.1, 0.4, 0.0])[folds] + rng.normal(0, 0.05, N)
    found = significance.paired(mean_of(a), mean_of(b), np.arange(N), folds, folds)
    assert found.over_images.low > 0
    assert found.over_folds.low < 0
    assert found.verdict == "cannot tell"
    assert "The images are enough; the folds differ too much: try folds.repeats." in found.sentence()


def test_only_what_folds_differ_by_beyond_their_images_is_training_luck(rng):
    """A fold has a k-th of the images, so its error squared is k times the whole's: by hand, over five folds."""
    drawn = rng.normal(0, 0.02, 4000)
    by_fold = np.array([0.0, 0.1, 0.02, 0.05, -0.04])
    found = significance._training(by_fold, drawn)
    assert found.variance == pytest.approx((by_fold.var(ddof=1) - 5 * drawn.var()) * (1 / 5 + 1 / 4))
    assert found.freedom == 4
    assert significance._training(by_fold / 2, drawn).variance == 0


def test_equal_folds_leave_the_images_error_alone(folds):
    """Where folds differ by no more than their images, the interval is the normal one of the mean."""
    gains = np.tile([1.2, -0.8], N // 2)  # in every fold the same mix
    gains = gains[np.argsort(folds, kind="stable").argsort()]
    found = significance.paired(mean_of(gains), mean_of(np.zeros(N)), np.arange(N), folds, folds)
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(1.96 * gains.std() / N**0.5, rel=0.1)


def test_other_folds_are_paired_by_image_alone(rng, folds):
    """With other folds there is no difference by fold, and the luck of both sides' models counts."""
    a = rng.exponential(1, N)
    other = rng.permutation(folds)
    b = a - 0.1 + rng.normal(0, 0.1, N) + np.array([0.4, -0.4, 0.3, -0.3, 0.0])[other]
    found = significance.paired(mean_of(a), mean_of(b), np.arange(N), folds, other)
    assert found.over_folds is None
    assert found.over_images.low > 0
    assert found.verdict == "cannot tell"


def test_images_needed_give_that_power(rng):
    """At the number of images that it names, four of five repetitions find the difference (normal theory)."""
    gains = rng.normal(0.02, 1, N)
    folds = np.arange(N) % 5
    found = significance.paired(mean_of(gains), mean_of(np.zeros(N)), np.arange(N), folds, folds)
    half = (found.interval.high - found.interval.low) / 2
    error = half / 1.96 * (N / found.images_needed) ** 0.5
    assert stats.norm.cdf(abs(found.gain) / error - 1.96) == pytest.approx(0.8, abs=0.001)
    assert "it would take about" in found.sentence()
    assert "there are 1,000" in found.sentence()


def test_the_same_predictions_are_no_difference(rng, folds):
    """Not a `cannot tell` with a silly number of images."""
    a = rng.exponential(1, N)
    found = significance.paired(mean_of(a), mean_of(a), np.arange(N), folds, folds)
    assert found.verdict == "the same"
    assert found.sentence() == "No difference: the scored predictions are the same."


def test_a_rare_class_is_no_crash(rng):
    """Three positive rows of 1,000: some draws hold none, and AUC of the others still gives an interval."""
    y = np.zeros(N, np.int64)
    y[:3] = 1
    p, q = rng.random((N, 1)), rng.random((N, 1))
    auc, task = metrics.METRICS["auc"], Task(target="y")
    folds = np.arange(N) % 3
    found = significance.paired(
        lambda rows: auc.loss(y[rows], p[rows], task),
        lambda rows: auc.loss(y[rows], q[rows], task),
        np.arange(N),
        folds,
        folds,
    )
    assert found.interval.low < found.gain < found.interval.high


def test_a_metric_that_is_mostly_undefined_says_so():
    """A single positive row: AUC is undefined on a third of the draws and in most folds; one line, no NaN."""

    def undefined(rows):
        if len(rows) == N and not (rows == 0).sum() >= 2:
            raise PodiumError("undefined here")
        return 0.0

    with pytest.raises(PodiumError, match="undefined on most resamples"):
        significance.bootstrap(undefined, np.arange(N), seed=0)
