"""ensemble: the bank's members -> weights and adjustment, one table of predictions, scored naively and cross-fitted."""

from typing import Any

import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.config import scoring as scoring_of
from podium.contracts import models
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.models import FULL, of_fold
from podium.contracts.predictions import Bank, read_bank
from podium.ensembles import Blend
from podium.fitting.ensemble_model import fit_ensemble
from podium.fitting.scoring import Scoring
from podium.storage import csv_table
from podium.storage.files import atomic_folder, write_json


def run(config: Config) -> None:
    """Fit the weights on all rows (naive) and on the other folds (cross-fitted), and score both.

    The table's train rows are the cross-fitted predictions; its test rows are by the saved model of all rows.
    """
    params, competition, scoring = config.params, config.params.competition, scoring_of(config)
    task, data = scoring.task, Dataset(paths.dataset(competition))
    bank = read_bank(paths.data(competition, "bank.json"), task.predictions)
    y, weight = task.truth(data, bank.train_ids), data.weight(bank.train_ids)
    folds = FoldTable.read(data.folder).matrix(bank.train_ids)

    fitted = fit_ensemble(params.ensemble, scoring, bank, y, folds, weight, params.seed)
    verdict, cross_fitted = fitted.verdict, fitted.cross_fitted
    folder = paths.models(competition, "ensemble")
    with atomic_folder(folder) as temporary:
        models.save(fitted.model, temporary, FULL)
        for (repeat, fold), one in fitted.fold_models.items():
            models.save(one, temporary, of_fold(repeat, fold))
    model = models.load(folder, FULL)
    test = model.combine(task, bank.test)
    type(test).concat([cross_fitted, test]).write(paths.ensemble(competition))

    constant = scoring.scores(y, task.fallback(data, bank.train_ids), weight)[scoring.official.name]
    table = _bank_table(scoring, bank, y, weight, verdict.blend.weights, constant)
    csv_table.write(table, paths.bank_table(competition))
    csv_table.write(verdict.table.round(6), paths.method_table(competition))
    csv_table.write(_path(verdict.blend, bank.names), paths.climb_table(competition))
    scores = {
        "naive": scoring.scores(y, model.combine(task, bank.train), weight),
        "cross_fitted": scoring.scores(y, cross_fitted, weight),
        "standard_error": scoring.standard_errors(y, cross_fitted, weight),
    }
    write_json(scores, paths.METRICS_ENSEMBLE)
    official = scoring.official.name
    for warning in scoring.below_constant(table):
        print(warning)  # noqa: T201
    print(  # noqa: T201  # what the stage shows for its work
        f"ensemble of {len(bank.names)} by {verdict.method} ({verdict.table['verdict'][0]}): cross-fitted {official}"
        f" {scores['cross_fitted'][official]:.4f} ± {scores['standard_error'][official]:.4f},"
        f" naive {scores['naive'][official]:.4f}"
    )


def _path(blend: Blend, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the search's steps, to see where they stop gaining; a header only where there was no search."""
    return pd.DataFrame(
        [(step, names[member], round(loss, 6)) for step, (member, loss) in enumerate(blend.path, start=1)],
        columns=["step", "member", "loss"],
    )


def _bank_table(
    scoring: Scoring,
    bank: Bank[Any],
    y: Any,
    weight: np.ndarray | None,
    blend_weights: np.ndarray | None,
    constant: float,
) -> pd.DataFrame:
    """Return one line per member, the best by the official metric first; `constant` is the constant prediction's."""
    official = scoring.official
    table = pd.DataFrame(
        [{"member": name, **scoring.scores(y, p, weight)} for name, p in zip(bank.names, bank.train, strict=True)]
    )
    table["standard_error"] = [scoring.standard_errors(y, p, weight)[official.name] for p in bank.train]
    table["weight"] = np.nan if blend_weights is None else blend_weights.round(6)
    table["constant"] = constant
    return table.sort_values(official.name, ascending=official.direction == "lower", kind="stable")
