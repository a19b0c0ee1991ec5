"""What every head must do, whatever it is: run over all of them, for each task that they say they handle."""

import dataclasses
from functools import cached_property, partial

import numpy as np
import pandas as pd
import pytest

from podium import metrics, plugins
from podium.contracts import models
from podium.contracts.bags import packed
from podium.contracts.steps import predict
from podium.fitting.crossfit import cross_fit, in_memory
from podium.fitting.row_features import RowFeatures
from podium.heads import Training
from podium.splits import folds

pytestmark = pytest.mark.slow

N, VIEWS, D = 120, 2, 10
BAG = {"hidden": 16, "dropout": 0.1, "epochs": 25, "batch": 16, "learning_rate": 0.02}
# Small settings; then those that make a head split its training rows within, or average several models.
SETTINGS = {
    "attention": [BAG, BAG | {"patience": 6, "attention": 8}],
    "gru": [BAG | {"units": 16}],
    "kernel_ridge": [{}, {"alpha": 0.3, "pca": 3}],
    "knn": [{"pca": None}, {"pca": 3, "neighbours": 5}],
    "lightgbm": [
        {"rounds": 30, "min_leaf": 5, "learning_rate": 0.2},
        {"rounds": 30, "min_leaf": 5, "learning_rate": 0.2, "patience": 3},
    ],
    "linear_svm": [{"C": 0.1}, {"pca": 3}],
    "logistic": [{"C": 0.1}, {"C": [0.01, 0.1, 1.0], "inner": 2, "pca": 3}],
    "mlp": [
        {"epochs": 8, "batch": 16, "dropout": 0.1, "optimizer": "adam", "learning_rate": 0.03},
        {"epochs": 8, "batch": 16, "dropout": 0.1, "hidden": [8], "batch_norm": True, "patience": 2},
    ],
    "rbf_svm": [{"pca": None}, {"pca": 3}],
    "ridge": [{"alpha": 0.01}],
}
MARKS = {"mlp": pytest.mark.keras, "lightgbm": pytest.mark.slow}
TASKS = {
    "binary": ({"target": "t"}, ["no", "yes"]),
    "multiclass": ({"target": "t"}, ["a", "b", "c"]),
    "multilabel": ({"target": "t"}, ["a", "b", "c"]),
    "regression": ({"target": "t"}, []),
}


def _cases():
    for name in plugins.names("heads"):
        tasks = plugins.find("heads", name, "x").tasks
        for number, options in enumerate(SETTINGS[name]):
            # A Keras model takes a second to build, whatever its data.
            for kind in tasks[:1] if name == "mlp" and number else tasks:
                marks = MARKS.get(name, ())
                yield pytest.param((name, options, kind), id=f"{name}-{number}-{kind}", marks=marks)


@pytest.fixture(params=_cases(), scope="module")
def case(request):
    """One head with its settings, one task that it handles, and data whose classes lie apart."""
    name, options, kind = request.param
    return Case(plugins.make("heads", name, options, "x"), kind)


class Case:
    """A head, a task and rows, features and folds."""

    def __init__(self, head, kind):
        rng = np.random.default_rng(0)
        options, self.labels = TASKS[kind]
        self.head, self.task = head, plugins.make("tasks", kind, options, "x")
        hidden = rng.normal(size=(N, 3))
        targets = {
            "binary": {"y": hidden[:, 0] > 0},
            "multiclass": {"y": hidden.argmax(axis=1)},
            "multilabel": {f"y_{j}": hidden[:, j] > 0 for j in range(3)},
            "regression": {"y": hidden[:, 0] - 2 * hidden[:, 1] + 5},
        }[kind]
        x = hidden @ rng.normal(size=(3, D)) + 0.1 * rng.normal(size=(N, D))
        x = x[:, None, :] + 0.05 * rng.normal(size=(N, VIEWS, D))
        width = None
        if self.head.takes == "images":  # one to three a row, all of which show what it is
            x, width = bags(x, rng.integers(1, 4, N), rng), D + 1
        ids = [f"r{i:03d}" for i in range(N)]
        self.rows = pd.DataFrame({"row_id": ids, "split": "train", "weight": 1.0, "group": ids}).assign(**targets)
        self.rows[list(targets)] = self.rows[list(targets)].astype(float)
        self.rows.loc[100:, "split"] = "test"
        self.block = RowFeatures(np.array(ids, dtype=object), x.astype(np.float32), width=width)
        self.folds = folds.make(self.rows, "plain", 2, seed=0)

    @cached_property
    def found(self):
        """The predictions from the data as it is."""
        return self.run()

    @cached_property
    def predict(self):
        """Predictions by one model of all training rows."""
        return partial(predict, self.head.fit(self.data()))

    def run(self, rows=None, dealt=None, block=None, keep=in_memory):
        """Cross-fit; the table has row_id as its index."""
        block = block or self.block
        rows = self.rows if rows is None else rows
        dealt = self.folds if dealt is None else dealt
        scores = cross_fit(self.head, self.task, self.labels, rows, dealt, block, block, seed=3, keep=keep)
        return scores.table().set_index("row_id").drop(columns="split")

    def data(self):
        """The training rows of all folds, as a head gets them."""
        rows = self.rows[self.rows["split"] == "train"]
        x = self.block.x[: len(rows)].reshape(-1, self.block.x.shape[2])
        y = np.repeat(self.task.targets(rows), VIEWS, axis=0)
        n_outputs = len(self.task.columns(self.labels))
        group = np.repeat(np.arange(len(rows)), VIEWS)
        return Training(x, y, self.task.kind, n_outputs, group, np.ones(len(x)), seed=7, width=self.block.width)


