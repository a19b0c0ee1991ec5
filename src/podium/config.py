"""params.yaml and a competition's YAML -> frozen models. The only place that reads them.

Validation has no side effects and needs no data: a wrong name fails here, before any expensive work,
and the message lists the right ones.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from podium import names, paths, plugins
from podium.backbones import NETWORKS
from podium.contracts.metadata import NAME as METADATA
from podium.ensembles import Ensemble
from podium.errors import PodiumError
from podium.features.backbone import Backbone
from podium.fitting.choose_method import USUAL
from podium.fitting.member import Member
from podium.fitting.scoring import Scoring, Submission
from podium.imaging.views import VIEWS, Views
from podium.layouts import Layout
from podium.layouts.sample_submission import Sample
from podium.metrics import Metric
from podium.metrics import find as find_metric
from podium.settings import Settings
from podium.sources import Source
from podium.splits.folds import Folds
from podium.splits.sampling import Holdout
from podium.storage import yaml_file
from podium.tasks import Task
from podium.tasks.vector import ExclusiveTask, ProbabilityTask, VectorTask
from podium.teaching import Student
from podium.training import Finetune
from podium.training.encoder import find as find_encoder

# DVC leaves params of these names out of its run cache key, so a change would go unnoticed.
_INVISIBLE_TO_DVC = ("size", "nfiles")


class Imports(Settings):
    """Tables made elsewhere: predictions that join the bank, and features that heads take like a backbone's."""

    predictions: dict[str, Path] = Field(default_factory=dict)
    """Name -> CSV, Parquet or .npy file of predictions by id, or a folder: out-of-fold and test rows apart."""
    features: dict[str, Path] = Field(default_factory=dict)
    """Name -> HDF5, CSV or Parquet file of features, by image_id."""


class Params(Settings):
    """params.yaml: every choice that changes a number. Every key is required, because DVC tracks it."""

    competition: str
    """A file of competitions/, without .yaml."""
    seed: int = Field(ge=0)
    """Of folds, heads and networks."""
    limit: int | None = Field(ge=1)
    """Rows to use, for a quick trial; null: all."""
    folds: Folds
    """How training rows are split."""
    views: Views
    """The views of each image to train on, and to predict from."""
    backbones: dict[str, Backbone]
    """Frozen networks whose features heads are fitted on."""
    finetunes: dict[str, Finetune]
    """Networks trained once a fold; each is a backbone of members and fusions, too."""
    members: dict[str, Member]
    """One head on one backbone each."""
    fusions: dict[str, Member]
    """One head on several backbones' features each."""
    students: dict[str, Student]
    """Models that learn from what the bank says of rows without labels; see docs/bank.md."""
    imports: Imports
    """Predictions and features made elsewhere."""
    ensemble: dict[str, Ensemble]
    """Methods with their settings; of several, the one chosen by `auto`'s rule on cross-fitted scores."""
    submission: Submission
    """What is done to predictions on the way out."""

    def models(self) -> dict[str, Member]:
        """Return every model that is fitted here, sorted by name."""
        return dict(sorted((self.members | self.fusions).items()))

    def bank(self) -> list[str]:
        """Return the sorted names of all predictions: of finetunes, of models, of students, and imported."""
        return sorted([*self.finetunes, *self.models(), *self.students, *self.imports.predictions])

    def networks(self) -> dict[str, Finetune]:
        """Return every network that is trained here, students too, by its place in params.yaml."""
        students = {f"students.{name}.finetune": one.finetune for name, one in self.students.items() if one.finetune}
        return {f"finetunes.{name}": one for name, one in self.finetunes.items()} | students

    def predictions(self, name: str) -> Path:
        """Return the folder of one member's predictions; a student's lie apart from those of its teachers."""
        if name in self.students:
            return paths.student(self.competition, name, "predictions")
        return paths.predictions(self.competition, name)

    def fitted(self, name: str) -> Path:
        """Return the folder of one member's models."""
        if name in self.students:
            return paths.student(self.competition, name, "models")
        return paths.models(self.competition, name)


class Competition(Settings):
    """competitions/C.yaml: where the data comes from, what is asked and how it is scored.

    Every key is required, `null` or `[]` where there is nothing to say: DVC refuses to track a key that is not there.
    """

    title: str
    """For people."""
    source: Source
    """Where the raw data comes from."""
    layout: Layout
    """How the raw files say which image has which label."""
    task: Task
    """What is to be predicted."""
    metric: str
    """The official metric, which ensembles are fitted by."""
    metrics: tuple[str, ...]
    """Reported beside the official one."""
    holdout: Holdout | None
    """The labelled rows kept back as test rows; null where the competition has test rows of its own."""
    submission: Sample
    """The form of the submission."""

    def all_metrics(self) -> tuple[str, ...]:
        """Return the official metric, then those reported beside it."""
        return (self.metric, *(name for name in self.metrics if name != self.metric))


