"""report: ROC and confusion of the cross-fitted predictions."""

import numpy as np
import pandas as pd
from sklearn.metrics import auc, confusion_matrix, roc_auc_score

from podium import paths
from podium.contracts.tables import PROBABILITIES, by_id
from podium.stages import bank, ensemble, report


def test_tables_agree_with_scikit_learn(banked):
    """The area under the curve, and the counts of the confusion, by label name."""
    for stage in (bank, ensemble, report):
        stage.run(banked.config)
    train = PROBABILITIES.read(paths.ensemble("toy")).query("split == 'train'")
    y = by_id(banked.truth, train["row_id"], "truth")["y"].astype(int)
    curve = pd.read_csv(paths.report("toy", "roc.csv"))
    assert np.isclose(auc(curve["fpr"], curve["tpr"]), roc_auc_score(y, train["p_0"]), atol=1e-5)
    cells = pd.read_csv(paths.report("toy", "confusion.csv"), dtype=str)
    labels = np.array(["no", "yes"])
    expected = confusion_matrix(labels[y], labels[(train["p_0"] >= 0.5).astype(int)], labels=labels)
    np.testing.assert_array_equal(confusion_matrix(cells["actual"], cells["predicted"], labels=labels), expected)


def test_ties_are_one_step_and_long_curves_are_thinned():
    """Constant predictions give the diagonal; a million rows give 500 points with the same area."""
    np.testing.assert_array_equal(report.roc(np.array([0, 1, 1]), np.full(3, 0.5)), [[0, 0], [1, 1]])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 100_000)
    p = 0.3 * truth + rng.random(100_000)
    curve = report.roc(truth, p)
    assert len(curve) == 500
    assert np.isclose(auc(curve["fpr"], curve["tpr"]), roc_auc_score(truth, p), atol=1e-4)


def test_several_classes_are_counted_decision_by_decision():
    """Micro-average: each class of each row is one decision."""
    truth, p = report._decisions(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]))
    assert truth.tolist() == [0, 0, 1, 1, 0, 0]
    assert p.tolist() == [0.1, 0.2, 0.7, 0.5, 0.3, 0.2]
