"""Weights on disk, whole or not at all: arrays by name and a few facts, in one NumPy archive."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from podium.storage.files import atomic

_FACTS = "facts.json"


def save(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Replace `path` in one step: a kill at any time leaves the old checkpoint or the new one.

    The same content gives the same bytes.
    `facts` are JSON values; floats come back to the bit.
    """
    text = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)
    with atomic(path) as temporary:
        np.savez(temporary, allow_pickle=False, **{_FACTS: text, **arrays})


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return arrays and facts, or None where there is no intact checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}  # a damaged member fails its CRC
        return arrays, json.loads(arrays.pop(_FACTS).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