class Config(Settings):
    """Both files, checked against each other."""

    params: Params
    """params.yaml."""
    competition: Competition
    """The competition that it names."""


def scoring(config: Config) -> Scoring:
    """Return how predictions are scored: by the competition's metrics, clipped as params.yaml says."""
    return Scoring(config.competition.task, all_metrics(config), config.params.submission)


def all_metrics(config: Config) -> tuple[Metric, ...]:
    """Return the competition's metrics, the official one first."""
    where = f"{paths.competition(config.params.competition)}: metric"
    return tuple(find_metric(name, where) for name in config.competition.all_metrics())


def vector_task(config: Config) -> VectorTask:
    """Return the task of a competition that has heads on features, which `load` allows for vectors only."""
    task: VectorTask = config.competition.task  # type: ignore[assignment]  # see `load`
    return task


def load(path: Path = paths.PARAMS) -> Config:
    """Read and check params.yaml and the competition that it names; raises PodiumError in one line."""
    params = load_params(path)
    competition = load_competition(params.competition, str(path))
    task = competition.task
    _check_members(params, competition, str(path))
    for place, network in params.networks().items():
        _check_task(network, task, f"{path}: {place}")
        if task.kind != "masks":  # its networks take pictures of any shape
            _check_shape(network, params.views, f"{path}: {place}")
    for name, student in params.students.items():
        _check_student(student, task, f"{path}: students.{name}")
    if not competition.layout.has_images:
        for section in ("backbones", "finetunes"):
            for name in getattr(params, section):
                raise PodiumError(f"{path}: {section}.{name}: the competition has no images; members take `metadata`")
    if not isinstance(task, VectorTask):
        params = _without_vectors(params, task, str(path))
    if task.is_directed:
        _check_direction(params, task, str(path))
    return Config.model_construct(params=params, competition=competition)


