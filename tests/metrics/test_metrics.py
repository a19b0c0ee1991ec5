"""Every metric against scikit-learn or a loop by hand, weighted and not."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from podium import metrics
from podium.contracts.sequences import Sequences
from podium.errors import PodiumError
from podium.tasks import text

N, K = 200, 4


@pytest.fixture(params=[False, True], ids=["equal", "weighted"])
def weight(request):
    """Equal weights, then unequal ones."""
    return np.random.default_rng(9).uniform(0.5, 3.0, N) if request.param else None


@pytest.fixture
def binary():
    """Truth and P(positive) with ties."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, N)
    p = np.clip(0.5 * rng.random(N) + 0.4 * y, 0, 1).round(2)  # rounded: ties
    return y, p[:, None].astype(np.float32)


@pytest.fixture
def multiclass():
    """Truth and probabilities of four classes."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, K, N)
    p = rng.dirichlet(np.ones(K), N) + 0.5 * np.eye(K)[y]
    return y, (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def multilabel():
    """Truth and probabilities of four labels."""
    rng = np.random.default_rng(3)
    y = (rng.random((N, K)) < 0.3).astype(np.int64)
    return y, np.clip(0.6 * rng.random((N, K)) + 0.3 * y, 0, 1).round(2).astype(np.float32)


@pytest.fixture
def regression():
    """Truth and values near it, with ties."""
    rng = np.random.default_rng(4)
    y = rng.gamma(2.0, 2.0, N).round(1)
    return y, (y + rng.normal(0, 1, N)).clip(0).round(1)[:, None].astype(np.float32)


def score(name, y, p, weight=None):
    """Score by the metric's name."""
    return metrics.find(name, "here")(y, p, weight)


def test_log_loss_is_that_of_each_task(binary, multiclass, multilabel, weight):
    """Binary, several classes, and the mean over labels agree with scikit-learn."""
    y, p = binary
    exact = p[:, 0].astype(np.float64)
    assert score("log_loss", y, p, weight) == pytest.approx(oracle.log_loss(y, exact, sample_weight=weight))
    y, p = multiclass
    exact = p / p.sum(axis=1, keepdims=True, dtype=np.float64)
    assert score("log_loss", y, p, weight) == pytest.approx(oracle.log_loss(y, exact, sample_weight=weight))
    y, p = multilabel
    columns = [oracle.log_loss(y[:, j], p[:, j].astype(np.float64), sample_weight=weight) for j in range(K)]
    assert score("log_loss", y, p, weight) == pytest.approx(np.mean(columns))


def test_log_loss_rescales_rows_and_survives_a_certain_mistake():
    """A row that sums to 2 is scored as if it summed to 1; probability 0 for the truth costs -log(1e-15)."""
    assert score("log_loss", np.array([1]), np.array([[1.0, 1.0]])) == pytest.approx(np.log(2))
    assert score("log_loss", np.array([1]), np.array([[0.0]])) == pytest.approx(-np.log(1e-15))


@pytest.mark.parametrize(
    ("name", "theirs"), [("auc", oracle.roc_auc_score), ("average_precision", oracle.average_precision_score)]
)
def test_ranking_metrics(name, theirs, binary, multiclass, multilabel, weight):
    """AUC and average precision, with ties: binary, one class against the rest, and the mean over labels."""
    y, p = binary
    assert score(name, y, p, weight) == pytest.approx(theirs(y, p[:, 0], sample_weight=weight))
    y, p = multiclass
    columns = [theirs(y == j, p[:, j], sample_weight=weight) for j in range(K)]
    assert score(name, y, p, weight) == pytest.approx(np.mean(columns))
    y, p = multilabel
    assert score(name, y, p, weight) == pytest.approx(theirs(y, p, average="macro", sample_weight=weight))


def test_ranking_metrics_need_both_kinds_of_row():
    """With positives only there is no ROC curve: one line, not a NaN."""
    with pytest.raises(PodiumError, match="with and without"):
        score("auc", np.ones(3), np.ones((3, 1)))


def test_brier(binary, multiclass, weight):
    """Binary: the squared error of P(positive); several classes: its sum over classes."""
    y, p = binary
    assert score("brier", y, p, weight) == pytest.approx(oracle.brier_score_loss(y, p[:, 0], sample_weight=weight))
    y, p = multiclass
    assert score("brier", y, p) == pytest.approx(np.mean(((np.eye(K)[y] - p) ** 2).sum(axis=1)))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("accuracy", oracle.accuracy_score),
        ("balanced_accuracy", oracle.balanced_accuracy_score),
        ("mcc", oracle.matthews_corrcoef),
        ("quadratic_weighted_kappa", lambda *a, **k: oracle.cohen_kappa_score(*a, weights="quadratic", **k)),
        ("f1_macro", lambda *a, **k: oracle.f1_score(*a, average="macro", **k)),
        ("f1_micro", lambda *a, **k: oracle.f1_score(*a, average="micro", **k)),
    ],
)
def test_label_metrics(name, theirs, binary, multiclass, weight):
    """Metrics of labels agree with scikit-learn for two classes and for several."""
    for y, labels in ((binary[0], (binary[1][:, 0] > 0.5).astype(int)), (multiclass[0], multiclass[1].argmax(axis=1))):
        assert score(name, y, labels, weight) == pytest.approx(theirs(y, labels, sample_weight=weight))


