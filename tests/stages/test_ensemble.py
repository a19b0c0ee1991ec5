"""ensemble: scores, weights and one table, from what the manifest names."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from podium import paths
from podium.contracts.predictions import Bank, digest_of_folder
from podium.contracts.scores import Scores
from podium.contracts.steps import Affine
from podium.contracts.tables import ROWS, by_id
from podium.ensembles.mean import Ensemble as Mean
from podium.fitting.ensemble_model import fit_ensemble
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import METRICS
from podium.stages import bank, ensemble
from podium.tasks import regression


@pytest.fixture
def done(banked):
    bank.run(banked.config)
    ensemble.run(banked.config)
    banked.table = Scores.read(paths.ensemble("toy")).table()
    banked.scores = json.loads(paths.METRICS_ENSEMBLE.read_text())
    banked.bank = pd.read_csv(paths.bank_table("toy"))
    return banked


def members(ids):
    return [by_id(Scores.read(paths.predictions("toy", name)).table(), ids, name)["p_0"] for name in ("good", "poor")]


def test_the_scores_are_of_clipped_predictions_joined_by_id(done):
    """Against scikit-learn; the row without predictions is not scored."""
    train = done.table[done.table["split"] == "train"]
    y = by_id(done.truth, train["row_id"], "truth")["y"]
    p = train["p_0"].clip(0.02, 0.98)
    assert len(train) == len(done.folds) - 1
    assert done.scores["cross_fitted"]["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-6)
    assert done.scores["cross_fitted"]["accuracy"] == pytest.approx(accuracy_score(y, p >= 0.5), abs=1e-6)
    assert done.scores["cross_fitted"]["auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-6)
    assert set(done.scores) == {"naive", "cross_fitted", "standard_error"}


def test_test_rows_get_the_weights_of_all_rows(done):
    """The bank table's weights times the members give the ensemble."""
    test = done.table[done.table["split"] == "test"]
    good, poor = members(test["row_id"])
    weights = done.bank.set_index("member")["weight"]
    np.testing.assert_allclose(test["p_0"], weights["good"] * good + weights["poor"] * poor, atol=1e-5)
    assert 0 < weights["poor"] < weights["good"]


def test_train_rows_get_the_weights_of_the_other_folds(done):
    """One grid search over two members per fold, by hand, gives predictions close to the table's."""
    train = done.table[done.table["split"] == "train"]
    ids = train["row_id"]
    good, poor = members(ids)
    y = by_id(done.truth, ids, "truth")["y"]
    fold = by_id(done.folds, ids, "folds")["fold"]
    grid = np.linspace(0, 1, 41)
    for k in range(4):
        others = fold != k
        blends = [(w * good + (1 - w) * poor).clip(0.02, 0.98) for w in grid]
        best = grid[np.argmin([log_loss(y[others], blend[others]) for blend in blends])]
        expected = best * good[~others] + (1 - best) * poor[~others]
        np.testing.assert_allclose(train["p_0"][(~others).to_numpy()], expected, atol=0.03)


def test_the_bank_table_is_sorted_by_the_official_metric(done):
    """Best first, with the score of each member and the official metric's standard error."""
    assert done.bank.columns.tolist() == [
        "member",
        "log_loss",
        "accuracy",
        "auc",
        "standard_error",
        "weight",
        "constant",
    ]
    assert done.bank["member"].tolist() == ["good", "poor"]
    ids = done.table.loc[done.table["split"] == "train", "row_id"]
    y = by_id(done.truth, ids, "truth")["y"].to_numpy()
    p = members(ids)[0].clip(0.02, 0.98).to_numpy()
    losses = -np.log(np.where(y == 1, p, 1 - p))
    assert done.bank["log_loss"][0] == pytest.approx(losses.mean(), abs=1e-6)
    assert done.bank["standard_error"][0] == pytest.approx(losses.std(ddof=1) / np.sqrt(len(losses)), rel=0.35)


def test_the_same_input_gives_the_same_bytes(done):
    """Predictions, models, tables and metrics."""

    def written():
        folders = [digest_of_folder(folder) for folder in (paths.ensemble("toy"), paths.models("toy", "ensemble"))]
        return [*folders, paths.METRICS_ENSEMBLE.read_bytes()]

    before = written()
    ensemble.run(done.config)
    assert written() == before


class Centring(regression.Task):
    """A task that takes away the mean error of the rows that it has seen."""

    def learn_adjustment(self, p, y, loss):
        return Affine(1.0, -float((p[:, 0] - y).mean()))


def test_a_task_adjusts_each_fold_by_what_the_others_taught():
    """As ordinal cuts do, for instance; the fitted models hold what each has learnt."""
    y, fold = np.zeros(4), np.array([[0], [0], [1], [1]])
    ids, p = np.array(list("abcd"), object), np.array([[1.0], [3.0], [10.0], [20.0]], np.float32)
    train = Scores(ids, np.full(4, "train", object), p, ("y",), ())
    scoring = Scoring(Centring(target="x"), (METRICS["rmse"],), Submission())
    found = fit_ensemble({"mean": Mean()}, scoring, Bank(("one",), (train,), (train,)), y, fold, None, 0)
    assert found.cross_fitted.p.ravel().tolist() == [1 - 15, 3 - 15, 10 - 2, 20 - 2]
    assert {fold: one.adjustment.shift for fold, one in found.fold_models.items()} == {(0, 0): -15, (0, 1): -2}
    assert found.model.adjustment.shift == -8.5


def test_a_member_below_the_constant_prediction_is_warned_of(banked, capsys):
    """By the stage, and by the bank table that `podium scores` reads; the constant is the weighted share."""
    rows = banked.rows.copy()
    rows["weight"] = np.where(rows["y"] == 1, 3.0, 1.0)
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"], "task": "binary"})
    worst = banked.truth[~banked.truth["row_id"].isin(["r05", "t03"])]
    reversed_ = worst.assign(p_0=0.9 - 0.8 * worst["y"])[["row_id", "split", "p_0"]]
    Scores.of_table(reversed_, ["no", "yes"]).write(paths.predictions("toy", "poor"))
    bank.run(banked.config)
    ensemble.run(banked.config)
    told = capsys.readouterr().out
    line = pd.read_csv(paths.bank_table("toy")).set_index("member").loc["poor"]
    train = rows[(rows["split"] == "train") & (rows["row_id"] != "r05")]
    p = np.average(rows["y"][rows["split"] == "train"], weights=rows["weight"][rows["split"] == "train"])
    assert line["constant"] == pytest.approx(
        log_loss(train["y"], np.full(len(train), p), sample_weight=train["weight"])
    )
    assert f"warning: poor: log_loss {line['log_loss']:.4f} is worse than a constant prediction's" in told
    assert "warning: good" not in told