def _check_members(params: Params, competition: Competition, where: str) -> None:
    """Raise PodiumError for a head that cannot do the task, and for metadata that the competition does not have."""
    task = competition.task
    places = {name: "members" if name in params.members else "fusions" for name in params.models()}
    models = {f"{where}: {places[name]}.{name}": model for name, model in params.models().items()}
    models |= {f"{where}: students.{name}.member": one.member for name, one in params.students.items() if one.member}
    for at, model in models.items():
        if task.kind not in model.head.tasks:
            kinds = ", ".join(model.head.tasks)
            raise PodiumError(f"{at}.head: it handles {kinds}; the competition's task is {task.kind}")
        if (model.metadata or METADATA in model.backbones) and not competition.layout.metadata:
            raise PodiumError(f"{at}.metadata: the competition names no columns in layout.metadata")
        if not isinstance(model.metadata, bool):
            for column in model.metadata:
                _choose(column, dict.fromkeys(competition.layout.metadata), f"{at}.metadata", "column")


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml alone."""
    raw = yaml_file.read(path)
    for place in _invisible(raw):
        raise PodiumError(f"{path}: {place}: DVC ignores params of this name; call it something else")
    where = f"{path}: "
    names.competition(raw.get("competition"), f"{where}competition")
    sections = names.sections(raw, where)
    backbones = sections["backbones"] | sections["finetunes"] | sections["imports.features"]
    read = dict(raw)
    for section in ("members", "fusions"):
        read[section] = {
            name: _member(spec, f"{where}{section}.{name}", backbones, fused=section == "fusions")
            for name, spec in (raw.get(section) or {}).items()
        }
    read["students"] = {
        name: _student(spec, f"{where}students.{name}", backbones) for name, spec in sections["students"].items()
    }
    read["ensemble"] = _methods(raw.get("ensemble"), f"{where}ensemble")
    params: Params = _validated(Params, read, where)
    for name, backbone in params.backbones.items():
        at = f"{where}backbones.{name}"
        _choose(backbone.network, NETWORKS, f"{at}.network", "network")
        network = NETWORKS[backbone.network]
        pooling = backbone.pooling or network.poolings[0]
        if backbone.resize.width is not None:
            raise PodiumError(f"{at}.resize.width: {backbone.network} takes squares: give `px`, with `mode: pad`")
        network.check(backbone.resize.px or network.native_px, pooling, backbone.layers, at)
    for place, finetune in params.networks().items():
        find_encoder(finetune, f"{where}{place}")
    _check_models(params, where)
    for role in ("train", "test"):
        for view in getattr(params.views, role):
            _choose(view, VIEWS, f"{where}views.{role}", "view")
    if not params.bank():
        raise PodiumError(f"{where}members: at least one member, fusion or finetune is needed")
    return params


def _check_models(params: Params, where: str) -> None:
    """Raise PodiumError for a model whose features or teachers are not to be had."""
    for name, model in params.models().items():
        at = f"{where}{'members' if name in params.members else 'fusions'}.{name}"
        _check_trained(model, params.finetunes, at)
        _check_bags(model, at, fused=name in params.fusions)
    for name, student in params.students.items():
        _check_teachers(student, params, f"{where}students.{name}")
        _check_learner(student, params, f"{where}students.{name}")


def load_competition(name: str, params_file: str = "params.yaml") -> Competition:
    """Read and check competitions/NAME.yaml, beside the params file."""
    path = Path(params_file).parent / paths.competition(name)
    if not path.exists():
        known = sorted(found.stem for found in path.parent.glob("*.yaml"))
        raise PodiumError(f"{params_file}: competition: there is no {path}; choose one of: {', '.join(known)}")
    raw = yaml_file.read(path)
    read = dict(raw)
    for key, kind in (("source", "sources"), ("layout", "layouts"), ("task", "tasks")):
        read[key] = plugins.read(kind, raw.get(key), f"{path}: {key}", "kind")
    competition: Competition = _validated(Competition, read, f"{path}: ")
    for metric in competition.all_metrics():
        at = f"{path}: {'metric' if metric == competition.metric else 'metrics'}"
        found = find_metric(metric, at)
        if competition.task.kind not in found.tasks:
            raise PodiumError(f"{at}: {metric!r} scores {', '.join(found.tasks)}; the task is {competition.task.kind}")
    return competition


def _check_trained(model: Member, finetunes: Mapping[str, Finetune], where: str) -> None:
    """Raise PodiumError for a head on trained networks' features that there are none of, or none for all rows."""
    for name in [name for name in model.backbones if name in finetunes]:
        if not finetunes[name].features:
            raise PodiumError(f"{where}: {name} keeps no features; set finetunes.{name}.features: true")
        if model.head.refit == "full":
            raise PodiumError(f"{where}.refit: {name} is trained once a fold, so no network is of all rows; use folds")


def _student(spec: Any, where: str, backbones: Mapping[str, Any]) -> Student:
    if not isinstance(spec, Mapping):
        raise PodiumError(f"{where}: must be a mapping of settings, not {spec!r}")
    read = dict(spec)
    if read.get("member") is not None:
        fused = isinstance(read["member"], Mapping) and "backbones" in read["member"]
        read["member"] = _member(read["member"], f"{where}.member", backbones, fused=fused)
    student: Student = _validated(Student, read, where)
    return student


def _check_bags(model: Member, where: str, *, fused: bool) -> None:
    """Raise PodiumError for what a head that takes each image of a row cannot have beside them."""
    if model.head.takes == "images" and (fused or model.metadata or METADATA in model.backbones):
        raise PodiumError(f"{where}.head: it takes each image of a row, of one backbone and without metadata")


def _check_teachers(student: Student, params: Params, where: str) -> None:
    """Raise PodiumError for teachers whose models are not here, or that cannot be asked what the student asks."""
    for name in student.teachers:
        if name in params.imports.predictions:
            raise PodiumError(f"{where}.teachers: {name} is imported: nobody knows which rows its models saw")
        _choose(name, {**params.models(), **params.finetunes}, f"{where}.teachers", "teacher")
    teachers = student.named(params.models(), params.finetunes)
    if not teachers:
        raise PodiumError(f"{where}.teachers: there is no member, fusion or finetune to learn from")
    heads = [*(params.models()[name].head for name in teachers if name in params.models())]
    heads += [student.member.head] if student.member else []
    if any(head.takes == "images" for head in heads):
        raise PodiumError(
            f"{where}: heads that take each image of a row neither teach nor learn; name other `teachers`"
        )
    for name in teachers if student.asks_of_labelled else []:
        if name in params.finetunes or set(params.models()[name].backbones) & set(params.finetunes):
            raise PodiumError(
                f"{where}: distill and distrust take teachers that are fitted again without two folds, and {name} is"
                " trained once a fold; name other `teachers`"
            )


