"""ensemble: the bank's members -> one table of predictions, scored naively and cross-fitted."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from podium import metrics, paths
from podium.config import Config
from podium.contracts.predictions import Bank, read_bank
from podium.contracts.tables import FOLDS, ROWS, by_id
from podium.ensembles import Blend, EnsembleObjective
from podium.fitting.choose_ensemble import choose_ensemble
from podium.storage import csv_table
from podium.storage.files import write_json
from podium.tasks import Task

Scores = dict[str, float]


def run(config: Config) -> None:
    """Fit the weights on all rows (naive) and on the other folds (cross-fitted), and score both.

    The table's train rows are the cross-fitted predictions; its test rows are the blend learnt on all rows.
    """
    params, competition = config.params, config.params.competition
    schema = config.competition.task.schema
    bank = read_bank(paths.data(competition, "bank.json"), partial(paths.predictions, competition), schema)
    rows_file, folds_file = paths.data(competition, "rows.parquet"), paths.data(competition, "folds.parquet")
    y = config.competition.task.targets(by_id(ROWS.read(rows_file), bank.train_ids, str(rows_file)))
    folds = _fold_matrix(FOLDS.read(folds_file), bank.train_ids, str(folds_file))
    loss = _loss(config)

    verdict = choose_ensemble(params.ensemble, bank.train, y, folds, loss=loss, seed=params.seed)
    blend = verdict.blend
    cross_fitted = _cross_adjusted(config.competition.task, verdict.cross_fitted, y, folds[:, 0], loss)
    naive = blend.combine(bank.train)
    adjust = config.competition.task.adjustment(naive, y, loss)

    table = bank.table(cross_fitted, adjust(blend.combine(bank.test)))
    schema.write(table, paths.ensemble(competition), {"labels": bank.labels, "task": config.competition.task.kind})
    csv_table.write(_bank_table(bank, y, blend.weights, config), paths.bank_table(competition))
    csv_table.write(verdict.table.round(6), paths.method_table(competition))
    csv_table.write(_path(blend, bank.names), paths.climb_table(competition))
    scores = {
        "naive": _scores(y, adjust(naive), config),
        "cross_fitted": _scores(y, cross_fitted, config),
        "standard_error": _standard_errors(y, cross_fitted, config),
    }
    write_json(scores, paths.METRICS_ENSEMBLE)
    official = config.competition.metric
    print(  # noqa: T201  # what the stage shows for its work
        f"ensemble of {len(bank.names)} by {verdict.method} ({verdict.table['verdict'][0]}): cross-fitted {official}"
        f" {scores['cross_fitted'][official]:.4f} ± {scores['standard_error'][official]:.4f},"
        f" naive {scores['naive'][official]:.4f}"
    )


def _cross_adjusted(task: Task, p: np.ndarray, y: np.ndarray, fold: np.ndarray, loss: EnsembleObjective) -> np.ndarray:
    """Return predictions, each fold's adjusted by what was learnt on the others."""
    adjusted = p.copy()
    for held in (fold == one for one in np.unique(fold)):
        adjusted[held] = task.adjustment(p[~held], y[~held], loss)(p[held])
    return adjusted


def _fold_matrix(folds: pd.DataFrame, ids: list[str], where: str) -> np.ndarray:
    """Return `(n, repeats)`: the fold of each id in each repeat."""
    wide = folds.pivot_table(index="row_id", columns="repeat", values="fold").reset_index()
    return by_id(wide, ids, where).drop(columns="row_id").to_numpy(dtype=np.int64)


def _metrics(config: Config) -> list[metrics.Metric]:
    where = f"{paths.competition(config.params.competition)}: metric"
    return [metrics.find(name, where) for name in config.competition.all_metrics()]


def _limits(config: Config) -> tuple[float, float]:
    """Return the range of predictions as they go out: params.submission.clip, or else the task's own."""
    allowed = config.competition.task.schema.columns[-1]
    return config.params.submission.clip or (allowed.low, allowed.high)


def _loss(config: Config) -> EnsembleObjective:
    official, task = _metrics(config)[0], config.competition.task
    return EnsembleObjective(
        lambda y, p: official.loss(y, p, task),
        limits=_limits(config),
        is_log_loss=official.name == "log_loss",
    )


def _scores(y: np.ndarray, p: np.ndarray, config: Config) -> Scores:
    p = config.params.submission.apply(p)
    return {metric.name: round(metric.score(y, p, config.competition.task), 6) for metric in _metrics(config)}


def _standard_errors(y: np.ndarray, p: np.ndarray, config: Config) -> Scores:
    p, task = config.params.submission.apply(p), config.competition.task

    def score(metric: metrics.Metric) -> Callable[[np.ndarray], float]:
        return lambda kept: metric.score(y[kept], p[kept], task)

    return {metric.name: round(metrics.jackknife(score(metric), len(y)), 6) for metric in _metrics(config)}


def _path(blend: Blend, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the search's steps, to see where they stop gaining; a header only where there was no search."""
    return pd.DataFrame(
        [(step, names[member], round(loss, 6)) for step, (member, loss) in enumerate(blend.path, start=1)],
        columns=["step", "member", "loss"],
    )


def _bank_table(bank: Bank, y: np.ndarray, weights: np.ndarray | None, config: Config) -> pd.DataFrame:
    """Return one line per member, the best by the official metric first."""
    official = _metrics(config)[0]
    table = pd.DataFrame(
        [{"member": name, **_scores(y, p, config)} for name, p in zip(bank.names, bank.train, strict=True)]
    )
    table["standard_error"] = [_standard_errors(y, p, config)[official.name] for p in bank.train]
    table["weight"] = np.nan if weights is None else weights.round(6)
    return table.sort_values(official.name, ascending=official.direction == "lower", kind="stable")
