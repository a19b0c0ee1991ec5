"""Recipes: complete params.yaml files worth keeping, each opening with its command and the score it reached."""

import subprocess
from pathlib import Path

from podium import paths
from podium.config import load_params
from podium.errors import PodiumError
from podium.storage.files import atomic


def run(name: str) -> None:
    """Put recipes/NAME.yaml in place as params.yaml, unless that would lose edits that nothing else holds."""
    recipes = {path.stem: path for path in sorted(paths.RECIPES.glob("*.yaml"))}
    if name not in recipes:
        raise PodiumError(f"{paths.RECIPES}: no recipe {name!r}; choose one of: {', '.join(recipes)}")
    load_params(recipes[name])
    kept_elsewhere = not paths.PARAMS.exists() or _committed() or _is_recipe(list(recipes.values()))
    if not kept_elsewhere:
        raise PodiumError(f"{paths.PARAMS}: has uncommitted edits; commit them or copy them to recipes/ first")
    with atomic(paths.PARAMS) as temporary:
        temporary.write_bytes(recipes[name].read_bytes())
    print(f"{paths.PARAMS} is now {recipes[name]}")  # noqa: T201  # the answer to the command


def _is_recipe(recipes: list[Path]) -> bool:
    content = paths.PARAMS.read_bytes()
    return any(recipe.read_bytes() == content for recipe in recipes)


def _committed() -> bool:
    """Return whether git holds params.yaml as it is now."""
    status = subprocess.run(  # noqa: S603  # fixed words, no shell
        ["git", "status", "--porcelain", "--", str(paths.PARAMS)],  # noqa: S607  # git as the user has it
        capture_output=True,
        text=True,
        check=False,
    )
    return status.returncode == 0 and not status.stdout.strip()
