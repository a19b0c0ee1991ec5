"""Which competition made use of which folder of the machine's cache: an empty file each, for pruning."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from podium import paths


def note(competition: str, names: Iterable[str]) -> None:
    """Note that a competition uses the cache's folders of these names; a machine that cannot note runs all the same."""
    with suppress(OSError):
        for name in names:
            path = _folder() / competition / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def of_others(competitions: Collection[str]) -> set[str]:
    """Return the names that competitions other than these use."""
    return {path.name for path in _folder().glob("*/*") if path.parent.name not in competitions}


def forget(competitions: Collection[str], wanted: Collection[str]) -> None:
    """Remove the notes of these competitions that are of no wanted name."""
    for path in _folder().glob("*/*"):
        if path.parent.name in competitions and path.name not in wanted:
            path.unlink(missing_ok=True)


def _folder() -> Path:
    return paths.cache() / "uses"
