"""Name -> plug-in. A module of a plug-in package that defines the kind's class is a plug-in; its file name is its name.

Every kind is one package that defines what such a plug-in is (`heads/__init__.py`), and every plug-in module in it
defines one class with the kind's name (`heads/logistic.py: class Head`). Nothing is registered; modules without that
class are helpers.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic import ValidationError

from podium.errors import PodiumError

# Kind -> the package below podium, and the class that each plug-in defines.
KINDS = {
    "sources": ("sources", "Source"),
    "layouts": ("layouts", "Layout"),
    "tasks": ("tasks", "Task"),
    "heads": ("heads", "Head"),
    "ensembles": ("ensembles", "Ensemble"),
    "engines": ("engines", "Engine"),
    "networks": ("training.networks", "ScratchNetwork"),
    "outputs": ("training.outputs", "Problem"),
    "panels": ("analysis.report.panels", "Panels"),
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """Return the sorted names of the plug-ins of one kind, without importing them: their source is searched."""
    package, class_name = KINDS[kind]
    folders = import_module(f"podium.{package}").__path__
    defines = re.compile(rf"^class {class_name}\b", re.MULTILINE)
    found = [module.name for module in iter_modules(folders) if defines.search(_source(folders[0], module.name))]
    return tuple(sorted(found))


def find(kind: str, name: str, where: str) -> Any:
    """Return the class of plug-in `name`; `where` ("params.yaml: members.a.head") opens the error."""
    if name not in names(kind):
        raise PodiumError(f"{where}: unknown {kind[:-1]} {name!r}; choose one of: {', '.join(names(kind))}")
    package, class_name = KINDS[kind]
    return getattr(import_module(f"podium.{package}.{name}"), class_name)


def _source(folder: str, module: str) -> str:
    path = Path(folder) / f"{module}.py"
    return path.read_text(encoding="utf-8") if path.exists() else ""  # a package is no plug-in


def make(kind: str, name: str, options: Any, where: str, name_key: str = "kind") -> Any:
    """Return plug-in `name` with its options checked; `where` is the YAML place that holds both."""
    plugin = find(kind, name, f"{where}.{name_key}")
    if not isinstance(options, Mapping):
        raise PodiumError(f"{where}: must be a mapping of keys to values, not {options!r}")
    try:
        return plugin(**options)
    except ValidationError as error:
        raise PodiumError(explain(error, where, plugin)) from None


def read(kind: str, spec: Any, where: str, name_key: str = "kind") -> Any:
    """Return the plug-in that a YAML mapping names under `name_key`, with the other keys as its options."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get(name_key), str):
        raise PodiumError(f"{where}.{name_key}: this key is required; choose one of: {', '.join(names(kind))}")
    options = {key: value for key, value in spec.items() if key != name_key}
    return make(kind, spec[name_key], options, where, name_key)


def explain(error: ValidationError, where: str, model: Any) -> str:
    """Return one line for the first problem of a failed validation: place, reason and valid keys."""
    first = error.errors()[0]
    file, _, prefix = where.partition(": ")
    place = ".".join([*filter(None, [prefix]), *(str(part) for part in first["loc"])])
    if first["type"] == "extra_forbidden":
        inner = _model_at(model, first["loc"][:-1])
        return f"{file}: {place}: unknown key; choose one of: {', '.join(inner.model_fields)}"
    if first["type"] == "missing":
        return f"{file}: {place}: this key is required"
    message = first["msg"].removeprefix("Value error, ")
    value = "" if first["type"] == "value_error" else f", not {first['input']!r}"
    return f"{file}: {place}: {message}{value}"


def _model_at(model: Any, loc: tuple[int | str, ...]) -> Any:
    """Return the innermost model on the way to `loc`, for the list of its keys."""
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        annotation = getattr(field, "annotation", None)
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if hasattr(candidate, "model_fields"):
                model = candidate
    return model
