"""The fitted ensemble: how members' predictions become the competition's, for the folds' rows and for new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.contracts.blends import Blend, EnsembleModel, WeightedSum
from podium.contracts.predictions import Bank
from podium.ensembles import Ensemble
from podium.fitting.choose_method import Verdict, choose_method
from podium.fitting.scoring import Scoring
from podium.tasks import Task


@dataclass(frozen=True)
class EnsembleFit:
    """The ensemble of all rows, those of each (repeat, fold)'s other rows, and the latter's predictions of the fold."""

    verdict: Verdict
    model: EnsembleModel
    fold_models: Mapping[tuple[int, int], EnsembleModel]
    cross_fitted: Any


def fit_ensemble(
    methods: Mapping[str, Ensemble],
    scoring: Scoring,
    bank: Bank[Any],
    y: Any,
    folds: np.ndarray,
    weight: np.ndarray | None,
    seed: int,
) -> EnsembleFit:
    """Choose a method, and fit it on the bank's train rows: on all of them, and on those outside of each fold.

    Targets, `folds (n, repeats)` and `weight (n,)` are in the order of the bank's train rows.
    """
    task, clip, everyone = scoring.task, scoring.submission.clip, np.arange(len(bank.train_ids))
    stacked, truth = task.stacked(bank.train), task.stacked_truth(y, bank.train)
    verdict = choose_method(methods, stacked, truth, folds, loss=scoring.objective(weight), seed=seed)

    def learn_adjustment(p: Any, rows: np.ndarray) -> Any:
        kept = None if weight is None else weight[rows]
        return task.adjustment(p.take(rows), y[rows], lambda truth, q: scoring.loss(truth, q, kept))

    adjustment = learn_adjustment(task.blended(verdict.blend, bank.train), everyone)
    blended = cross_blended(task, verdict.fold_blends, bank.train, folds)
    fold_models, parts = {}, []
    for (repeat, fold), blend in verdict.fold_blends.items():
        inside = np.flatnonzero(folds[:, repeat] == fold)
        # Repeats are averaged before they are adjusted, by what the folds of the first one teach.
        own = learn_adjustment(blended, np.setdiff1d(everyone, inside)) if repeat == 0 else None
        fold_models[repeat, fold] = EnsembleModel(bank.names, blend, own, clip)
        if repeat == 0:
            parts.append(scoring.finished(task.adjusted(blended.take(inside), own)))
    cross_fitted = type(blended).concat(parts).by_id(bank.train_ids, "the folds")
    return EnsembleFit(verdict, EnsembleModel(bank.names, verdict.blend, adjustment, clip), fold_models, cross_fitted)


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