def bags(x, count, rng):
    """Return packed rows `(n, v, 3 (d + 1))` of features `(n, v, d)`: so many images each, alike but for noise."""
    images = np.repeat(x, count, axis=0)
    images = images + 0.05 * rng.normal(size=images.shape)
    first = np.cumsum(count) - count
    return np.stack([packed(images[:, view], first, count) for view in range(x.shape[1])], axis=1)


def test_learns(case):
    """Out of fold it beats the best constant prediction by far, and probabilities are probabilities."""
    train = case.rows[case.rows["split"] == "train"].set_index("row_id", drop=False)
    found = case.found
    p, y = found.loc[train.index].to_numpy(), case.task.targets(train)
    metric = metrics.METRICS["rmse" if case.task.kind == "regression" else "log_loss"]
    constant = np.tile(case.task.prior(y), (len(y), 1))
    assert metric.score(y, p, case.task) < 0.9 * metric.score(y, constant, case.task)
    assert sorted(found.index) == sorted(case.rows["row_id"])
    if case.task.kind == "multiclass":
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_is_deterministic_by_seed(case):
    """The same rows and seed give the same bits, whatever ran before, and fitting leaves its inputs alone."""
    data = case.data()
    again = predict(case.head.fit(data), case.block.x[:, 0])
    np.testing.assert_array_equal(case.predict(case.block.x[:, 0]), again)
    for field in dataclasses.fields(data):
        np.testing.assert_array_equal(getattr(data, field.name), getattr(case.data(), field.name))


def test_follows_ids_when_rows_are_shuffled(case):
    """Shuffled tables of rows and folds, and shuffled features, give every row the same prediction."""
    order = np.random.default_rng(1).permutation(N)
    block = dataclasses.replace(case.block, row_id=case.block.row_id[order], x=case.block.x[order])
    dealt = dataclasses.replace(case.folds, table=case.folds.table.sample(frac=1, random_state=3))
    shuffled = case.run(case.rows.sample(frac=1, random_state=2), dealt, block)
    pd.testing.assert_frame_equal(case.found, shuffled.loc[case.found.index], check_exact=True)


def test_never_sees_its_own_fold(case):
    """Other targets for the rows of a fold change nothing in what is predicted for them, but in the other folds."""
    own = case.folds.table.query("fold == 0")["row_id"].to_numpy()
    spoilt = case.rows.copy()
    targets = [name for name in spoilt if name.startswith("y")]
    is_own = spoilt["row_id"].isin(own)
    spoilt.loc[is_own, targets] = spoilt.loc[is_own, targets].to_numpy()[::-1]
    before, after = case.found, case.run(rows=spoilt)
    pd.testing.assert_frame_equal(before.loc[own], after.loc[own], check_exact=True)
    assert not before.drop(own).equals(after.drop(own))


def test_everything_is_fitted_on_training_rows_only(case):
    """A monstrous row in the fold to predict moves no other prediction of that fold: no scaler has seen it."""
    own = case.folds.table.query("fold == 0")["row_id"].to_numpy()
    x = case.block.x.copy()
    x[np.flatnonzero(case.block.row_id == own[0])] = 1e4
    after = case.run(block=dataclasses.replace(case.block, x=x))
    np.testing.assert_allclose(case.found.loc[own[1:]], after.loc[own[1:]], rtol=1e-5, atol=1e-6)


def test_a_prediction_depends_on_its_row_alone(case):
    """Alone, in another order or among others, a row gets the same bits."""
    x = case.block.x[:, 0]
    whole = case.predict(x)
    assert whole.dtype == np.float32
    assert whole.shape == (N, len(case.task.columns(case.labels)))
    np.testing.assert_array_equal(case.predict(x[::-1])[::-1], whole)
    np.testing.assert_array_equal(case.predict(x[:1]), whole[:1])
    np.testing.assert_array_equal(case.predict(np.tile(x, (5, 1)))[-N:], whole)


def test_a_saved_model_predicts_the_same_bits(case, tmp_path):
    """Out-of-fold predictions by reloaded models are those of the models in memory, and so is a read of the files."""

    def keep(name, model):
        models.save(model, tmp_path, name)
        return models.load(tmp_path, name)

    pd.testing.assert_frame_equal(case.run(keep=keep), case.found, check_exact=True)
    assert models.names(tmp_path) == [models.of_fold(0, fold) for fold in range(case.folds.table["fold"].nunique())]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    case.run(keep=keep)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not [name for name in before if not name.endswith((".json", ".npz", ".npy"))]


def test_heads_have_settings_here():
    """A new head is tested by adding a line."""
    assert sorted(SETTINGS) == list(plugins.names("heads"))
