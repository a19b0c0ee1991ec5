"""Parameters, tables and fitted models are values: nobody changes them once they are made."""

import dataclasses
import pkgutil
from importlib import import_module

import pytest

import podium

ROOMS = ("contracts", "splits", "fitting", "ensembles", "heads", "tasks")
NAMES = [
    module.name
    for module in pkgutil.walk_packages(podium.__path__, "podium.")
    if module.name.split(".")[1] in ROOMS or module.name in {"podium.metrics", "podium.analysis.leaks"}
]


@pytest.mark.parametrize("name", NAMES)
def test_every_dataclass_is_frozen(name):
    """Also of what a module keeps to itself."""
    own = [kind for kind in vars(import_module(name)).values() if isinstance(kind, type) and kind.__module__ == name]
    assert [
        kind.__name__ for kind in own if dataclasses.is_dataclass(kind) and not kind.__dataclass_params__.frozen
    ] == []
