"""KerasHub networks at toy width: presets saved where KerasHub would keep those it downloads, and loaded from there."""

import numpy as np
import pytest

from podium import plugins
from podium.backbones import NETWORKS
from podium.backbones.hub import HubNetwork
from podium.errors import PodiumError

pytestmark = pytest.mark.keras
HUB = [name for name, network in NETWORKS.items() if isinstance(network, HubNetwork)]
SCALE, OFFSET = [0.01, 0.02, 0.03], [-1.0, 0.0, 1.0]
PX = 224
IMAGES = np.random.default_rng(0).integers(0, 256, (2, PX, PX, 3), dtype=np.uint8)
WIDTH = 8


def toy(name):
    """Return a KerasHub backbone of the row's family, with random weights, and the class of its converter."""
    hub = pytest.importorskip("keras_hub")
    models, layers = hub.models, hub.layers
    size = {"hidden_dim": WIDTH, "num_layers": 2, "num_heads": 2, "image_shape": (PX, PX, 3)}
    if name.startswith("dinov2"):
        options = {"patch_size": 14, "intermediate_dim": 8, "position_embedding_shape": (518, 518, 3)}
        return models.DINOV2Backbone(**size, **options), layers.DINOV2ImageConverter
    if name.startswith("dinov3"):
        options = {"patch_size": 16, "intermediate_dim": 8, "num_register_tokens": 4}
        return models.DINOV3Backbone(**size, **options), layers.DINOV3ImageConverter
    if name.startswith("siglip"):
        vision = models.SigLIPVisionEncoder(**size, patch_size=16, intermediate_dim=8)
        text = models.SigLIPTextEncoder(
            vocabulary_size=9, embedding_dim=WIDTH, hidden_dim=WIDTH, num_layers=1, num_heads=2, intermediate_dim=8
        )
        return models.SigLIPBackbone(vision_encoder=vision, text_encoder=text), layers.SigLIPImageConverter
    if name.startswith("swin"):
        options = {"embed_dim": 4, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "window_size": 7}
        return models.SwinTransformerBackbone(image_shape=(PX, PX, 3), **options), layers.SwinTransformerImageConverter
    return models.ViTBackbone(**size, patch_size=16, mlp_dim=8), layers.ViTImageConverter


@pytest.fixture
def preset(monkeypatch, tmp_path):
    """Save a toy preset in place of a row's and return its backbone."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))

    def saved(name):
        backbone, converter = toy(name)
        folder = NETWORKS[name].folder()
        folder.mkdir(parents=True)
        backbone.save_to_preset(str(folder))
        converter(image_size=(PX, PX), scale=SCALE, offset=OFFSET).save_to_preset(str(folder))
        return backbone

    return saved


def outputs(name, backbone):
    """Return the reference's own output for the test images, preprocessed by hand."""
    scaled = IMAGES.astype(np.float32) * SCALE + OFFSET
    if name.startswith("siglip"):
        backbone = backbone.vision_encoder
    inputs = backbone.input
    return np.asarray(backbone({next(iter(inputs)): scaled} if isinstance(inputs, dict) else scaled))


@pytest.mark.parametrize("name", ["dinov2_small", "dinov3_small", "siglip2_base", "swin_tiny", "vit_base"])
def test_features_are_those_of_the_preset(name, preset):
    """Scale and offset come from the preset; class token, mean of places and the network's own head are told apart."""
    network = NETWORKS[name]
    backbone = preset(name)
    network.require_weights("here", network.poolings[0])
    expected = outputs(name, backbone)
    first = network.build(PX, network.poolings[0]).predict(IMAGES, verbose=0)
    if network.poolings[0] == "cls":
        np.testing.assert_allclose(first, expected[:, 0], rtol=1e-3, atol=1e-4)
        mean = network.build(PX, "avg").predict(IMAGES, verbose=0)
        np.testing.assert_allclose(mean, expected[:, network.n_prefix :].mean(axis=1), rtol=1e-3, atol=1e-4)
    else:
        pooled = expected if network.poolings[0] == "head" else expected.mean(axis=1)
        np.testing.assert_allclose(first, pooled, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["dinov3_small", "siglip2_base", "vit_base"])
def test_openvino_runs_it(name, preset, tmp_path):
    """The exported transformer gives what Keras gives."""
    preset(name)
    network = NETWORKS[name]
    model = network.build(PX, network.poolings[0])
    engine = plugins.find("engines", "openvino", "")(
        lambda: model, batch=2, px=PX, precision="float32", exported=tmp_path / "model"
    )
    np.testing.assert_allclose(engine.run(IMAGES), model.predict(IMAGES, verbose=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["dinov2_small", "swin_tiny"])
def test_named_stages_come_side_by_side(name, preset):
    """The names in the table are stages of KerasHub's network."""
    preset(name)
    network = NETWORKS[name]
    layers = ("last", *network.layers[:2])  # toys have two stages of DINO's twelve
    assert network.build(PX, "avg", layers).output_shape[1] > 2 * WIDTH


def test_a_dino_takes_another_size(preset):
    """Position embeddings are interpolated: 140 px are 10 x 10 patches."""
    preset("dinov2_small")
    assert NETWORKS["dinov2_small"].build(140, "avg").input_shape == (None, 140, 140, 3)


@pytest.mark.parametrize(
    ("name", "px", "message"),
    [("vit_base", 256, "needs 224, not 256"), ("dinov2_small", 225, "needs a multiple of 14, not 225")],
)
def test_a_size_that_does_not_fit_is_told(name, px, message):
    """Before any download."""
    with pytest.raises(PodiumError, match=f"here.resize.px: this network {message}"):
        NETWORKS[name].check(px, "avg", (), "here")


@pytest.mark.parametrize("name", HUB)
def test_a_preset_that_cannot_be_had_is_told(name, monkeypatch, tmp_path):
    """Offline, one line names the preset and the folder for its files."""
    kagglehub = pytest.importorskip("kagglehub")
    pytest.importorskip("keras_hub")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))

    def refuse(_):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(kagglehub, "model_download", refuse)
    with pytest.raises(PodiumError) as caught:
        NETWORKS[name].require_weights("here", "avg")
    weights = NETWORKS[name].weights
    assert str(caught.value) == (
        f"here: cannot download the preset {weights} (no route); put its files into {tmp_path / 'models' / weights}"
    )


def test_without_kerashub_the_extra_is_named(monkeypatch):
    """One line says what to install."""
    monkeypatch.setattr("podium.backbones.hub.find_spec", lambda _: None)
    with pytest.raises(PodiumError, match=r"needs KerasHub; run `pip install 'podium\[hub\]'`"):
        NETWORKS["vit_base"].require_weights("here", "avg")
