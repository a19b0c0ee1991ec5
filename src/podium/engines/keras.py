"""Runs a Keras model by Keras itself, on whichever backend KERAS_BACKEND names: the choice where there is a GPU."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np

from podium import engines

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
NATIVE_BFLOAT16 = 8.0  # NVIDIA's compute capability from which bfloat16 is computed, not emulated


class Engine(engines.Engine):
    """See podium.engines."""

    @classmethod
    def suits(cls) -> bool:
        """See podium.engines."""
        return gpu_capability() is not None

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See podium.engines; a CPU computes float16 convolutions too slowly and too roughly to offer them."""
        capability = gpu_capability()
        if capability is None:
            return ("float32", "bfloat16")
        if capability >= NATIVE_BFLOAT16:
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32")

    @classmethod
    def version(cls) -> str:
        """See podium.engines."""
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        return f"keras {version('keras')}, {backend} {version(backend)}"

    def __init__(self, build: Callable[[], Any], *, batch: int, px: int, precision: str, exported: Path) -> None:  # noqa: ARG002
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with policy(precision):
            self._model = build()

    def run(self, images: np.ndarray) -> np.ndarray:
        """See podium.engines."""
        features: np.ndarray = np.asarray(self._model.predict_on_batch(images), np.float32)
        return features


@cache
def gpu_capability() -> float | None:
    """Return the compute capability of the first NVIDIA GPU that Keras's backend sees, or None.

    Asks the driver first, so that a machine without a GPU loads no backend.
    """
    if which("nvidia-smi") is None:
        return None
    answer = subprocess.run(
        ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],  # noqa: S607  # the driver's own
        capture_output=True,
        text=True,
        check=False,
    )
    capabilities = answer.stdout.split()
    if answer.returncode or not capabilities:
        return None
    import keras

    return float(capabilities[0]) if keras.distribution.list_devices("gpu") else None


@contextmanager
def policy(precision: str) -> Iterator[None]:
    """Build layers that compute in float32, bfloat16 or float16; weights stay float32."""
    from keras import config

    before = config.dtype_policy()
    config.set_dtype_policy(_POLICIES[precision])
    try:
        yield
    finally:
        config.set_dtype_policy(before)
