"""The fitted ensemble: how members' predictions become the competition's, for the folds' rows and for new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.contracts.models import Fitted
from podium.ensembles import Blend, WeightedSum
from podium.tasks import Task


@dataclass(frozen=True)
class EnsembleModel(Fitted):
    """Members by name, how they are blended, and what their blend goes through at its end."""

    names: tuple[str, ...]
    blend: Blend
    adjustment: Fitted | None
    clip: tuple[float, float] | None

    def combine(self, task: Task, members: Sequence[Any]) -> Any:
        """Return predictions as they go out, of the members' predictions in the order of `names`."""
        adjusted = task.adjusted(task.blended(self.blend, members), self.adjustment)
        return task.finished(adjusted, self.clip)


def cross_blended(
    task: Task, blends: Mapping[tuple[int, int], Blend], members: Sequence[Any], folds: np.ndarray
) -> Any:
    """Return each row's blend by the weights that did not see its fold; of several repeats, their mean.

    Members have the same rows in the same order; `folds` is `(n, repeats)`.
    """
    by_repeat = []
    for repeat, fold_of in enumerate(folds.T):
        order = np.argsort(fold_of, kind="stable")
        parts = [
            task.blended(
                blends[repeat, int(fold)], [member.take(np.flatnonzero(fold_of == fold)) for member in members]
            )
            for fold in np.unique(fold_of)
        ]
        by_repeat.append(type(parts[0]).concat(parts).take(np.argsort(order, kind="stable")))
    if len(by_repeat) == 1:
        return by_repeat[0]
    return task.blended(WeightedSum(np.full(len(by_repeat), 1 / len(by_repeat))), by_repeat)