def test_f1_is_of_the_positive_class(binary, weight):
    """Not of the negative class, and not the mean of both."""
    y, labels = binary[0], (binary[1][:, 0] > 0.4).astype(int)
    assert score("f1", y, labels, weight) == pytest.approx(oracle.f1_score(y, labels, sample_weight=weight))


@pytest.mark.parametrize("average", ["macro", "micro", "samples"])
def test_f1_of_several_labels(average, multilabel, weight):
    """Averaged over labels, decisions or rows; a row without any label counts as 0."""
    y, labels = multilabel[0], (multilabel[1] > 0.5).astype(int)
    expected = oracle.f1_score(y, labels, average=average, sample_weight=weight, zero_division=0)
    assert score(f"f1_{average}", y, labels, weight) == pytest.approx(expected)


def test_multilabel_accuracy_is_of_the_whole_set(multilabel):
    """One wrong label makes the row wrong."""
    y, labels = multilabel[0], (multilabel[1] > 0.5).astype(int)
    assert score("accuracy", y, labels) == pytest.approx(oracle.accuracy_score(y, labels))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k(k, multiclass, weight):
    """The truth is among the k likeliest classes."""
    y, p = multiclass
    assert score(f"top@{k}", y, p, weight) == pytest.approx(
        oracle.top_k_accuracy_score(y, p, k=k, sample_weight=weight)
    )


def _apk(actual, predicted, k):
    hits, total = 0, 0.0
    for rank, label in enumerate(predicted[:k], start=1):
        if label in actual:
            hits += 1
            total += hits / rank
    return total / min(len(actual), k) if actual else 0.0


@pytest.mark.parametrize("k", [1, 3])
def test_map_at_k(k, multiclass, multilabel):
    """Kaggle's mean average precision at k, by a loop over rows; one true class or several labels."""
    for y, p in (multiclass, multilabel):
        truths = [{int(t)} if y.ndim == 1 else set(np.flatnonzero(t).tolist()) for t in y]
        ranked = [sorted(range(K), key=lambda j, row=row: -row[j]) for row in p]
        expected = np.mean([_apk(t, r, k) for t, r in zip(truths, ranked, strict=True)])
        assert score(f"map@{k}", y, p) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rmse", oracle.root_mean_squared_error),
        ("mae", oracle.mean_absolute_error),
        ("rmsle", oracle.root_mean_squared_log_error),
        ("r2", oracle.r2_score),
    ],
)
def test_value_metrics(name, theirs, regression, weight):
    """Metrics of values agree with scikit-learn."""
    y, p = regression
    expected = theirs(y, p[:, 0].astype(np.float64), sample_weight=weight)
    assert score(name, y, p, weight) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "theirs"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_correlations(name, theirs, regression):
    """Correlations agree with SciPy, ties included; constant predictions score 0, not NaN."""
    y, p = regression
    assert score(name, y, p) == pytest.approx(theirs(y, p[:, 0]).statistic)
    assert score(name, y, np.ones((N, 1))) == 0.0


def test_integer_weights_count_rows_several_times(binary, regression):
    """Weight 2 is the same as the row twice, for metrics whose oracle knows no weights."""
    times = np.random.default_rng(5).integers(1, 4, N)
    for name, (y, p) in {"pearson": regression, "brier": binary}.items():
        twice = score(name, np.repeat(y, times), np.repeat(p, times, axis=0))
        assert score(name, y, p, times.astype(float)) == pytest.approx(twice)


def test_rmsle_refuses_what_has_no_logarithm():
    """A value of -1 or less is a mistake of the user's, told in one line."""
    with pytest.raises(PodiumError, match=r"submission\.clip"):
        score("rmsle", np.array([1.0]), np.array([[-1.5]]))


class Halves:
    """A binary task."""

    def decide(self, p):
        """Positive from one half."""
        return (p[:, 0] >= 0.5).astype(int)


