"""dvc.yaml against the code: every stage names the code it runs and the params it reads, and no more."""

import inspect
import os
from operator import attrgetter
from pathlib import Path
from typing import get_args

import grimp
import pytest
from ruamel.yaml import YAML

from podium import config as config_module
from podium import plugins
from podium.cli import STAGES
from podium.config import Competition, Params
from podium.settings import Settings

ROOT = Path(__file__).parents[2]

# Wiring and contracts: they decide how things are named and stored, not what numbers come out; a change of a
# stored form changes its schema version.
NOT_TRACKED = {"cli", "config", "plugins", "paths", "errors", "frozen", "quiet", "pool", "contracts", "storage"}
# But these contracts compute: what a fitted model predicts, and how predictions are averaged and blended.
ARITHMETIC = {"podium.contracts.averages", "podium.contracts.blends", "podium.contracts.steps"}
# Rooms that a stage depends on as a whole: their modules are chosen by params, or change together; and each line of
# dvc.lock costs time, since DVC reads and writes all of it after every stage.
WHOLE = {"sources", "layouts", "tasks", "heads", "ensembles", "engines", "backbones", "training", "teaching"}
WHOLE |= {"imaging", "features", "splits", "metrics"}

# Stages that run every time: no dependency decides whether they are stale.
ALWAYS = {"scan"}
TRACKED = [stage for stage in STAGES if stage not in ALWAYS]

# Stages that read names from params, and no setting.
MANIFESTS = {"gather", "enlist", "bank"}

# A plug-in comes to a stage as a value of the config rather than by an import: the param that holds it tells.
PLUGINS = {
    "source": "sources",
    "layout": "layouts",
    "task": "tasks",
    "ensemble": "ensembles",
    "members.${key}": "heads",
    "fusions.${key}": "heads",
    "students.${key}": "heads",
}


@pytest.fixture(scope="module")
def stages():
    """Return stage -> its definition in dvc.yaml, `foreach` taken away."""
    defined = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in defined.items()}


def test_every_stage_is_a_module_and_a_command(stages):
    """One name per stage: in dvc.yaml, in src/podium/stages and on the command line."""
    modules = {path.stem for path in (ROOT / "src/podium/stages").glob("[a-z]*.py")}
    assert list(stages) == list(STAGES)
    assert set(stages) <= modules
    assert {name for name, stage in stages.items() if stage.get("always_changed")} == ALWAYS


def test_no_command_holds_what_params_say(stages):
    """DVC gives a command to the shell, which would run a hostile name."""
    assert {name: stage["cmd"] for name, stage in stages.items()} == {name: f"podium {name}" for name in stages}


@pytest.mark.parametrize("stage", TRACKED)
def test_code_dependencies_are_the_import_closure(stages, stage):
    """A stage depends on its module and on what that imports, directly or not, and on nothing else."""
    graph = grimp.build_graph("podium")
    reached = _closure(graph, start(stage, stages[stage]))
    code = {dep for dep in stages[stage]["deps"] if dep.startswith("src/")}
    listed = {dep.removeprefix("src/podium/").removesuffix(".py").replace("/", ".") for dep in code}
    assert listed == reached


def start(stage, definition):
    """Return the modules where a stage's imports begin: its own, its plug-ins', and those of its settings."""
    return {
        f"podium.stages.{stage}",
        *(f"podium.{kind}" for kind in _plugins(definition) if stage not in MANIFESTS),
        *(_settings(definition) if stage not in MANIFESTS else ()),
    }


def _plugins(definition):
    names = []
    for entry in definition["params"]:
        names += [entry] if isinstance(entry, str) else next(iter(entry.values()))
    return {PLUGINS[name] for name in names if name in PLUGINS}


def _settings(definition):
    """Return the modules of the models that hold the stage's params: a default that changes makes it stale."""
    modules = set()
    for entry in definition["params"]:
        model, keys = (Params, [entry]) if isinstance(entry, str) else (Competition, next(iter(entry.values())))
        for key in keys:
            field = model.model_fields[key.partition(".")[0]]
            modules |= {kind.__module__ for kind in _models(field.annotation)}
    return {name for name in modules if name.split(".")[1] not in NOT_TRACKED}


def _models(annotation):
    """Yield the settings models in a type such as `dict[str, Backbone]` or `Holdout | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _defaults(annotation, seen=None):
    """Yield (model, key) for each default in the settings of a type, the plug-ins' that it stands for too."""
    seen = set() if seen is None else seen
    for model in _models(annotation):
        kinds = [kind for kind, (package, _) in plugins.KINDS.items() if model.__module__ == f"podium.{package}"]
        for found in [model, *(plugins.find(kind, name, kind) for kind in kinds for name in plugins.names(kind))]:
            if found in seen:
                continue
            seen.add(found)
            for key, field in found.model_fields.items():
                if not field.is_required() and field.get_default(call_default_factory=True) != {}:
                    yield found, key
                yield from _defaults(field.annotation, seen)


