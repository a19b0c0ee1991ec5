"""Which images are worth a look, and why. Pure: predictions in, row ids with a reason out.

`y` is coded by the task; `p` is `(n, k)`. Every function returns positions of rows, the most remarkable first.
"""

import numpy as np


def mistakes(y: np.ndarray, decided: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the rows that are decided wrongly, the surest mistake first."""
    wrong = (_columns(y) != _columns(decided)).any(axis=1)
    if y.ndim == 1 and p.shape[1] > 1:
        return _ranked(1 - p[np.arange(len(y)), y], wrong)
    return _ranked(np.abs(_columns(y) - p).max(axis=1), wrong)


def errors(y: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return all rows of a regression, the largest error first."""
    return _ranked(np.abs(_columns(y) - values).max(axis=1))


def uncertain(p: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Return all rows, the smallest margin first: between the two likeliest classes, or of any label to one half."""
    if exclusive and p.shape[1] > 1:
        ordered = np.sort(p, axis=1)
        return _ranked(ordered[:, -2] - ordered[:, -1])
    return _ranked(-np.abs(p - 0.5).min(axis=1))


def disagreement(members: np.ndarray) -> np.ndarray:
    """Return all rows, those first whose `(m, n, k)` predictions differ most between the members."""
    return _ranked(members.std(axis=0).max(axis=1))


def label_errors(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the rows whose label is probably wrong, the least likely label first.

    Confident learning (Northcutt, Jiang and Chuang, JAIR 2021): a class's threshold is the mean probability of it
    among the rows that bear its label; a row belongs confidently to the likeliest of the classes whose
    threshold it reaches; where that is not its label, the label is suspect. `y` is `(n,)` class indices and `p` is
    `(n, k)` out-of-fold probabilities, or `(n, 1)` of class 1.
    """
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    present = np.unique(y)
    thresholds = np.full(p.shape[1], np.inf)
    thresholds[present] = [p[y == label, label].mean() for label in present]
    confident = p >= thresholds - 1e-9  # one row of a class is its own threshold
    best = np.where(confident, p, -1).argmax(axis=1)
    given = p[np.arange(len(y)), y]
    return _ranked(-given, confident.any(axis=1) & (best != y))


def _columns(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


def _ranked(score: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Return positions by falling score, ties in the order of the rows."""
    order = np.argsort(-score, kind="stable")
    return order if among is None else order[among[order]]
