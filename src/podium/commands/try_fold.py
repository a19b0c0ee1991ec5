"""`podium try NAME --fold 0 --set KEY=VALUE`: one fold of a member, fusion or finetune, scored; no output is touched.

What a finetune learns is kept in the machine's cache, so that `dvc repro` does not train this fold again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from podium import metrics, paths, plugins
from podium.config import Config, vector_task
from podium.config import scoring as scoring_of
from podium.contracts.dataset import Dataset
from podium.contracts.predictions import Predictions
from podium.errors import PodiumError
from podium.fitting.fit_inputs import FitInputs
from podium.fitting.member import Member
from podium.splits import folds
from podium.training import Finetune
from podium.training.finetuning import Finetuning
from podium.training.loop import Step
from podium.training.progress import Progress

_BEYOND_CHANCE = 1.96  # standard errors that a difference must exceed to be called one


@dataclass(frozen=True)
class Tried:
    """The predictions of one fold's train rows, and how many rows its model was trained on."""

    predictions: Predictions
    n_trained: int


def run(config: Config, name: str, fold: int, settings: Sequence[str]) -> None:
    """Print the fold's scores with their standard errors, and the difference to what is there, over the same rows."""
    started = time.monotonic()
    if name in config.params.finetunes:
        spec = with_settings(config.params.finetunes[name], settings, f"finetunes.{name}")
        with Progress(f"{name} fold {fold}") as progress:
            tried = finetune(config, name, spec, fold, progress)
    else:
        tried = head(config, name, settings, fold)
    data, scoring, task = Dataset(paths.dataset(config.params.competition)), scoring_of(config), config.competition.task
    ids = tried.predictions.row_id
    y, weight = task.truth(data, ids), data.weight(ids)
    scores, errors = (of(y, tried.predictions, weight) for of in (scoring.scores, scoring.standard_errors))
    shown = ", ".join(f"{metric} {score:.4f} ± {errors[metric]:.4f}" for metric, score in scores.items())
    changed = f" with {', '.join(settings)}" if settings else ""
    print(  # noqa: T201  # the answer
        f"{name}{changed}, fold {fold}: {shown}; {tried.n_trained:,} rows learnt, {len(ids):,} scored,"
        f" {time.monotonic() - started:.1f} s; nothing is written"
    )
    if line := _difference(config, name, tried.predictions, y, weight):
        print(line)  # noqa: T201  # the answer


def head(config: Config, name: str, settings: Sequence[str], fold: int) -> Tried:
    """Return one fold of a member or fusion, from the features that are there."""
    models = config.params.models()
    if name not in models:
        choices = ", ".join([*models, *config.params.finetunes])
        raise PodiumError(f"{paths.PARAMS}: no member, fusion or finetune {name!r}; choose one of: {choices}")
    section = "members" if name in config.params.members else "fusions"
    member: Member = models[name]
    chosen = with_settings(member.head, settings, f"{section}.{name}").model_copy(update={"refit": "folds"})
    inputs = FitInputs.read(config.params.competition, member.backbones, config.params.views, splits=("train",))
    inputs = replace(inputs, folds=folds.only(inputs.folds, fold))
    found = inputs.predict(vector_task(config), chosen, member.backbones, config.params.seed, metadata=member.metadata)
    [split] = folds.splits(inputs.folds, inputs.data.rows)
    return Tried(found.of_split("train"), len(split.train))


def finetune(config: Config, name: str, spec: Finetune, fold: int, watch: Callable[[Step], None]) -> Tried:
    """Return one fold of a finetune with the settings `spec`, trained if the cache does not hold it."""
    params, views = config.params, config.params.views.test
    where = f"{paths.PARAMS}: finetunes.{name}"
    whole = Finetuning.read(params.competition, spec, config.competition.task, params.seed, where)
    finetuning = replace(whole, fold_table=folds.only(whole.fold_table, fold))
    [model] = finetuning.models
    plan = finetuning.plan
    plan = plan[plan["view"].isin(views) & plan["row_id"].isin(model.split.valid)]
    model.complete(plan, watch)
    found = finetuning.problem.predictions([(model, plan)], [model.trained])
    return Tried(found.of_split("train"), len(model.split.train))


def with_settings(spec: Any, settings: Sequence[str], where: str) -> Any:
    """Return a head or finetune with `key=value` pairs in place; raises PodiumError as params.yaml would."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, between, text = setting.partition("=")
        if not between:
            raise PodiumError(f"--set {setting}: it takes KEY=VALUE")
        try:
            values[key] = YAML(typ="safe").load(text)
        except YAMLError:
            raise PodiumError(f"--set {setting}: the value is no YAML") from None
    try:
        return type(spec)(**({key: getattr(spec, key) for key in spec.model_fields_set} | values))
    except ValidationError as error:
        raise PodiumError(plugins.explain(error, f"{paths.PARAMS}: {where}", type(spec))) from None


def _difference(config: Config, name: str, tried: Predictions, y: Any, weight: np.ndarray | None) -> str | None:
    """Return how the same rows were predicted by the stage's last run; None where there is none."""
    folder, task, scoring = (
        paths.predictions(config.params.competition, name),
        config.competition.task,
        scoring_of(config),
    )
    if not folder.exists():
        return None
    kept = task.predictions.read(folder).of_split("train")
    if not set(tried.row_id) <= set(kept.row_id) or kept.form != tried.form:
        return None
    official = scoring.official
    old, new = (
        task.scorer(official, y, scoring.finished(p), weight) for p in (kept.by_id(tried.row_id, str(folder)), tried)
    )
    rows = np.arange(len(tried))
    gain = official.sign * (old(rows) - new(rows))
    error = metrics.jackknife(lambda some: old(some) - new(some), len(rows))
    if gain == 0:
        verdict = "the same"
    elif abs(gain) <= _BEYOND_CHANCE * error:
        verdict = "cannot tell"
    else:
        verdict = "better" if gain > 0 else "worse"
    return f"in {folder} the same rows have {official.name} {old(rows):.4f}: {verdict} ({gain:+.4f} ± {error:.4f})"
