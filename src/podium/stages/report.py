"""report: the ensemble's cross-fitted predictions -> ROC and confusion, as tables that DVC plots."""

import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts import csv_table
from podium.contracts.predictions import value_columns
from podium.contracts.tables import ROWS, by_id

_POINTS = 500  # of a curve; more cannot be seen


def run(config: Config) -> None:
    """Write both tables from out-of-fold rows; a header only where the task has no such thing."""
    name, task = config.params.competition, config.competition.task
    ensemble, rows_file = task.schema.read(paths.ensemble(name)), paths.data(name, "rows.parquet")
    train = ensemble[ensemble["split"] == "train"]
    y = task.targets(by_id(ROWS.read(rows_file), train["row_id"], str(rows_file)))
    p = train[value_columns(train)].to_numpy()

    curve = pd.DataFrame({"fpr": [], "tpr": []}) if task.kind == "regression" else roc(*_decisions(y, p))
    cells = pd.DataFrame({"actual": [], "predicted": []})
    if task.kind in {"binary", "multiclass"}:
        labels = np.array(ensemble.attrs["labels"], dtype=object)
        cells = pd.DataFrame({"actual": labels[y], "predicted": labels[task.decide(p)]})
    csv_table.write(curve.round(6), paths.report(name, "roc.csv"))
    csv_table.write(cells, paths.report(name, "confusion.csv"))


def roc(truth: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return the ROC curve of `(n,)` 0/1 truths and probabilities, from (0, 0) to (1, 1); ties are one step."""
    order = np.argsort(-p, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    positives = np.append(0, np.cumsum(truth[order])[last_of_ties])
    negatives = np.append(0, np.cumsum(1 - truth[order])[last_of_ties])
    kept = np.unique(np.linspace(0, len(positives) - 1, _POINTS).round().astype(int))
    return pd.DataFrame({"fpr": negatives[kept] / negatives[-1], "tpr": positives[kept] / positives[-1]})


def _decisions(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one truth and probability per decision: of every class or label of every row."""
    if y.ndim == 1 and p.shape[1] > 1:
        y = y[:, None] == np.arange(p.shape[1])
    return np.ravel(y).astype(np.int64), np.ravel(p)
