"""`podium tune NAME`: better settings for one head, from features that are there already, or for a finetune.

A finetune is tried on one fold, and given up where it learns worse than the others did.

The study is kept in SQLite, so that a run goes on where the last one ended; it is another study where anything else
that the score depends on has changed. The best settings go back into params.yaml, whose comments stay.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from podium import metrics, paths
from podium.commands import try_fold
from podium.config import Config, vector_task
from podium.config import scoring as scoring_of
from podium.contracts.dataset import Dataset
from podium.errors import PodiumError
from podium.fitting.fit_inputs import FitInputs
from podium.fitting.member import Member
from podium.heads import Head, Range
from podium.splits import folds
from podium.storage.files import atomic, digest
from podium.training.loop import Step

_SHOWN = 10  # trials, the best first
_OF_HEADS, _OF_NETWORKS = 30, 6  # trials by default
_FOLD = 0  # that a finetune is tried on
_SPACE = {"learning_rate": Range(1e-4, 1e-2), "weight_decay": Range(1e-3, 1e-1)}


def run(config: Config, name: str, trials: int | None) -> None:
    """Try settings until the study holds `trials` more, show the best, and write them if they beat the present ones."""
    if trials is not None and trials < 1:
        raise PodiumError(f"--trials {trials}: at least 1 is needed")
    if name in config.params.finetunes:
        _tune_finetune(config, name, trials or _OF_NETWORKS)
        return
    member = _member(config, name)
    present = {key: getattr(member.head, key) for key in member.head.space}
    present = {key: value for key, value in present.items() if isinstance(value, int | float)}
    if not present:
        raise PodiumError(f"{paths.PARAMS}: {name}: this head has no single number to tune")
    loss = _scorer(config, member)
    study = _study(config, name, _circumstances(config, member))
    study.enqueue_trial(present, skip_if_exists=True)

    def objective(trial: Any) -> float:
        values = {key: _suggested(trial, key, member.head.space[key], value) for key, value in present.items()}
        return loss(_with(member.head, values))

    study.optimize(objective, n_trials=trials or _OF_HEADS)
    _finish(config, study, name, present)


def _finish(config: Config, study: Any, name: str, present: Mapping[str, float]) -> None:
    """Show the trials, and write the best of them unless they are the present ones."""
    _report(config, study, present)
    best = _values(study.best_trial)
    if best == present:
        print(f"{paths.PARAMS}: the present settings of {name} win; nothing is changed")  # noqa: T201  # the answer
        return
    write_back(paths.PARAMS, name, best)
    print(f"{paths.PARAMS}: {name} has the best settings now; `dvc repro` uses them")  # noqa: T201  # the answer


def _tune_finetune(config: Config, name: str, trials: int) -> None:
    """Tune a finetune's rates on one fold; a trial ends early where its training loss is worse than the median's."""
    import optuna

    spec, scoring, task = config.params.finetunes[name], scoring_of(config), config.competition.task
    data = Dataset(paths.dataset(config.params.competition))
    study = _study(config, name, _circumstances_of_finetune(config, name))
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    present = {key: getattr(spec, key) for key in _SPACE}
    study.enqueue_trial(present, skip_if_exists=True)

    def objective(trial: Any) -> float:
        values = {key: _suggested(trial, key, _SPACE[key], value) for key, value in present.items()}
        last: list[Step] = []

        def watch(step: Step) -> None:
            if last and step.epoch > last[-1].epoch:
                trial.report(last[-1].loss, last[-1].epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
            last[:] = [step]

        tried = try_fold.finetune(config, name, spec.model_copy(update=values), _FOLD, watch).predictions
        return scoring.loss(task.truth(data, tried.row_id), tried, data.weight(tried.row_id))

    study.optimize(objective, n_trials=trials)
    _finish(config, study, name, present)


def _circumstances_of_finetune(config: Config, name: str) -> str:
    """Return a digest of all but the tuned values that a fold's score depends on."""
    competition = config.params.competition
    files = [paths.data(competition, f"{table}.parquet") for table in ("rows", "folds", "images", "views")]
    facts = [
        [digest(path) for path in files],
        config.params.finetunes[name].model_dump(mode="json", exclude=set(_SPACE)),
        [config.competition.metric, config.competition.task.model_dump(mode="json"), list(config.params.views.test)],
        [config.params.submission.model_dump(mode="json"), config.params.seed, _FOLD],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _study(config: Config, name: str, circumstances: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = paths.cache() / "tune" / f"{config.params.competition}.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    storage, study_name = f"sqlite:///{file}", f"{name}-{circumstances}"
    known = optuna.create_study(storage=storage, study_name=study_name, load_if_exists=True).trials
    # Another seed for each run, or a resumed study would propose the same points again.
    sampler = optuna.samplers.TPESampler(seed=folds.seed_of(config.params.seed, len(known)))
    return optuna.load_study(storage=storage, study_name=study_name, sampler=sampler)


def _suggested(trial: Any, key: str, reach: Range, present: float) -> float:
    """Return a trial's value; the reach includes the present one, which is tried first."""
    low, high = min(reach.low, present), max(reach.high, present)
    if isinstance(reach.low, int) and isinstance(reach.high, int):
        return int(trial.suggest_int(key, low, high, log=reach.log))
    return _rounded(trial.suggest_float(key, low, high, log=reach.log and low > 0))


def _rounded(value: float) -> float:
    """Return three digits: what is scored is what is written."""
    return value if isinstance(value, int) else float(f"{value:.3g}")


def _values(trial: Any) -> dict[str, float]:
    return {key: _rounded(value) for key, value in trial.params.items()}


def _with(head: Head, values: dict[str, float]) -> Head:
    return type(head)(**(head.model_dump() | values))


def write_back(path: Path, name: str, values: Mapping[str, float]) -> None:
    """Set values of one member, fusion or finetune in params.yaml; comments, order and layout stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken that was whole
    params = yaml.load(path.read_text(encoding="utf-8"))
    section = next(key for key in ("members", "fusions", "finetunes") if name in (params.get(key) or {}))
    params[section][name].update(values)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def _member(config: Config, name: str) -> Member:
    models = config.params.models()
    if name not in models:
        choices = ", ".join([*models, *config.params.finetunes])
        raise PodiumError(f"{paths.PARAMS}: no member {name!r}; choose one of: {choices}")
    return models[name]


def _circumstances(config: Config, member: Member) -> str:
    """Return a digest of all but the tuned values that a score depends on."""
    name, competition = config.params.competition, config.competition
    tables = [paths.data(name, f"{table}.parquet") for table in ("rows", "folds", "images")]
    files = [*tables, *(paths.features(name, backbone) for backbone in member.backbones)]
    fixed = member.head.model_dump(mode="json", exclude=set(member.head.space))
    facts = [
        [digest(path) for path in files if path.exists()],
        [
            type(member.head).__module__,
            fixed,
            member.metadata,
            competition.metric,
            competition.task.model_dump(mode="json"),
        ],
        [config.params.views.model_dump(mode="json"), config.params.submission.model_dump(mode="json")],
        config.params.seed,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _scorer(config: Config, member: Member) -> Callable[[Head], float]:
    """Return the function from a head to its out-of-fold loss by the competition's metric; test rows stay out."""
    params, task, scoring = config.params, vector_task(config), scoring_of(config)
    each = member.head.takes == "images"
    inputs = FitInputs.read(params.competition, member.backbones, params.views, splits=("train",), each=each)

    def loss(head: Head) -> float:
        found = inputs.predict(task, head, member.backbones, params.seed, metadata=member.metadata)
        train = found.of_split("train")
        return scoring.loss(task.truth(inputs.data, train.row_id), train, inputs.data.weight(train.row_id))

    return loss


def _report(config: Config, study: Any, present: Mapping[str, float]) -> None:
    name = config.competition.metric
    sign = -1 if metrics.find(name, "metric").direction == "higher" else 1
    done = sorted((trial for trial in study.trials if trial.value is not None), key=lambda trial: trial.value)
    early = sum(trial.state.name == "PRUNED" for trial in study.trials)
    done = [trial for trial in done if trial.state.name == "COMPLETE"]
    given_up = f", {early} given up early" if early else ""
    print(f"{len(done)} trials{given_up}, out of fold; the best of many is a little too good")  # noqa: T201
    for trial in done[:_SHOWN]:
        values = _values(trial)
        settings = ", ".join(f"{key} {value:g}" for key, value in values.items())
        mark = "  (present)" if values == present else ""
        print(f"{trial.number:4d}  {name} {sign * trial.value:.5f}  {settings}{mark}")  # noqa: T201
