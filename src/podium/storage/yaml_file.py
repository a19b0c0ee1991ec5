"""YAML files of settings, as they stand, and no larger than a person could have meant them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from podium.errors import PodiumError

_MOST_BYTES = 2**20
_MOST_VALUES = 100_000  # with every alias written out: a few lines can stand for billions
_DEEPEST = 50


def read(path: Path) -> dict[str, Any]:
    """Return a YAML file's mapping, its values unchecked; raises PodiumError naming file and line or key.

    All keys are text. The whole is bounded, so that who walks it need not care.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise PodiumError(f"{path}: {path.stat().st_size:,} bytes; settings have at most {_MOST_BYTES:,}")
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PodiumError(f"{path}: no such file here; run podium in the repository's root") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise PodiumError(f"{path}: line {line}: not valid YAML ({error.problem})") from None
    except RecursionError:
        raise PodiumError(f"{path}: not valid YAML (it is nested too deep)") from None
    except (YAMLError, OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        # ruamel has no one exception for all that is no YAML: bytes that are no text, a date such as 2001-99-99.
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PodiumError(f"{path}: not valid YAML ({reason})") from None
    if not isinstance(raw, dict):
        raise PodiumError(f"{path}: must be a mapping of keys to values")
    _check(raw, path)
    return raw


def _check(raw: Any, path: Path) -> None:
    """Raise PodiumError for a key that is no text, and where there are too many values or levels."""
    n_values, left = 0, [("", 0, raw)]
    while left:
        place, depth, node = left.pop()
        n_values += 1
        if n_values > _MOST_VALUES:
            raise PodiumError(f"{path}: more than {_MOST_VALUES:,} values once its aliases (*) are written out")
        if depth > _DEEPEST:
            raise PodiumError(f"{path}: {place[:80]}: nested more than {_DEEPEST} deep")
        for key, value in _items(node):
            if not isinstance(key, str | int) or (isinstance(node, dict) and not isinstance(key, str)):
                raise PodiumError(f"{path}: {place}{key!r}: a key must be text; put it in quotes")
            left.append((f"{place}{key}.", depth + 1, value))


def _items(node: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list | tuple | set) else ()
