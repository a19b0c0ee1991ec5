"""What the charts show, as tables: DVC plots them too, so that two revisions can be laid over each other.

`truth` is `(n,)` 0/1 and `p` the `(n,)` probabilities of it: for several classes or labels one decision each
of every row, after one another (micro averaging).
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

POINTS = 500  # of a curve; more cannot be seen
BINS = 10  # of the reliability diagram
MOST_SLICES, LEAST_SLICE = 12, 20  # categories of a column, and rows of one, that are worth a score


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


def by_class(table: pd.DataFrame) -> pd.DataFrame:
    """Return class, rows, recall, precision and what it is taken for most, the least recall first.

    `table` is that of `confusion`; precision is NaN of a class that is never predicted.
    """
    is_right = table["actual"] == table["predicted"]
    found = pd.DataFrame({"rows": table.groupby("actual").size(), "recall": is_right.groupby(table["actual"]).mean()})
    found["precision"] = is_right.groupby(table["predicted"]).mean()
    wrong = table[~is_right].value_counts(["actual", "predicted"]).reset_index()
    first = wrong.drop_duplicates("actual").set_index("actual")
    found["taken"] = [
        f"{first.loc[label, 'predicted']} ({first.loc[label, 'count']})" if label in first.index else ""
        for label in found.index
    ]
    return found.sort_values(["recall", "rows"], kind="stable").reset_index(names="class")


def by_threshold(y: np.ndarray, p: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the rows of class 1 and of class 0, `y` 0/1, whose probability is at least 0, 0.01, ..., 1."""
    steps = np.arange(101) / 100
    return tuple(  # type: ignore[return-value]  # two of them
        [int(n) for n in (len(own) - np.searchsorted(np.sort(own), steps))]
        for own in (p[y == 1].astype(np.float64), p[y == 0].astype(np.float64))
    )


def by_slice(scorer: Callable[[np.ndarray], float], columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return column, value, rows and score of each category, or quarter of numbers, of the metadata `columns`.

    A column of more than 12 categories is left out, and a slice of fewer than 20 rows.
    """
    lines = []
    for name, values in columns.items():
        numbers = pd.to_numeric(values, errors="coerce")
        is_number = numbers.nunique() > MOST_SLICES and numbers.notna().mean() > 0.9  # noqa: PLR2004  # mostly
        parts = pd.qcut(numbers, 4, duplicates="drop").astype("str") if is_number else values
        groups = parts.fillna("(none)").reset_index(drop=True)
        if not 1 < groups.nunique() <= MOST_SLICES:
            continue
        for value, rows in groups.groupby(groups).groups.items():
            if len(rows) >= LEAST_SLICE:
                lines.append((name, str(value), len(rows), scorer(rows.to_numpy())))
    return pd.DataFrame(lines, columns=["column", "value", "rows", "score"])


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