def test_score_makes_labels_where_the_metric_takes_them(binary):
    """Accuracy of probabilities decides by the task first; AUC does not."""
    y, p = binary
    assert metrics.METRICS["accuracy"].score(y, p, Halves()) == pytest.approx(((p[:, 0] >= 0.5) == y).mean())
    assert metrics.METRICS["auc"].score(y, p, Halves()) == score("auc", y, p)


def _overlaps(truth, found):
    """Return `(n, classes, 2)` of masks `(n, classes, pixels)`: pixels that are found, and those that are in both."""
    return np.stack([found.sum(axis=2), (truth & found).sum(axis=2)], axis=-1)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_loss_is_lower_where_predictions_are_better(name, binary, multilabel, regression):
    """Every metric says the right direction: the truth itself has the lowest loss."""
    metric = metrics.METRICS[name]
    if metric.tasks == ("text",):
        texts = np.array(["ab", "ba", "b"], object)
        assert metric.sign * metric(texts, texts) < metric.sign * metric(texts, texts[::-1])
        return
    if metric.takes == "overlaps":
        truth, wrong = np.random.default_rng(0).random((2, 5, 2, 40)) < 0.5
        area, exact, poor = truth.sum(axis=2), _overlaps(truth, truth), _overlaps(truth, wrong)
        assert metric.sign * metric(area, exact) < metric.sign * metric(area, poor)
        return
    y, p = multilabel if metric.tasks == ("multilabel",) else regression if "regression" in metric.tasks else binary
    truth, wrong = y.reshape(p.shape).astype(float), p[::-1]

    class Rounds:
        def decide(self, p):
            return np.rint(p).reshape(y.shape).astype(int)

    assert metric.loss(y, truth, Rounds()) < metric.loss(y, wrong, Rounds())


def edits(a, b):
    """Return the Levenshtein distance by its definition: the first characters are equal, or one of three edits."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return edits(a[1:], b[1:])
    return 1 + min(edits(a[1:], b), edits(a, b[1:]), edits(a[1:], b[1:]))


def test_edits_of_texts_are_the_textbooks():
    """Rates of the sums, and means of the rows' shares, weighted or not; `kitten` and `sitting` are 3 apart."""
    rng = np.random.default_rng(3)
    y, texts = (["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(40)] for _ in range(2))
    y, texts = np.array([*y, "kitten"], object), np.array([*texts, "sitting"], object)
    distance = np.array([edits(a, b) for a, b in zip(y, texts, strict=True)])
    assert distance[-1] == 3
    assert [metrics.levenshtein(a, b) for a, b in zip(y, texts, strict=True)] == distance.tolist()
    lengths = np.array([len(text) for text in y])
    longer = np.maximum(lengths, [len(text) for text in texts])
    weight = rng.uniform(0.5, 2, len(y))
    rate, share = metrics.METRICS["character_error_rate"], metrics.METRICS["edit_distance"]
    assert rate(y, texts) == pytest.approx(distance.sum() / lengths.sum())
    assert rate(y, texts, weight) == pytest.approx((weight * distance).sum() / (weight * lengths).sum())
    assert share(y, texts, weight) == pytest.approx(np.average(distance / longer, weights=weight))
    assert metrics.METRICS["exact_match"](y, texts, weight) == pytest.approx(np.average(distance == 0, weights=weight))


def test_lenient_match_takes_a_group_for_one_character():
    """Zero and the letter O, by the task's `equal`; the exact match does not."""
    task = text.Task(target="x", equal=("0O", "1I"))
    y = np.array(["O0", "1A", "OB"], object)
    p = Sequences.of_texts(np.array(["a", "b", "c"], object), "train", ["00", "IA", "0A"], "01ABIO")
    assert task.score(metrics.METRICS["lenient_match"], y, p) == pytest.approx(2 / 3)
    assert task.score(metrics.METRICS["exact_match"], y, p) == 0


def test_jackknife_of_a_mean_is_its_standard_error():
    """Against the textbook formula."""
    values = np.random.default_rng(6).normal(size=1000)
    error = metrics.jackknife(lambda keep: values[keep].mean(), len(values), blocks=1000)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)))
    rough = metrics.jackknife(lambda keep: values[keep].mean(), len(values))
    assert rough == pytest.approx(error, rel=0.3)


def test_an_unknown_name_lists_the_known_ones():
    """One line with the place and the choices."""
    with pytest.raises(
        PodiumError, match=r"elpv\.yaml: metric: unknown metric 'acuracy'; choose one of: accuracy, auc"
    ):
        metrics.find("acuracy", "elpv.yaml: metric")


