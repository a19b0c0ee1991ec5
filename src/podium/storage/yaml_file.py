"""YAML files of settings, as they stand."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from podium.errors import PodiumError


def read(path: Path) -> dict[str, Any]:
    """Return a YAML file's mapping, unchecked; raises PodiumError naming file and line."""
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PodiumError(f"{path}: no such file here; run podium in the repository's root") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise PodiumError(f"{path}: line {line}: not valid YAML ({error.problem})") from None
    if not isinstance(raw, dict):
        raise PodiumError(f"{path}: must be a mapping of keys to values")
    return raw
