"""What the charts show, as tables: DVC plots them too, so that two revisions can be laid over each other.

`truth` is `(n,)` 0/1 and `p` the `(n,)` probabilities of it: for several classes or labels one decision each
of every row, after one another (micro averaging).
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

POINTS = 500  # of a curve; more cannot be seen
BINS = 10  # of the reliability diagram


def decisions(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and probability of every class or label of every row, as two flat arrays."""
    if y.ndim == 1 and p.shape[1] > 1:
        y = y[:, None] == np.arange(p.shape[1])
    return np.ravel(y).astype(np.int64), np.ravel(p)


def roc(truth: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return `fpr` and `tpr` from (0, 0) to (1, 1); ties are one step."""
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(truth, p, drop_intermediate=False)
    return _thinned(pd.DataFrame({"fpr": fpr, "tpr": tpr}))


def precision_recall(truth: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return `recall` and `precision`, from the surest decision to all of them."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, p)
    return _thinned(pd.DataFrame({"recall": recall[-2::-1], "precision": precision[-2::-1]}))


def reliability(truth: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return `predicted` and `observed` means and the count of each bin of equal width that is not empty."""
    table = pd.DataFrame({"bin": np.minimum((p * BINS).astype(int), BINS - 1), "predicted": p, "observed": truth})
    means = table.groupby("bin")[["predicted", "observed"]].mean()
    return means.assign(count=table.groupby("bin").size()).reset_index(drop=True)


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error (Naeini et al. 2015) of a reliability table."""
    gap = (table["predicted"] - table["observed"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


def confusion(y: np.ndarray, decided: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """Return `actual` and `predicted`, one line a row: what DVC's template counts itself."""
    names = np.array(labels, dtype=object)
    return pd.DataFrame({"actual": names[y], "predicted": names[decided]})


def by_fold(scorers: Mapping[str, Callable[[np.ndarray], float]], folds: pd.DataFrame) -> pd.DataFrame:
    """Return `model`, `repeat`, `fold`, `score`.

    `scorers` take positions of rows, by model; `folds` has the columns `position`, `repeat` and `fold`.
    """
    parts = {key: part["position"].to_numpy() for key, part in folds.groupby(["repeat", "fold"])}
    lines = [(name, *key, score(rows)) for name, score in scorers.items() for key, rows in parts.items()]
    return pd.DataFrame(lines, columns=["model", "repeat", "fold", "score"])


def correlation(members: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return `model`, `other` and Pearson's `correlation` of every pair of members' predictions `(n, k)`."""
    names = list(members)
    flat = np.stack([members[name].ravel() for name in names]).astype(np.float64)
    spread = flat.std(axis=1, keepdims=True)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    matrix = flat @ flat.T / flat.shape[1]
    pairs = [(a, b, matrix[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)]
    return pd.DataFrame(pairs, columns=["model", "other", "correlation"])


def fitted(y: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """Return `predicted` and `actual` of a regression, at most 2,000 rows evenly taken."""
    rows = np.unique(np.linspace(0, len(y) - 1, 2000).astype(int))
    return pd.DataFrame({"predicted": p[rows, 0], "actual": y.reshape(len(y), -1)[rows, 0]})


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    kept = np.unique(np.linspace(0, len(curve) - 1, POINTS).round().astype(int))
    return curve.iloc[kept].reset_index(drop=True)
