"""A network as TensorFlow's SavedModel, with the signature that TF Serving calls; checked by loading it again."""

from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import PodiumError

CLOSE = 1e-5  # relative to the largest feature
_SIGNATURE = "serving_default"


def write(model: Any, folder: Path) -> None:
    """Write a Keras model from `(n, px, px, 3)` uint8 to `(n, d)`, for any n; raises PodiumError where it differs."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise PodiumError("--saved-model: it takes TensorFlow; unset KERAS_BACKEND")
    shape = (None, *model.input.shape[1:])
    signature = [keras.InputSpec(shape=shape, dtype="uint8")]
    model.export(str(folder), format="tf_saved_model", verbose=False, input_signature=signature)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape[1:]), dtype=np.uint8)
    expected = np.asarray(model.predict_on_batch(images))
    gap = np.abs(_served(folder, images) - expected).max() / max(np.abs(expected).max(), 1e-12)
    if not gap <= CLOSE:
        raise PodiumError(f"{folder}: the SavedModel differs from the network by {gap:.1e}, more than {CLOSE:g}")


def _served(folder: Path, images: np.ndarray) -> np.ndarray:
    """Return what the loaded model's signature answers."""
    import tensorflow as tf

    answer = tf.saved_model.load(str(folder)).signatures[_SIGNATURE](tf.constant(images))
    (features,) = answer.values()
    return np.asarray(features)
