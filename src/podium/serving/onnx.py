"""A network as ONNX, by tf2onnx; checked by OpenVINO, which reads it too."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import PodiumError

CLOSE = 1e-3  # relative to the largest feature


def require() -> None:
    """Raise PodiumError where the packages that convert are not there, before any work."""
    if find_spec("tf2onnx") is None:
        raise PodiumError("--onnx: it takes tf2onnx; run pip install 'podium[onnx]'")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise PodiumError("--onnx: it takes TensorFlow; unset KERAS_BACKEND")


def write(model: Any, file: Path) -> None:
    """Write a Keras model from `(n, px, px, 3)` uint8 to `(n, d)`, for any n; raises PodiumError where it differs."""
    import keras

    shape = (None, *model.input.shape[1:])
    signature = [keras.InputSpec(shape=shape, dtype="uint8", name="pixels")]
    file.parent.mkdir(parents=True, exist_ok=True)
    model.export(str(file), format="onnx", verbose=False, input_signature=signature)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape[1:]), dtype=np.uint8)
    expected = np.asarray(model.predict_on_batch(images))
    gap = np.abs(_read_back(file, images) - expected).max() / max(np.abs(expected).max(), 1e-12)
    if not gap <= CLOSE:
        raise PodiumError(f"{file}: the ONNX model differs from the network by {gap:.1e}, more than {CLOSE:g}")


def _read_back(file: Path, images: np.ndarray) -> np.ndarray:
    """Return what the written model answers, in float32."""
    import openvino

    compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(images)[0])
