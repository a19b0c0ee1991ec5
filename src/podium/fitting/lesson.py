"""Soft targets: what rows teach whose answer is a probability, or a value that a teacher gave."""

from dataclasses import dataclass

import numpy as np

from podium.tasks.vector import VectorTask

_LEAST = 1e-3  # an answer that is less probable is left out


@dataclass(frozen=True)
class Lesson:
    """Targets of `n` rows, with a label or without: `p (n, k)` float32 in the columns of predictions.

    `weight (n,)` float64 is all that a row counts: its own weight, and what the teacher's word is worth.
    """

    row_id: np.ndarray
    p: np.ndarray
    weight: np.ndarray

    def answers(self, task: VectorTask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same lesson in answers that are certain, for heads that take no others.

        A row becomes one line for each answer that it may have, which weighs as much as the answer is probable: by
        log loss or least squares, that is the soft target itself. Labels that are predicted each by itself are
        answered together as if one number in [0, 1] decided on all: each keeps its probability, with k + 1 lines.

        Returns:
            The row of each line, its answer as `task.targets` codes it, and its weight.
        """
        n, k = self.p.shape
        if task.is_value:
            return np.arange(n), self.p[:, 0].astype(np.float64), self.weight
        if task.is_exclusive and k > 1:
            codes = np.tile(np.arange(k), (n, 1))
            return self._lines(self.p.astype(np.float64), codes)
        order = np.argsort(-self.p, axis=1, kind="stable")
        rank = np.argsort(order, axis=1)
        bounds = np.hstack([np.ones((n, 1)), np.take_along_axis(self.p, order, axis=1), np.zeros((n, 1))])
        answers = (rank[:, None, :] < np.arange(k + 1)[None, :, None]).astype(np.int64)
        return self._lines(-np.diff(bounds, axis=1), answers[:, :, 0] if task.is_exclusive else answers)

    def _lines(self, share: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the lines of the answers `(n, a)` or `(n, a, k)` that are probable enough; `share` is `(n, a)`."""
        share = np.where(share >= _LEAST, share, 0.0)
        share /= share.sum(axis=1, keepdims=True)
        row, answer = np.nonzero(share)
        return row, answers[row, answer], self.weight[row] * share[row, answer]
