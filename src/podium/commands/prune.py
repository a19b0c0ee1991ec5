"""podium prune: what is cached or put out and no params.yaml and no recipe names: rows, networks, pixels, outputs."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from podium import paths
from podium.config import Config, Params, load_params
from podium.contracts.metadata import NAME as METADATA
from podium.errors import PodiumError
from podium.features.extraction import pixel_caches, resolve_auto
from podium.storage import cache_users
from podium.storage.files import n_bytes
from podium.storage.rowcache import DESCRIPTION
from podium.training.encoder import find
from podium.training.finetuning import fingerprint, resizing

# Folder of the machine's cache -> where a note says what a folder in it is of.
_NOTES = {"rows": "rows", "models": "rows", "pixels": "", "finetunes": "finetunes", "decoded": ""}


def run(config: Config, *, yes: bool = False) -> None:
    """List what is not named, with its size; remove it where `yes` says so. The row cache is shared: see README."""
    named = [config.params, *_recipes()]
    stale = [
        *_cached(named),
        *(found for kind in ("features", "predictions", "models", "students") for found in _outputs(named, kind)),
    ]
    for path, note in stale:
        print(f"{n_bytes(path) / 1e6:9.1f} MB  {path}  {note}")  # noqa: T201  # the answer to the command
    total = sum(n_bytes(path) for path, _ in stale) / 1e6
    if yes:
        for path, _ in stale:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        cache_users.forget({params.competition for params in named}, _wanted(named))
    what = "removed" if yes else "nothing was removed; `podium prune --yes` removes them"
    print(f"{total:9.1f} MB in {len(stale)} places: {what if stale else 'nothing to remove'}")  # noqa: T201


def _recipes() -> Iterator[Params]:
    for path in sorted(paths.RECIPES.glob("*.yaml")):
        with suppress(PodiumError):  # a recipe that no longer fits names nothing
            yield load_params(path)


def _cached(named: list[Params]) -> Iterator[tuple[Path, str]]:
    """Yield the folders of the machine's cache that no params name and no other competition uses."""
    wanted = _wanted(named) | cache_users.of_others({params.competition for params in named})
    for kind, noted in _NOTES.items():
        for folder in sorted((paths.cache() / kind).glob("[!.]*")):
            if folder.name not in wanted:
                yield folder, _described(paths.cache() / noted / folder.name / DESCRIPTION)


def _wanted(named: list[Params]) -> set[str]:
    """Return the fingerprints and sizes of all backbones and finetunes."""
    wanted = set()
    for params in named:
        wanted |= {cache.folder.name for cache in pixel_caches(params.backbones.values(), Path()).values()}
        for name, backbone in params.backbones.items():
            with suppress(PodiumError):  # what this machine cannot run has no rows here
                wanted.add(resolve_auto(backbone, f"backbones.{name}").fingerprint)
        for place, finetune in params.networks().items():
            encoder = find(finetune, place)
            wanted |= {fingerprint(encoder), resizing(encoder)}
    return wanted


def _outputs(named: list[Params], kind: str) -> Iterator[tuple[Path, str]]:
    """Yield the outputs of one kind whose names are gone, of the competitions that params name."""
    wanted: dict[str, set[str]] = {}
    for params in named:
        own = {
            "features": [*params.backbones, *params.finetunes, *params.imports.features, METADATA],
            "predictions": [name for name in params.bank() if name not in params.students],
            "students": [*params.students],
            "models": [*params.models(), *params.finetunes, "ensemble"],
        }[kind]
        wanted.setdefault(params.competition, set()).update(own)
    for competition, names in sorted(wanted.items()):
        for path in sorted((Path(kind) / competition).glob("[!.]*")):
            if path.stem not in names:
                yield path, ""


def _described(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return ", ".join(str(facts[key]) for key in ("network", "precision", "resize", "pooling"))
    except (OSError, ValueError, KeyError):
        return ""
