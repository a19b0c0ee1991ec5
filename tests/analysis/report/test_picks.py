"""Which rows are remarkable: by hand, and against cleanlab."""

import numpy as np
import pytest

from podium.analysis.report import picks


def test_mistakes_are_the_wrong_rows_surest_first():
    """Binary by the distance to the truth, classes by the probability of the true one."""
    y, p = np.array([1, 0, 1, 0]), np.array([[0.1], [0.9], [0.9], [0.6]])
    assert picks.mistakes(y, (p[:, 0] >= 0.5).astype(int), p).tolist() == [0, 1, 3]
    y, p = np.array([0, 1, 2]), np.array([[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.9, 0.1, 0.0]])
    assert picks.mistakes(y, p.argmax(axis=1), p).tolist() == [2, 0]


def test_a_missed_label_is_a_mistake():
    """Of several labels, one that is wrong makes the row so."""
    y, p = np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.1], [0.9, 0.2]])
    assert picks.mistakes(y, (p >= 0.5).astype(int), p).tolist() == [1]


def test_uncertain_rows_come_by_margin():
    """Between the two likeliest classes, or to one half."""
    assert picks.uncertain(np.array([[0.9], [0.55], [0.2]]), exclusive=True).tolist() == [1, 2, 0]
    classes = np.array([[0.5, 0.4, 0.1], [0.8, 0.1, 0.1], [0.45, 0.44, 0.11]])
    assert picks.uncertain(classes, exclusive=True).tolist() == [2, 0, 1]
    assert picks.uncertain(np.array([[0.9, 0.1], [0.9, 0.45]]), exclusive=False).tolist() == [1, 0]


def test_disagreement_by_hand():
    """The row on which two members are furthest apart comes first."""
    members = np.array([[[0.1], [0.5], [0.9]], [[0.2], [0.9], [0.9]]])
    assert picks.disagreement(members).tolist() == [1, 0, 2]


@pytest.mark.parametrize("n_classes", [2, 5])
def test_label_errors_are_cleanlabs(n_classes):
    """The same rows in the same order as the authors' implementation of confident learning."""
    filter_ = pytest.importorskip("cleanlab.filter")
    rng = np.random.default_rng(n_classes)
    truth = rng.integers(n_classes, size=600)
    logits = rng.normal(0, 1, (600, n_classes)) + 2 * np.eye(n_classes)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.where(rng.random(600) < 0.06, (truth + 1) % n_classes, truth)
    expected = filter_.find_label_issues(
        y, p, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    found = picks.label_errors(y, p[:, 1:] if n_classes == 2 else p)
    assert len(expected) > 10
    assert found.tolist() == expected.tolist()


def test_planted_label_errors_are_found():
    """Of forty swapped labels most are among the first forty suspects."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=1000)
    swapped = rng.permutation(1000)[:40]
    y = truth.copy()
    y[swapped] = 1 - y[swapped]
    p = 1 / (1 + np.exp(-(4 * (2 * truth - 1) + rng.normal(0, 1.5, 1000))))
    assert len(set(picks.label_errors(y, p[:, None])[:40]) & set(swapped)) >= 34
