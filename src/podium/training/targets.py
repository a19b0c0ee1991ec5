"""A task's targets as a loss takes them, and a network's outputs as the task means them."""

from collections.abc import Mapping, Sequence

import numpy as np

from podium.errors import PodiumError, preview


def require_classes(y: np.ndarray, task: str, labels: Sequence[str], where: str) -> None:
    """Raise PodiumError where a class is absent from a fold's training rows: its network could never predict it."""
    if task in ("binary", "multiclass") and (lacking := sorted(set(range(len(labels))) - set(y.tolist()))):
        names = preview([labels[code] for code in lacking])
        raise PodiumError(f"{where}: the training rows of a fold have no {names}; choose other `folds`")


def targets(y: np.ndarray, task: str, n_labels: int) -> np.ndarray:
    """Return `(n, k)` float32: the class as one 1 among zeros, else `y` as it is."""
    if task == "multiclass":
        return np.asarray(np.eye(n_labels, dtype=np.float32)[y])
    return y.reshape(len(y), -1).astype(np.float32)


def class_weights(
    y: np.ndarray, wanted: str | Mapping[str, float] | None, labels: Sequence[str], where: str
) -> np.ndarray:
    """Return `(n,)` float64: `balanced`, by label (1 where none is given), or 1.

    Raises PodiumError for a label that the competition has not.
    """
    if wanted is None:
        return np.ones(len(y))
    if isinstance(wanted, str):
        counts = np.bincount(y, minlength=len(labels))
        return np.asarray(len(y) / (len(counts) * counts[y]))
    if unknown := sorted(set(wanted) - set(labels)):
        choices = preview(labels, most=20)
        raise PodiumError(f"{where}.class_weight: no label {preview(unknown)}; choose from: {choices}")
    by_code = np.array([float(wanted.get(label, 1.0)) for label in labels])
    return np.asarray(by_code[y])


def activated(logits: np.ndarray, task: str) -> np.ndarray:
    """Return probabilities or values `(n, k)` float64."""
    if task == "regression":
        return logits
    if task == "multiclass":
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