def _check_learner(student: Student, params: Params, where: str) -> None:
    """Raise PodiumError for what a student cannot be."""
    if student.member is not None:
        _check_trained(student.member, params.finetunes, f"{where}.member")
        for key, plain in (("refit", student.member.head.refit != "full"), ("select", student.member.select == "all")):
            if not plain:
                raise PodiumError(f"{where}.member.{key}: leave it out: a student has a teacher for each fold alone")
        lacking = [view for view in params.views.train if view not in params.views.test]
        if lacking and "test" in student.splits:
            raise PodiumError(
                f"{where}.splits: test rows have no view {lacking[0]}, which heads are trained on; add it to"
                " views.test, or leave test rows out"
            )
    if student.finetune is not None and student.finetune.features:
        raise PodiumError(f"{where}.finetune.features: leave it out: a student keeps none")
    if student.finetune is not None and student.finetune.refit == "full":
        raise PodiumError(f"{where}.finetune.refit: leave it out: a student has a teacher for each fold alone")


def _check_student(student: Student, task: Task, where: str) -> None:
    """Raise PodiumError for a student that this kind of task has no use for."""
    if not isinstance(task, VectorTask):
        raise PodiumError(f"{where}: students learn classes and values; the competition's task is {task.kind}")
    if student.confidence and task.is_value:
        raise PodiumError(f"{where}.confidence: leave it out: values have no probability")
    if student.distrust is not None and not task.is_exclusive:
        raise PodiumError(f"{where}.distrust: it is for binary and multiclass tasks; the competition's is {task.kind}")


def _check_boxes(finetune: Finetune, task: Task, where: str) -> None:
    for key, unset in (("refit", "folds"), ("boxes", None)):
        if getattr(finetune, key) != unset and task.predictions.kind != "boxes":
            raise PodiumError(f"{where}.{key}: it is for networks that find boxes; the task is {task.kind}")


def _check_task(finetune: Finetune, task: Task, where: str) -> None:
    """Raise PodiumError for a setting that says nothing to this kind of task."""
    for key, unset in (("class_weight", None), ("sampling", "uniform")):
        if getattr(finetune, key) != unset and not isinstance(task, ExclusiveTask):
            raise PodiumError(f"{where}.{key}: it is for binary and multiclass tasks; the competition's is {task.kind}")
    _check_boxes(finetune, task, where)
    if finetune.refit == "full" and not (isinstance(task, VectorTask) or task.kind == "boxes"):
        raise PodiumError(f"{where}.refit: it is for classes, values and boxes; the competition's task is {task.kind}")
    encoder = find_encoder(finetune, where)
    if encoder.gives == "steps" and task.predictions.kind != "sequences":
        raise PodiumError(f"{where}.network: {finetune.network} reads text; the competition's task is {task.kind}")
    if (encoder.gives == "maps") != (task.predictions.kind == "masks"):
        if encoder.gives == "maps":
            raise PodiumError(f"{where}.network: it ends in masks; the competition's task is {task.kind}")
        raise PodiumError(
            f"{where}.network: {finetune.network} makes no masks; take unet, or a pretrained one with decoder"
        )
    if encoder.gives == "features" and not getattr(task, "is_fixed", True):
        raise PodiumError(
            f"{where}.network: {finetune.network} reads texts of one length; give the task the same min_length and"
            " max_length, or take crnn"
        )
    for key in ("label_smoothing", "focal"):
        if getattr(finetune, key) and not isinstance(task, ProbabilityTask):
            raise PodiumError(f"{where}.{key}: leave it out: the competition's task has no labels")


def _check_shape(finetune: Finetune, views: Views, where: str) -> None:
    """Raise PodiumError for a view that swaps the sides of a picture which is no square."""
    if finetune.resize.width == finetune.resize.height:
        return
    turned = [name for name in views.test if VIEWS[name].operation != "identity" and _swaps_sides(name)]
    turned += [name for name in finetune.augment.names if name in VIEWS and _swaps_sides(name)]
    if turned:
        raise PodiumError(f"{where}.resize: {turned[0]} turns a picture on its side; leave it out, or give `px`")


def _swaps_sides(view: str) -> bool:
    return VIEWS[view].operation == "transpose" or VIEWS[view].parameters.get("quarter_turns", 0) % 2 == 1


