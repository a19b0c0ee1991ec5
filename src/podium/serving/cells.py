"""Predictions as the cells of a table, where there is no pandas: an exported model writes its CSV by this file.

It imports NumPy only. A test holds `submitted` against each task's own submission.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

HALF = 0.5  # where a probability becomes a label; a learnt threshold has been moved here


def labelled(kind: str, labels: Sequence[str], p: np.ndarray) -> tuple[list[str], list[list[Any]]]:
    """Return a table's header and lines: the label, where there are any, and the numbers `p (n, k)` of each row."""
    if kind == "regression":
        return ["y"], [[row[0]] for row in p]
    if kind == "binary":
        return ["label", labels[1]], [[labels[int(row[0] >= HALF)], row[0]] for row in p]
    if kind == "multiclass":
        return ["label", *labels], [[labels[int(row.argmax())], *row] for row in p]
    chosen = (" ".join(label for label, one in zip(labels, row, strict=True) if one >= HALF) for row in p)
    return ["labels", *labels], [[names, *row] for names, row in zip(chosen, p, strict=True)]


def submitted(task: Mapping[str, Any], labels: Sequence[str], p: np.ndarray, columns: Sequence[str]) -> list[list[Any]]:
    """Return the lines of a submission after its ids: `columns` are the sample's; `task` its settings and `kind`.

    Raises ValueError for columns that the task does not fill.
    """
    by_label = sorted(columns) == sorted(labels)
    if task["kind"] == "regression":
        if len(columns) != 1:
            raise ValueError(f"the sample submission has columns {', '.join(columns)}, where one is filled")
        if "low" in task:  # grades
            return [[int(np.rint(row[0]).clip(task["low"], task["high"]))] for row in p]
        return [[row[0]] for row in p]
    if by_label:
        every = np.hstack([1 - p, p]) if task["kind"] == "binary" else p
        order = [list(labels).index(column) for column in columns]
        return [[row[k] for k in order] for row in every]
    if len(columns) != 1:
        raise ValueError(f"the sample submission's columns are not the labels: {', '.join(columns)}")
    if task["kind"] == "binary":
        return [[row[0]] if task["answer"] == "probability" else [labels[int(row[0] >= HALF)]] for row in p]
    if task["kind"] == "multiclass":
        likeliest = np.argsort(-p, axis=1, kind="stable")[:, : task["top"]]
        return [[" ".join(labels[k] for k in row)] for row in likeliest]
    named = ([label for label, one in zip(labels, row, strict=True) if one >= HALF] for row in p)
    return [[task["separator"].join(names)] for names in named]
