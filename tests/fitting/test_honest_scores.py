"""Out-of-fold scores equal those on hidden labels, for every kind of features and each way to predict test rows."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from podium import plugins
from podium.contracts.models import of_fold
from podium.fitting.crossfit import cross_fit
from podium.fitting.row_features import FoldFeatures, RowFeatures, fused
from podium.splits import folds

pytestmark = pytest.mark.slow

N_TRAIN, N_HIDDEN, D, K = 400, 1200, 6, 4
TASK = plugins.make("tasks", "binary", {"target": "t"}, "x")
HEADS = {
    "logistic": {"C": 1.0},
    "knn": {"neighbours": 15},
    "lightgbm": {"rounds": 30},
}


class World:
    """Rows whose features say something of their labels; networks that know their training rows' labels by heart."""

    def __init__(self, scheme, repeats=1):
        rng = np.random.default_rng(5)
        n = N_TRAIN + N_HIDDEN
        self.ids = np.array([f"r{k:04d}" for k in range(n)], object)
        self.y = rng.integers(0, 2, n)
        self.signal = rng.normal(size=(n, D)) + 0.35 * (2 * self.y - 1)[:, None]
        split = np.where(np.arange(n) < N_TRAIN, "train", "test")
        day = [str(k) for k in range(n)]
        self.rows = pd.DataFrame({"row_id": self.ids, "split": split, "y": np.where(split == "train", self.y, np.nan)})
        self.rows = self.rows.assign(weight=1.0, group=self.ids, meta_day=day)
        self.folds = folds.make(self.rows, scheme, K, repeats=repeats, seed=3, time="day")
        self.by_split = {of_fold(s.repeat, s.fold): set(s.train) for s in folds.splits(self.folds, self.rows)}
        self.turns = {name: rng.normal(size=(D, D)) for name in self.by_split}  # each network has a space of its own

    def frozen(self, ids, n_views):
        at = np.searchsorted(self.ids, ids)
        noise = np.random.default_rng(0).normal(0, 0.3, (n_views, len(self.ids), D))
        return RowFeatures(ids, np.stack([(self.signal + part)[at] for part in noise], axis=1).astype(np.float32))

    def trained(self, ids, n_views):
        def by_network(name):
            own = self.frozen(ids, n_views)
            knows = np.isin(ids, list(self.by_split[name]))[:, None, None]
            heart = 0.3 * (2 * self.y[np.searchsorted(self.ids, ids)] - 1)[:, None, None] * knows
            return RowFeatures(ids, ((own.x + heart) @ self.turns[name]).astype(np.float32))

        return FoldFeatures(ids, n_views, by_network)

    def features(self, kind, ids, n_views):
        both = {"frozen": self.frozen(ids, n_views), "trained": self.trained(ids, n_views)}
        return fused([*both.values()]) if kind == "both" else both[kind]

    def losses(self, head, kind):
        """Return the log loss of each row that is predicted out of fold, and of each hidden row."""
        train_ids = self.ids[:N_TRAIN]
        train, predicted = self.features(kind, train_ids, 2), self.features(kind, self.ids, 3)
        found = cross_fit(head, TASK, ["no", "yes"], self.rows, self.folds, train, predicted, seed=0)
        p = found.p[:, 0].astype(float).clip(1e-6, 1 - 1e-6)
        y = self.y[np.searchsorted(self.ids, found.row_id)]
        losses = -np.log(np.where(y == 1, p, 1 - p))
        return losses[found.split == "train"], losses[found.split == "test"]


@pytest.fixture(scope="module")
def worlds():
    return {"stratified": World("stratified"), "repeated": World("plain", repeats=2), "time": World("time")}


CASES = [
    *product(["stratified"], ["logistic"], ["frozen", "trained", "both"], ["rows", "mean"], ["folds"]),
    *product(["stratified"], ["logistic"], ["frozen"], ["rows", "mean"], ["full"]),
    *product(["stratified"], ["knn", "lightgbm"], ["both"], ["mean"], ["folds"]),
    *product(["repeated", "time"], ["logistic"], ["both"], ["rows"], ["folds"]),
]


@pytest.mark.parametrize(("world", "head", "kind", "views", "refit"), CASES)
def test_out_of_fold_equals_hidden(worlds, world, head, kind, views, refit):
    """Within three standard errors, of which the mean over models earns hidden rows one at most."""
    head = plugins.make("heads", head, HEADS[head] | {"views": views, "refit": refit}, "x")
    own, hidden = worlds[world].losses(head, kind)
    error = np.hypot(own.std() / len(own) ** 0.5, hidden.std() / len(hidden) ** 0.5)
    assert own.mean() < 0.65  # it has learnt something
    assert abs(own.mean() - hidden.mean()) < 3 * error


def test_a_network_of_another_fold_would_be_told(worlds):
    """The same data by one network for all folds, as where `of_model` ignored its name: far too good out of fold."""
    world = worlds["stratified"]
    one = world.trained(world.ids, 2).of_model("r0f0")
    train = RowFeatures(world.ids[:N_TRAIN], one.of(world.ids[:N_TRAIN]))
    head = plugins.make("heads", "logistic", {"C": 1.0}, "x")
    found = cross_fit(head, TASK, ["no", "yes"], world.rows, world.folds, train, one, seed=0)
    right = (found.p[:, 0] > 0.5) == (world.y[np.searchsorted(world.ids, found.row_id)] == 1)
    assert right[found.split == "train"].mean() > right[found.split == "test"].mean() + 0.05
