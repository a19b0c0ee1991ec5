"""Which ensemble method to trust: by their paired differences on rows that no weight was learnt on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from podium import metrics
from podium.ensembles import Blend, Ensemble, EnsembleObjective, crossed

USUAL = ("hill_climb", "mean", "stack")  # what `method: auto` chooses from
_DEFAULT, _SIMPLEST = "hill_climb", "mean"


@dataclass(frozen=True)
class Verdict:
    """The chosen method: learnt on all rows, and for each (repeat, fold) on the rows of the other folds.

    `cross_fitted (n, k)` are the latter's predictions.

    `table` has a line per method, the chosen one first: its losses cross-fitted and naive (lower is better), its gain
    over the method that it was held against with the standard error of that difference, and the reason in words.
    """

    method: str
    blend: Blend
    fold_blends: Mapping[tuple[int, int], Blend]
    cross_fitted: np.ndarray
    table: pd.DataFrame


def choose_method(
    methods: Mapping[str, Ensemble],
    members: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    *,
    loss: EnsembleObjective,
    seed: int,
) -> Verdict:
    """Choose hill climbing, unless the mean is as good; another method must gain more than one standard error on these.

    Members are `(m, n, k)`, folds `(n, repeats)`.
    """
    blends = {name: method.fit(members, y, loss=loss, seed=seed) for name, method in methods.items()}
    by_fold = {name: method.fit_folds(members, y, folds, loss=loss, seed=seed) for name, method in methods.items()}
    cross_fitted = {name: crossed(fitted, members, folds) for name, fitted in by_fold.items()}
    losses = {name: loss(y, p) for name, p in cross_fitted.items()}
    base, why = _base(losses)
    lines: dict[str, dict[str, Any]] = {
        name: {"gain": losses[base] - losses[name], "standard_error": _error(y, cross_fitted[base], p, folds, loss)}
        for name, p in cross_fitted.items()
        if name != base
    }
    sure = [name for name, line in lines.items() if line["gain"] > line["standard_error"]]
    chosen = min(sure, key=lambda name: losses[name], default=base)
    for name, line in lines.items():
        gains = "gains more than one standard error on" if name in sure else "gains less than one standard error on"
        line["verdict"] = f"{gains if line['gain'] > 0 else 'no better than'} {base}"
    table = pd.DataFrame(
        {
            "method": name,
            "cross_fitted": losses[name],
            "naive": loss(y, blends[name].predict(members)),
            **lines.get(name, {"gain": np.nan, "standard_error": np.nan, "verdict": why}),
        }
        for name in sorted(methods, key=lambda name: (name != chosen, losses[name], name))
    )
    return Verdict(chosen, blends[chosen], by_fold[chosen], cross_fitted[chosen], table)


def _base(losses: Mapping[str, float]) -> tuple[str, str]:
    """Return the method that others are held against, and why."""
    if _DEFAULT not in losses:
        return min(losses, key=lambda name: losses[name]), "the lowest loss"
    if losses.get(_SIMPLEST, np.inf) <= losses[_DEFAULT]:
        return _SIMPLEST, f"no worse than {_DEFAULT}, and learns nothing"
    return _DEFAULT, "the default" + (f", better than the {_SIMPLEST}" if _SIMPLEST in losses else "")


def _error(y: np.ndarray, a: np.ndarray, b: np.ndarray, folds: np.ndarray, loss: EnsembleObjective) -> float:
    """Return the standard error of a's loss minus b's: the larger of that over rows and that over folds."""

    def difference(kept: np.ndarray) -> float:
        return loss.of(kept)(y[kept], a[kept]) - loss.of(kept)(y[kept], b[kept])

    of = folds[:, 0]
    without = np.array([difference(np.flatnonzero(of != fold)) for fold in np.unique(of)])
    over_folds = float(np.sqrt((len(without) - 1) * without.var()))  # the jackknife, a fold at a time
    return max(metrics.jackknife(difference, len(y)), over_folds)
