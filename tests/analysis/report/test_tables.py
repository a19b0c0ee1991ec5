"""The charts' tables against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report import tables


@pytest.fixture
def decisions():
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=400)
    return truth, np.round(np.clip(truth * 0.3 + rng.random(400) * 0.7, 0, 1), 2)  # rounded: with ties


def test_roc_has_a_point_for_each_threshold(decisions):
    """From (0, 0) to (1, 1), counted by hand; ties are one step."""
    truth, p = decisions
    by_hand = [(0.0, 0.0)]
    for threshold in sorted(set(p), reverse=True):
        above = p >= threshold
        by_hand.append(((above & (truth == 0)).sum() / (truth == 0).sum(), (above & (truth == 1)).sum() / truth.sum()))
    assert tables.roc(truth, p).to_numpy() == pytest.approx(np.array(by_hand))


def test_precision_recall_has_a_point_for_each_threshold(decisions):
    """From the surest decision to all of them, counted by hand."""
    truth, p = decisions
    by_hand = [
        (truth[p >= threshold].sum() / truth.sum(), truth[p >= threshold].mean())
        for threshold in sorted(set(p), reverse=True)
    ]
    assert tables.precision_recall(truth, p).to_numpy() == pytest.approx(np.array(by_hand))


def test_long_curves_are_thinned_and_keep_their_ends():
    """500 points of 60,000 rows."""
    rng = np.random.default_rng(1)
    curve = tables.roc(rng.integers(2, size=60_000), rng.random(60_000))
    assert len(curve) == tables.POINTS
    assert curve.iloc[-1].tolist() == [1, 1]


def test_reliability_by_hand():
    """Two bins; the expected calibration error weighs their gaps by their rows."""
    truth, p = np.array([0, 0, 1, 1, 1, 1]), np.array([0.01, 0.05, 0.06, 0.91, 0.95, 1.0])
    table = tables.reliability(truth, p)
    assert table["count"].tolist() == [3, 3]
    assert table["predicted"].tolist() == pytest.approx([0.04, 2.86 / 3])
    assert table["observed"].tolist() == pytest.approx([1 / 3, 1])
    expected = (3 * (1 / 3 - 0.04) + 3 * (1 - 2.86 / 3)) / 6
    assert tables.calibration_error(table) == pytest.approx(expected)


def test_folds_are_scored_by_position():
    """Each model, repeat and fold once, on its own rows."""
    folds = pd.DataFrame({"position": [2, 0, 1, 3], "repeat": 0, "fold": [0, 1, 1, 0]})
    y = np.array([1.0, 2.0, 3.0, 4.0])
    found = tables.by_fold({"m": lambda rows: float(((y + 1) * y)[rows].sum())}, folds)
    assert found.to_dict("list") == {
        "model": ["m", "m"],
        "repeat": [0, 0],
        "fold": [0, 1],
        "score": [3 * 4 + 4 * 5, 1 * 2 + 2 * 3],
    }


def test_correlation_is_numpys():
    """Pearson's, of all columns together; a constant member correlates with none."""
    rng = np.random.default_rng(2)
    a, b, flat = rng.random((50, 3)), rng.random((50, 3)), np.full((50, 3), 0.5)
    matrix = tables.correlation({"a": a, "b": b, "flat": flat}).pivot_table("correlation", "model", "other").to_numpy()
    assert matrix[0, 1] == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert matrix[0, 2] == 0


def test_classes_become_one_decision_each():
    """Three classes of two rows are six decisions; several labels stay as they are."""
    truth, p = tables.decisions(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    assert truth.tolist() == [0, 0, 1, 1, 0, 0]
    assert p.tolist() == [0.1, 0.2, 0.7, 0.5, 0.3, 0.2]


def test_classes_are_scikit_learn_s(decisions):
    """Recall and precision of each, the least found first, and what it is taken for."""
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(3)
    actual = rng.choice(["ant", "bee", "cat"], 200)
    predicted = np.where(rng.random(200) < 0.6, actual, rng.choice(["ant", "bee"], 200))
    found = tables.by_class(pd.DataFrame({"actual": actual, "predicted": predicted})).set_index("class")
    precision, recall, _, rows = precision_recall_fscore_support(actual, predicted, labels=["ant", "bee", "cat"])
    expected = pd.DataFrame({"rows": rows, "recall": recall, "precision": precision}, index=["ant", "bee", "cat"])
    np.testing.assert_allclose(found.loc[expected.index, expected.columns], expected)
    assert found["recall"].is_monotonic_increasing
    assert found.loc["cat", "taken"].split(" ")[0] in {"ant", "bee"}


def test_a_class_that_is_never_predicted():
    """It has no precision."""
    found = tables.by_class(pd.DataFrame({"actual": ["a", "b"], "predicted": ["a", "a"]})).set_index("class")
    assert np.isnan(found.loc["b", "precision"])
    assert found.loc["b", "taken"] == "a (1)"


def test_thresholds_are_counted(decisions):
    """At least the threshold, of either class."""
    truth, p = decisions
    positive, negative = tables.by_threshold(truth, p)
    for step in (0, 25, 50, 99, 100):
        assert positive[step] == ((p >= step / 100) & (truth == 1)).sum()
        assert negative[step] == ((p >= step / 100) & (truth == 0)).sum()


def test_slices_are_scored_by_themselves():
    """Categories, quarters of numbers and gaps; columns of names and slices of a few rows are left out."""
    value = np.arange(100.0)
    columns = {
        "site": pd.Series(["arm"] * 60 + ["leg"] * 30 + [None] * 10),
        "age": pd.Series([str(n) for n in range(100)]),
        "name": pd.Series([f"n{n}" for n in range(100)]),
    }
    found = tables.by_slice(lambda rows: float(value[rows].mean()), columns)
    assert found[found["column"] == "site"].to_numpy().tolist() == [
        ["site", "arm", 60, 29.5],
        ["site", "leg", 30, 74.5],
    ]
    assert found[found["column"] == "age"]["score"].tolist() == [12, 37, 62, 87]
    assert "name" not in set(found["column"])
