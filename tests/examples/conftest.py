"""Examples are programs, no package: each is loaded from its file."""

import importlib.util
import sys
from pathlib import Path

import cv2
import pytest

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def example():
    """Return the function from an example's name to its module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def shape_of():
    """Return the function from a picture's file to its shape."""
    return lambda path: cv2.imread(str(path)).shape
