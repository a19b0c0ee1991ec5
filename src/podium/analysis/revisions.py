"""What the repository held at a git revision, in a DVC experiment or holds in the work tree, without a checkout."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import config, names, paths
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.errors import PodiumError
from podium.storage import yaml_file

WORKSPACE = "workspace"  # DVC's word for the work tree
ENSEMBLE = "ensemble"
_FOREACH = re.compile(r"\$\{([\w.]+)\}")  # the section of params.yaml that a stage of dvc.yaml has an item for each of


@dataclass(frozen=True)
class Revision:
    """Choices and results of one revision; `choices` and `metrics` are flat: `{"members.a.C": 0.1}`."""

    name: str
    config: config.Config
    choices: dict[str, Any]
    metrics: dict[str, float]
    data: Dataset
    folds: FoldTable
    predictions: dict[str, Any]  # the ensemble's, and those of every member of the bank


def read(name: str, folder: Path) -> Revision:
    """Return a revision's choices, metrics and out-of-fold predictions, copied through DVC into an empty folder.

    Large files are read when they are used, so the folder must outlive the revision. Raises PodiumError that opens
    with the revision: unknown, without predictions, or with params that this version of podium does not take.
    """
    try:
        return _read(name, _Copy(name, folder))
    except PodiumError as error:
        raise PodiumError(f"{name}: {str(error).replace(f'{folder}/', '')}") from None


class _Copy:
    """Copies single files of a revision into a folder of the same shape, where the usual readers find them."""

    def __init__(self, name: str, folder: Path) -> None:
        # 1.7 s to import; nothing else of podium needs it.
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException

        self.folder = folder
        try:
            self._files = DVCFileSystem(".", rev=None if name == WORKSPACE else name)
            _ = self._files.repo  # looked up only now
        except DvcException as error:
            raise PodiumError(f"{error}; give a git revision, a DVC experiment or {WORKSPACE}") from None

    def take(self, path: Path) -> Path:
        """Return the copy of a file or folder; raises PodiumError where git and DVC do not have it."""
        from dvc.exceptions import DvcException

        copy = self.folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._files.get(f"/{path.as_posix()}", str(copy), recursive=True)
        except (DvcException, OSError):
            raise PodiumError(
                f"{path}: neither git nor DVC's cache has it; run `dvc pull`, or `dvc repro` there"
            ) from None
        return copy


def _read(name: str, copy: _Copy) -> Revision:
    params_file = copy.take(paths.PARAMS)
    params = yaml_file.read(params_file)
    # Checked before any path is made of them: a revision is somebody else's, perhaps.
    competition = names.competition(params.get("competition"), f"{paths.PARAMS}: competition")
    names.sections(params, f"{paths.PARAMS}: ")
    competition_file = paths.competition(competition)
    choices = {paths.PARAMS: params, competition_file: yaml_file.read(copy.take(competition_file))}
    pipeline, lock = (yaml_file.read(copy.take(Path(file))) for file in ("dvc.yaml", "dvc.lock"))
    _require_fresh(choices, lock, _present(pipeline, params))
    loaded = config.load(params_file)
    task = loaded.competition.task
    folders = {ENSEMBLE: paths.ensemble(competition)}
    folders |= {model: loaded.params.predictions(model) for model in loaded.params.bank()}
    metrics = {
        file.stem: json.loads(copy.take(file).read_text(encoding="utf-8"))
        for file in (paths.METRICS_ENSEMBLE, paths.METRICS_HELDOUT)
    }
    for file in ("rows.parquet", "folds.parquet", "targets"):
        copy.take(paths.data(competition, file))
    return Revision(
        name,
        loaded,
        _flat(params) | _flat(choices[competition_file], f"{competition_file}: "),
        _flat(metrics),
        Dataset(copy.folder / paths.dataset(competition)),
        FoldTable.read(copy.folder / paths.dataset(competition)),
        {model: task.predictions.read(copy.take(folder)) for model, folder in folders.items()},
    )


def _present(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> set[str]:
    """Return the stages that dvc.yaml and params.yaml name: dvc.lock keeps those of items that are gone, too."""
    present = set()
    for name, stage in pipeline["stages"].items():
        items = _FOREACH.fullmatch(str(stage.get("foreach", "")))
        present |= {f"{name}@{key}" for key in _at(params, items[1]) or {}} if items else {name}
    return present


def _require_fresh(
    choices: Mapping[Path, Mapping[str, Any]], lock: Mapping[str, Any], present: Collection[str]
) -> None:
    """Raise PodiumError where the results of a present stage were made with other choices than the files hold."""
    for stage in (stage for name, stage in lock["stages"].items() if name in present):
        made_with = stage.get("params", {})
        for file, now in choices.items():
            for key, then in made_with.get(str(file), {}).items():
                if _at(now, key) != then:
                    raise PodiumError(f"{file}: {key}: the results were made with another value; run `dvc repro`")


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
