"""Runs the exported Keras model by OpenVINO: the choice on a CPU.

The export needs Keras and its backend; it is kept with the digests of its files, so that the next run needs neither.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from podium import engines
from podium.storage.files import digest, write_json

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITIES = {"BF16": "bfloat16", "FP32": "float32", "FP16": "float16"}  # float16 last: never by `auto`


class Engine(engines.Engine):
    """See podium.engines."""

    @classmethod
    def suits(cls) -> bool:
        """See podium.engines; the export goes through TensorFlow (from JAX it fails in Keras 3.15)."""
        return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"

    @classmethod
    def precisions(cls) -> tuple[str, ...]:
        """See podium.engines; OpenVINO lists a precision where the CPU has instructions for it."""
        return _precisions()

    @classmethod
    def version(cls) -> str:
        """See podium.engines."""
        return f"openvino {version('openvino')}, exported by keras {version('keras')}"

    def __init__(self, build: Callable[[], Any], *, batch: int, px: int, precision: str, exported: Path) -> None:
        import openvino

        with TemporaryDirectory() as spare:
            model = openvino.Core().read_model(model_file(build, (batch, px, px, 3), exported, Path(spare)))
            self._model = compiled(model, precision)

    def run(self, images: np.ndarray) -> np.ndarray:
        """See podium.engines."""
        features: np.ndarray = self._model(images, share_inputs=True)[0]
        return features


def compiled(model: Any, precision: str) -> Any:
    """Return an OpenVINO model ready to run on the CPU, in one of `precisions()`."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    return openvino.Core().compile_model(model, "CPU", hints)


@cache
def _precisions() -> tuple[str, ...]:
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for name, precision in _CAPABILITIES.items() if name in capabilities)


def model_file(build: Callable[[], Any], shape: tuple[int, ...], folder: Path, spare: Path) -> Path:
    """Return an intact exported model in `folder`, or in `spare` where `folder` cannot be written.

    `build` makes the Keras model where there is none yet; `shape` is `(batch, px, px, 3)`.
    """
    if not _intact(folder):
        model = build()
        try:
            _export(model, shape, folder)
        except OSError:
            folder = spare / "model"
            _export(model, shape, folder)
    return folder / "model.xml"


def _export(model: Any, shape: tuple[int, ...], folder: Path) -> None:
    import keras

    # One fixed shape: where the batch is open, the sizes of a transformer's windows cannot be inferred.
    images = keras.InputSpec(shape=shape, dtype=model.inputs[0].dtype)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp") as name:
        temporary = Path(name) / "model"
        temporary.mkdir()
        model.export(str(temporary / "model.xml"), format="openvino", verbose=False, input_signature=[images])
        write_json(_digests(temporary), temporary / "digests.json")
        _take_place(temporary, folder, Path(name) / "damaged")


def _take_place(exported: Path, folder: Path, damaged: Path) -> None:
    """Rename `exported` to `folder`, unless another process has got there first: it may be reading its own by now."""
    if _intact(folder):
        return
    with suppress(FileNotFoundError):
        folder.rename(damaged)
    try:
        exported.rename(folder)
    except OSError:
        if not _intact(folder):
            raise


def _intact(folder: Path) -> bool:
    import json

    try:
        return bool(json.loads((folder / "digests.json").read_text("utf-8")) == _digests(folder))
    except (OSError, ValueError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    return {name: digest(folder / name) for name in ("model.xml", "model.bin")}