def test_a_competition_may_bring_its_own(tmp_path, monkeypatch):
    """`module:function` is found in the working directory; a plain function is refused in one line."""
    (tmp_path / "own_metric.py").write_text(
        "from podium.metrics import metric\n"
        "@metric(direction='lower', takes='values', tasks=('regression',))\n"
        "def worst(y, values, weight):\n    return abs(y - values[:, 0]).max()\n"
        "def plain(y, values, weight):\n    return 0\n"
    )
    monkeypatch.chdir(tmp_path)
    worst = metrics.find("own_metric:worst", "here")
    assert worst.name == "own_metric:worst"
    assert worst(np.array([1.0, 2.0]), np.array([[1.5], [5.0]])) == 3.0
    for wrong in ("own_metric:plain", "own_metric:none", "no_such_module:worst"):
        with pytest.raises(PodiumError, match=wrong):
            metrics.find(wrong, "here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("(direction='lower', tasks=('binary',))", "TypeError: .*missing .*'takes'"),
        ("(direction='lower', takes='prob', tasks=('binary',))", "takes: 'prob'; choose one of: probs, labels, values"),
        ("(direction='down', takes='probs', tasks=('binary',))", "direction: 'down'; choose one of: higher, lower"),
        ("", "TypeError"),
    ],
)
def test_a_metric_that_says_too_little_is_refused(tmp_path, monkeypatch, arguments, message):
    """Scored in the wrong form or direction, it would choose the worst model; one line names it."""
    module = f"own_{abs(hash(message))}"
    program = f"from podium.metrics import metric\n@metric{arguments}\ndef f(y, p, weight):\n    return 0\n"
    (tmp_path / f"{module}.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PodiumError, match=rf"^toy\.yaml: metric: {module}:f: .*{message}") as error:
        metrics.find(f"{module}:f", "toy.yaml: metric")
    assert "\n" not in str(error.value)


def test_a_row_without_any_probability_is_refused():
    """Rows of several classes are rescaled to sum to 1, which nothing can be."""
    p = np.array([[0.2, 0.8], [0.0, 0.0]])
    with pytest.raises(PodiumError, match="log_loss: 1 rows give no class any probability"):
        metrics.find("log_loss", "here")(np.array([1, 0]), p)


def test_the_working_directory_comes_first(tmp_path, monkeypatch):
    """A module of the same name elsewhere on the path is not the competition's."""
    decorator = "@metric(direction={!r}, takes='probs', tasks=('binary',))"
    program = f"from podium.metrics import metric\n{decorator}\ndef f(y, p, w): ..."
    for folder, direction in (("elsewhere", "higher"), ("here", "lower")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own_of_two.py").write_text(program.format(direction))
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "here")
    assert metrics.find("own_of_two:f", "here").direction == "lower"


def test_a_direction_is_what_it_says():
    """Though a module of the user's may have put the word together."""
    lower, higher = (
        metrics.metric(direction="".join(word), takes="probs", tasks=("binary",)) for word in ("lower", "higher")
    )
    assert (lower(max).sign, higher(max).sign) == (1, -1)


def test_which_tasks_a_rank_can_score():
    """Several right labels have no top k, but a mean average precision."""
    assert metrics.find("map@3", "here").tasks == ("multiclass", "multilabel")
    assert metrics.find("top@3", "here").tasks == ("multiclass",)


@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.5, 3.0, 1.0])])
def test_mask_metrics_are_scikit_learns(weight):
    """Pixels pooled, or image by image; an image without a pixel in truth and prediction is right."""
    rng = np.random.default_rng(0)
    truth, found = rng.random((2, 5, 2, 40)) < 0.4
    truth[0], found[0], truth[1], found[2] = False, False, False, False
    area, overlaps = truth.sum(axis=2), _overlaps(truth, found)
    pixels = None if weight is None else np.repeat(weight, 40)
    for name, score in (("pixel_f1", oracle.f1_score), ("pixel_iou", oracle.jaccard_score)):
        pooled = [score(truth[:, k].ravel(), found[:, k].ravel(), sample_weight=pixels) for k in range(2)]
        assert metrics.METRICS[name](area, overlaps, weight) == pytest.approx(np.mean(pooled))

    def each(score):
        return np.array([[score(truth[n, k], found[n, k], zero_division=1.0) for k in range(2)] for n in range(5)])

    thresholds = np.arange(50, 100, 5) / 100
    for name, by_class in (
        ("mean_dice", each(oracle.f1_score)),
        ("mean_iou", each(oracle.jaccard_score)),
        ("mean_iou_precision", (each(oracle.jaccard_score)[..., None] > thresholds).mean(axis=2)),
    ):
        expected = np.average(by_class.mean(axis=1), weights=weight)
        assert metrics.METRICS[name](area, overlaps, weight) == pytest.approx(expected)
    empty = np.zeros((3, 2), int)
    assert metrics.METRICS["pixel_f1"](empty, np.zeros((3, 2, 2), int)) == 1.0