def _defined_in(model, key):
    """Return the file, from the root, of the class that gives a key its default: a plug-in's base, perhaps."""
    owner = next(kind for kind in model.__mro__ if key in vars(kind).get("__annotations__", {}))
    return Path(inspect.getfile(owner)).resolve().relative_to(ROOT).as_posix()


@pytest.mark.parametrize("stage", [stage for stage in TRACKED if stage not in MANIFESTS])
def test_a_default_that_changes_makes_its_stages_stale(stages, stage):
    """Every default of the settings that a stage tracks is in a file that it depends on, so an edit of it shows."""
    code = tuple(dep if dep.endswith(".py") else f"{dep}/" for dep in stages[stage]["deps"] if dep.startswith("src/"))
    found = []
    for entry in stages[stage]["params"]:
        model, keys = (Params, [entry]) if isinstance(entry, str) else (Competition, next(iter(entry.values())))
        for key in keys:
            found += _defaults(model.model_fields[key.partition(".")[0]].annotation)
    unseen = {
        f"{_defined_in(model, key)}: {key}" for model, key in found if not _defined_in(model, key).startswith(code)
    }
    assert unseen == set()


def test_no_default_that_changes_a_number_is_config_s_own():
    """No stage depends on config.py: what it holds would change unseen."""
    for model in (Params, Competition):
        own = {key: field.get_default(call_default_factory=True) for key, field in model.model_fields.items()}
        defaults = {key: value for key, value in own.items() if not model.model_fields[key].is_required()}
        assert set(map(str, defaults.values())) <= {"{}", str(config_module.Imports())}
        places = {_defined_in(*found) for field in model.model_fields.values() for found in _defaults(field.annotation)}
        assert places
        assert not any(place.split("/")[2].removesuffix(".py") in NOT_TRACKED for place in places)


def _closure(graph, start):
    """Return what `start` reaches as dvc.yaml would name it: modules, and some rooms as a whole."""
    seen, todo = set(), set(start)
    while todo:
        module = todo.pop()
        seen.add(module)
        found = graph.find_modules_directly_imported_by(module)
        # A package stands for its plug-ins, which params name at run time.
        found |= graph.find_children(module) if module.split(".")[1] in WHOLE else set()
        todo |= {name for name in found if name in ARITHMETIC or (name.split(".")[1:2] and _is_tracked(name))} - seen
    return {unit for module in seen if (unit := _unit(graph, module.split(".")[1:]))}


def _is_tracked(name):
    return name.split(".")[1] not in NOT_TRACKED


def _unit(graph, parts):
    """Return the name that dvc.yaml gives a module, or None for a room's docstring."""
    if parts[0] in WHOLE:
        return parts[0]
    if parts[:2] == ["analysis", "report"]:
        return "analysis.report"
    is_package = bool(graph.find_children(".".join(["podium", *parts])))
    return None if is_package else ".".join(parts)


class Recorder:
    """A model that notes the paths of the fields that are read."""

    def __init__(self, inner, log, prefix):
        self._inner, self._log, self._prefix = inner, log, prefix

    def __getattr__(self, name):
        value = getattr(self._inner, name)
        if name not in type(self._inner).model_fields:
            return value.__func__.__get__(self) if callable(value) else value
        if isinstance(value, config_module.Imports):  # two sections, of which a stage reads one
            return Recorder(value, self._log, f"{self._prefix}{name}.")
        self._log.add(f"{self._prefix}{name}")
        return value


@pytest.mark.parametrize("stage", TRACKED)
def test_params_are_those_that_the_stage_reads(stages, stage, workspace, monkeypatch):
    """A key that a stage reads and dvc.yaml does not name would go stale silently (and the reverse run for nothing)."""
    monkeypatch.chdir(workspace.path)
    monkeypatch.setattr(os, "environ", os.environ | workspace.env())
    if "imports" in (STAGES[stage] or ""):
        workspace.add_imports()
    if STAGES[stage] == "finetunes":
        workspace.add_finetune()
    if STAGES[stage] == "students":
        workspace.add_student()
        assert workspace.call("podium", "enlist", "pupil").returncode == 0
    config = config_module.load()
    read = set()
    recorded = type("Recorded", (), {})()
    recorded.params = Recorder(config.params, read, "")
    recorded.competition = Recorder(config.competition, read, "competition:")
    section = STAGES[stage]
    names = [next(iter(attrgetter(section)(config.params)))] if section else []
    module = __import__(f"podium.stages.{stage}", fromlist=["run"])
    module.run(recorded, *names)
    listed = set()
    for entry in stages[stage]["params"]:
        if isinstance(entry, dict):
            ((_, keys),) = entry.items()
            listed |= {f"competition:{key}" for key in keys}
        else:
            listed.add(entry.partition(".$")[0])
    assert read == listed