def _without_vectors(params: Params, task: Task, where: str) -> Params:
    """Return the params without methods that only vectors can be combined by; raises PodiumError for one that is asked.

    `auto` tries stacking unasked, so there it is left out.
    """
    kept = {name: method for name, method in params.ensemble.items() if not method.needs_vectors}
    if task.predictions.kind == "boxes":
        kept = _for_boxes(params, where)
    if not kept:
        name = next(iter(params.ensemble))
        raise PodiumError(f"{where}: ensemble.method: {name} combines vectors; for {task.kind} take hill_climb or mean")
    if params.submission.clip is not None:
        raise PodiumError(f"{where}: submission.clip: must be null; the task {task.kind} has no numbers to clip")
    return params.model_copy(update={"ensemble": kept})


def _for_boxes(params: Params, where: str) -> dict[str, Ensemble]:
    """Return the methods that fuse boxes, of which `auto` has one; raises PodiumError for another that is asked."""
    kept = {name: method for name, method in params.ensemble.items() if "boxes" in method.combines}
    if not kept and len(params.ensemble) == 1:
        raise PodiumError(f"{where}: ensemble.method: {next(iter(params.ensemble))} cannot fuse boxes; take boxes")
    if params.folds.repeats > 1:
        raise PodiumError(f"{where}: folds.repeats: must be 1: boxes of several repeats have no mean")
    return kept or {"boxes": plugins.make("ensembles", "boxes", {}, f"{where}: ensemble", "method")}


def _check_direction(params: Params, task: Task, where: str) -> None:
    """Raise PodiumError for what mirrors, turns or mixes pictures, whose answers it would not change alike."""
    for role in ("train", "test"):
        if turned := [name for name in getattr(params.views, role) if name != "identity"]:
            raise PodiumError(
                f"{where}: views.{role}: {turned[0]} mirrors or turns pictures, and characters with them; the task"
                f" {task.kind} takes identity alone"
            )
    for name, finetune in params.finetunes.items():
        for operation in finetune.augment.names:
            at = f"{where}: finetunes.{name}.augment: {operation}"
            if operation in VIEWS:
                raise PodiumError(f"{at} mirrors or turns pictures, and characters with them; leave it out")
            if operation in ("mixup", "cutmix"):
                raise PodiumError(f"{at} mixes pictures, and two texts have no mean; leave it out")


def _validated(model: Any, read: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(read)
    except ValidationError as error:
        raise PodiumError(plugins.explain(error, where, model)) from None


def _methods(spec: Any, where: str) -> dict[str, Ensemble]:
    """Return the one method that is named; under `auto`, the usual ones and those that have a key of their own."""
    if not isinstance(spec, Mapping) or spec.get("method") != "auto":
        method = plugins.read("ensembles", spec, where, "method")
        return {spec["method"]: method}
    options: dict[str, Any] = dict.fromkeys(USUAL) | {k: v for k, v in spec.items() if k != "method"}
    for name in options:
        plugins.find("ensembles", name, f"{where}.{name}")
    return {name: plugins.make("ensembles", name, options[name] or {}, f"{where}.{name}") for name in sorted(options)}


def _member(spec: Any, where: str, backbones: Mapping[str, Any], *, fused: bool) -> Member:
    key = "backbones" if fused else "backbone"
    if not isinstance(spec, Mapping) or key not in spec:
        raise PodiumError(f"{where}.{key}: this key is required; choose from: {', '.join([*backbones, METADATA])}")
    if fused and not isinstance(spec[key], list):
        raise PodiumError(f"{where}.{key}: must be a list; choose from: {', '.join([*backbones, METADATA])}")
    used = tuple(spec[key]) if fused else (spec[key],)
    for name in used:
        _choose(name, {**backbones, METADATA: None}, f"{where}.{key}", "backbone")
    own = ("metadata", "select") if fused else ("metadata",)
    head = plugins.read("heads", {k: v for k, v in spec.items() if k not in (key, *own)}, where, "head")
    options = {name: spec[name] for name in own if name in spec}
    member: Member = _validated(Member, {"backbones": used, "head": head, **options}, where)
    return member


def _choose(name: Any, choices: Mapping[str, Any], where: str, what: str) -> None:
    if not isinstance(name, str) or name not in choices:
        raise PodiumError(f"{where}: unknown {what} {name!r}; choose one of: {', '.join(sorted(choices))}")


def _invisible(node: Any, place: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _INVISIBLE_TO_DVC:
                yield f"{place}{key}"
            yield from _invisible(value, f"{place}{key}.")
