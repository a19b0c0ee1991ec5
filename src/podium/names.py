"""What the names in params.yaml may be: each becomes a path and a part of a DVC stage's name."""

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from podium.errors import PodiumError

# What DVC can use as a key of `foreach`: a dot breaks `members.${key}`, `@` and integers fail.
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMPETITION = re.compile(r"[a-z][a-z0-9_-]*")
_RESERVED = ("ensemble", "metadata")  # models/C/ensemble is the ensemble's, features/C/metadata.h5 the metadata's
# Sections whose names must differ: each is a file of features/, or of predictions/.
_SECTIONS = ("backbones", "finetunes", "members", "fusions", "students")
_ONE_NAMESPACE = (
    ("backbones", "finetunes", "imports.features"),
    ("finetunes", "members", "fusions", "students", "imports.predictions"),
)


def competition(name: Any, where: str) -> str:
    """Return a competition's name; raises PodiumError that opens with `where` for one that is no safe file name."""
    if name is None:
        raise PodiumError(f"{where}: this key is required")
    if not isinstance(name, str) or not _COMPETITION.fullmatch(name):
        raise PodiumError(f"{where}: {name!r} must match {_COMPETITION.pattern}")
    return name


def sections(raw: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Return the sections of params.yaml whose keys become file names, once these are checked."""
    found = {name: _section(raw, name, where) for name in _SECTIONS}
    imports = _section(raw, "imports", where)
    found |= {f"imports.{name}": _section(imports, name, f"{where}imports.") for name in ("predictions", "features")}
    for section, named in found.items():
        for name in named:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise PodiumError(
                    f"{where}{section}: the name {name!r} must match {_NAME.pattern} (lower case, no dot)"
                )
        for name in _RESERVED:
            if name in named:
                raise PodiumError(f"{where}{section}.{name}: this name is the {name}'s own; choose another")
    for sharing in _ONE_NAMESPACE:
        for first, second in combinations(sharing, 2):
            if twice := set(found[first]) & set(found[second]):
                raise PodiumError(f"{where}{second}.{min(twice)}: {first} has this name already; choose another")
    return found


def _section(raw: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    section = raw.get(name) or {}
    if not isinstance(section, dict):
        raise PodiumError(f"{where}{name}: must be a mapping of names to settings, not {section!r}")
    return section
