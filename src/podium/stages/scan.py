"""scan: what DVC cannot name as a dependency -> digests that stages depend on. It runs every time, in half a second.

A source folder, a metric of the user's own and a folds file are named by params or by the competition, or not at all,
and DVC knows no dependency that may be absent. Names are checked here before any other stage's command is run.
"""

import hashlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from podium import names, paths, plugins
from podium.errors import PodiumError
from podium.storage import yaml_file
from podium.storage.files import digest, write_json


def run() -> None:
    """Write the state of the source, of the metrics' code and of the folds file; `null` or `{}` where there is none.

    It reads the YAML files itself, and only what it needs: to load the whole config takes seconds.
    """
    params, where = yaml_file.read(paths.PARAMS), f"{paths.PARAMS}: "
    names.sections(params, where)
    name = names.competition(params.get("competition"), f"{where}competition")
    file = paths.competition(name)
    competition = yaml_file.read(file)
    source = plugins.read("sources", competition.get("source"), f"{file}: source")
    write_json(source.state(), paths.scan(name, "source"))
    write_json(_metrics(competition), paths.scan(name, "metrics"))
    write_json(_folds(params), paths.scan(name, "folds"))


def _metrics(competition: dict[str, Any]) -> dict[str, str]:
    """Return module -> digest of each metric called `module:function`."""
    named = [competition.get("metric"), *(competition.get("metrics") or [])]
    modules = {metric.partition(":")[0] for metric in named if isinstance(metric, str) and ":" in metric}
    return {module: _code(module) for module in sorted(modules)}


def _code(module: str) -> str:
    """Return the SHA-256 of a module's file, or of its whole package; the working directory comes first."""
    spec = PathFinder.find_spec(module.partition(".")[0], [str(Path.cwd()), *sys.path])
    if spec is None:
        return "not found"  # whoever reads the metric says so
    if spec.submodule_search_locations:
        files = sorted(file for folder in spec.submodule_search_locations for file in Path(folder).rglob("*.py"))
    else:
        files = [Path(str(spec.origin))]
    return hashlib.sha256("".join(map(digest, files)).encode()).hexdigest()


def _folds(params: dict[str, Any]) -> str | None:
    folds = params.get("folds")
    file = folds.get("file") if isinstance(folds, dict) else None
    if file is None:
        return None
    # A queued experiment runs in a folder of its own, with the files that git holds; DVC says where the others are.
    for root in (Path(), Path(os.environ.get("DVC_ROOT", "."))):
        if (root / str(file)).is_file():
            return digest(root / str(file))
    raise PodiumError(f"{paths.PARAMS}: folds.file: there is no {file}")
