"""Results of made-up competitions."""

import numpy as np
import pandas as pd
import pytest

from podium import metrics
from podium.analysis.report.results import Results
from podium.contracts.dataset import Dataset
from podium.contracts.scores import Scores
from podium.fitting.scoring import Scoring, Submission
from podium.tasks import binary, multiclass, multilabel, regression

KINDS = ("binary", "multiclass", "multilabel", "regression")


def make_results(kind: str, n: int = 300, labels: tuple[str, ...] = ("ant", "bee", "cat")) -> Results:
    """Return results of two members and their mean, much better than chance."""
    rng = np.random.default_rng(7)
    labels = labels[:2] if kind == "binary" else labels
    task, metric, y, signal = {
        "binary": lambda: (binary.Task(target="y"), "log_loss", y_ := rng.integers(2, size=n), y_[:, None]),
        "multiclass": lambda: (
            multiclass.Task(target="y"),
            "log_loss",
            y_ := rng.integers(len(labels), size=n),
            np.eye(len(labels))[y_],
        ),
        "multilabel": lambda: (
            multilabel.Task(targets_of=labels),
            "log_loss",
            y_ := rng.integers(2, size=(n, len(labels))),
            y_,
        ),
        "regression": lambda: (regression.Task(target="y"), "rmse", y_ := rng.normal(size=n), y_[:, None]),
    }[kind]()

    def member(noise):
        raw = signal + rng.normal(0, noise, signal.shape)
        if kind == "regression":
            return raw.astype(np.float32)
        p = 1 / (1 + np.exp(-4 * (raw - 0.5)))
        return (p / p.sum(axis=1, keepdims=True) if kind == "multiclass" else p).astype(np.float32)

    members = {"good": member(0.4), "fair": member(0.6)}
    if kind in {"binary", "multiclass"}:
        y[:5] = (y[:5] + 1) % len(labels)  # wrong labels
    ids = np.array([f"r{k:04d}" for k in range(n)], dtype=object)
    columns = tuple(task.columns(list(labels)))
    scores = {name: Scores(ids, np.full(n, "train", object), p, columns, tuple(labels)) for name, p in members.items()}
    return Results(
        scoring=Scoring(task, (metrics.METRICS[metric],), Submission()),
        data=Dataset.in_memory(pd.DataFrame({"row_id": ids, "weight": 1.0}), labels),
        ids=ids,
        y=y,
        p=scores["good"].with_p(np.mean(list(members.values()), axis=0)),
        members=scores,
        weight=None,
        folds=pd.DataFrame({"position": range(n), "repeat": 0, "fold": np.arange(n) % 5}),
    )


@pytest.fixture(scope="session", name="make_results")
def results_maker():
    """Return the function that makes results of a kind of task."""
    return make_results


@pytest.fixture(params=KINDS, scope="module")
def results(request) -> Results:
    """One made-up competition of each kind."""
    return make_results(request.param)


@pytest.fixture(scope="module")
def climb() -> pd.DataFrame:
    """A search of three steps."""
    return pd.DataFrame({"step": [1.0, 2.0, 3.0], "member": ["good", "fair", "good"], "loss": [0.4, 0.3, 0.35]})


@pytest.fixture(scope="module")
def uploads() -> pd.DataFrame:
    """Three uploads, of which the last waits for its score."""
    return pd.DataFrame({"time": ["1", "2", "3"], "cross_fitted": [0.4, 0.3, 0.2], "public": [0.5, 0.45, np.nan]})
