"""What every row of the table must do."""

import re
from hashlib import md5, sha256
from importlib import import_module

import numpy as np
import pytest
from scipy import special

from podium.backbones import NETWORKS
from podium.backbones.applications import Application
from podium.backbones.network import PretrainedNetwork
from podium.errors import PodiumError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 80, 80, 3), dtype=np.uint8)
APPLICATIONS = [name for name, network in NETWORKS.items() if isinstance(network, Application)]


CAFFE = {"resnet50", "vgg16", "vgg19"}  # BGR less the mean of ImageNet; densenet scales by its deviation
INSIDE = ("efficientnetv2_", "convnext_")  # these scale pixels in their first layers
# Building these would take half a minute and a gigabyte; their names are checked by rule.
HUGE = {"efficientnetv2_s", "efficientnetv2_m", "efficientnetv2_l", "convnext_base", "convnext_large"}
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def preprocessed(name, images):
    """Return what the weights' publishers feed them, from RGB in [0, 255]."""
    if name in CAFFE:
        return images[..., ::-1] - np.array([103.939, 116.779, 123.68])
    if name == "densenet121":
        return (images / 255.0 - MEAN) / DEVIATION
    return images if name.startswith(INSIDE) else images / 127.5 - 1.0


@pytest.mark.keras
@pytest.mark.parametrize("name", APPLICATIONS)
def test_pixels_pass_the_preprocessing_that_belongs_to_the_weights(name):
    """RGB in, and what the publishers of the weights fed to their network out."""
    found = np.asarray(NETWORKS[name].preprocess(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(found, preprocessed(name, IMAGES.astype(np.float64)), rtol=1e-5, atol=1e-4)


@pytest.mark.keras
def test_features_are_those_of_the_publishers_model():
    """uint8 RGB in: the same features as preprocessing by hand, then Keras's model with its own pooling."""
    module = import_module("keras.applications.vgg16")
    reference = module.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    images = IMAGES[:, :32, :32]
    expected = reference.predict(preprocessed("vgg16", images.astype(np.float32)), verbose=0)
    model = NETWORKS["vgg16"].build(32, "avg", pretrained=False)
    model.set_weights(reference.get_weights())
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-3, atol=1e-3 * expected.max())


@pytest.mark.keras
@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name not in HUGE])
def test_every_named_layer_can_be_read(name):
    """The names in the table are layers of Keras's model; the last has the width that the table says."""
    network = NETWORKS[name]
    maps = network.trunk(80, network.layers, pretrained=False).output
    assert set(maps) == set(network.layers)
    assert maps[network.layers[-1]].shape[3] == network.width
    sides = [maps[name].shape[1] for name in network.layers]
    assert sides == sorted(sides, reverse=True)


@pytest.mark.keras
@pytest.mark.parametrize("size", ["b0", "s", "m", "l"])
def test_efficientnet_v2_is_read_where_keras_ends_its_stages(size):
    """The last blocks, by letter, of the stages of Keras's own table, before the stride changes."""
    module = import_module("keras.src.applications.efficientnet_v2")
    stages, strides, ends = module.DEFAULT_BLOCKS_ARGS[f"efficientnetv2-{size}"], [], {}
    for n, stage in enumerate(stages, start=1):
        strides.append(stage["strides"] * (strides[-1] if strides else 2))
        ends[strides[-1]] = f"block{n}{'abcdefghijklmnopqrstuvwxyz'[stage['num_repeat'] - 1]}_add"
    expected = (*(ends[stride] for stride in (4, 8, 16)), "top_activation")
    assert NETWORKS[f"efficientnetv2_{size}"].layers == expected


@pytest.mark.keras
@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name.startswith(INSIDE)])
def test_weights_are_those_that_keras_downloads(name):
    """Digests are Keras's own, of the file with the classifier and of that without."""
    network = NETWORKS[name]
    module = import_module(f"keras.src.applications.{network.module}")
    key = network.weights.removesuffix(".h5")
    hashes = {f"efficientnetv2-{k.lstrip('-')}": v for k, v in module.WEIGHTS_HASHES.items()} | module.WEIGHTS_HASHES
    assert (network.digest_top, network.digest) == hashes[key]


@pytest.mark.keras
@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_convnext_has_the_width_of_its_last_stage(size):
    """From Keras's own table of configurations; the names are those of the tiny one, which is built above."""
    config = import_module("keras.src.applications.convnext").MODEL_CONFIGS[size]
    network = NETWORKS[f"convnext_{size}"]
    assert (network.width, network.native_px) == (config["projection_dims"][-1], config["default_size"])
    assert [name.replace(size, "tiny") for name in network.layers] == list(NETWORKS["convnext_tiny"].layers)


@pytest.mark.keras
def test_logits_are_the_classifiers_without_its_softmax():
    """A softmax over them gives the probabilities that Keras's whole model predicts."""
    network = NETWORKS["resnet50"]
    reference = import_module("keras.applications.resnet").ResNet50(weights=None)
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    expected = reference.predict(preprocessed("resnet50", images.astype(np.float32)), verbose=0)
    model = network.build(224, "logits", pretrained=False)
    model.set_weights(reference.get_weights())
    np.testing.assert_allclose(special.softmax(model.predict(images, verbose=0), axis=1), expected, rtol=1e-3)


WRONG = [
    ("resnet50", (224, "median", ()), "here.pooling: no 'median' here; choose one of: avg, max, avg_max, gem, logits"),
    ("hog", (64, "avg", ()), "here.pooling: no 'avg' here; choose one of: none"),
    ("resnet50", (224, "avg", ("conv9",)), "here.layers: 'conv9' must be one of these, once: conv2_block3_out, "),
    ("vgg16", (224, "avg", ("block1_pool", "block1_pool")), "here.layers: 'block1_pool' must be one of these, once"),
    ("vgg16", (224, "logits", ("block1_pool",)), "here.layers: leave it out with pooling 'logits'"),
    ("vgg16", (200, "logits", ()), "here.resize.px: pooling 'logits' needs 224, not 200"),
    ("xception", (64, "avg", ()), "here.resize.px: this network needs at least 71, not 64"),
]


@pytest.mark.parametrize(("name", "choices", "message"), WRONG)
def test_what_a_network_has_no_answer_to_is_told(name, choices, message):
    """A wrong pooling, layer or size is one line with the valid choices, before anything is loaded."""
    with pytest.raises(PodiumError, match=re.escape(message)):
        NETWORKS[name].check(*choices, "here")


@pytest.mark.parametrize("name", [name for name, row in NETWORKS.items() if not isinstance(row, PretrainedNetwork)])
def test_classical_features_have_the_width_that_the_table_says(name):
    """One vector per image, `(n, width)` float32 at the native size, whatever the company."""
    network = NETWORKS[name]
    px = network.native_px
    describe = network.build(px, "none", ())
    features = describe(IMAGES[:, :px, :px])
    assert features.shape == (2, network.width)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(describe(IMAGES[1:, :px, :px])[0], features[1])


def test_a_colour_histogram_counts_pixels_by_colour():
    """A half red, half blue image has two bins of one half each, where red comes first."""
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[0, :32, :, 0] = 255
    image[0, 32:, :, 2] = 255
    (vector,) = NETWORKS["color_histogram"].build(64, "none", ())(image)
    bins = vector.reshape(8, 8, 8)
    assert bins[7, 0, 0] == bins[0, 0, 7] == 0.5
    assert bins.sum() == 1.0


def test_oriented_gradients_tell_stripes_apart_by_direction_and_not_by_brightness():
    """HOG of stripes differs from that of the same stripes turned, and not from darker ones."""
    stripes = np.tile(np.where(np.arange(64) // 4 % 2, 200, 100)[:, None, None], (1, 64, 3)).astype(np.uint8)
    describe = NETWORKS["hog"].build(64, "none", ())
    upright, darker, turned = describe(np.stack([stripes, stripes // 2, stripes.swapaxes(0, 1)]))
    np.testing.assert_allclose(upright, darker, atol=1e-3)
    assert np.linalg.norm(upright - turned) > 1


@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_names_weights_preprocessing_and_licence(name):
    """What goes into the fingerprint is text that tells weights and preprocessing apart."""
    network = NETWORKS[name]
    assert network.preprocessing
    assert bool(network.weights) == bool(network.license) == isinstance(network, PretrainedNetwork)
    assert network.engines


def test_weights_that_cannot_be_downloaded_are_named_with_their_place(monkeypatch, tmp_path):
    """Offline, one line says which file to put where."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    class Module:
        @staticmethod
        def VGG16(**_):  # noqa: N802  # Keras's name
            raise OSError("URL fetch failure\nand more")

    monkeypatch.setattr(Application, "_import", lambda _: Module)
    with pytest.raises(PodiumError) as caught:
        NETWORKS["vgg16"].require_weights("params.yaml: backbones.a.network", "avg")
    assert str(caught.value) == (
        "params.yaml: backbones.a.network: cannot download vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
        f" (URL fetch failure); put it into {tmp_path / 'models'}"
    )


WEB_PAGE = b"a web page"
DIGESTS = {"vgg16": f"md5 {md5(WEB_PAGE).hexdigest()}", "convnext_tiny": f"sha256 {sha256(WEB_PAGE).hexdigest()}"}


@pytest.mark.parametrize(("name", "found"), DIGESTS.items())
def test_a_wrong_file_in_place_of_the_weights_is_refused(monkeypatch, tmp_path, name, found):
    """A file of the right name whose digest is not Keras's is named, rather than downloaded over."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = NETWORKS[name].file("avg")
    path.parent.mkdir()
    path.write_bytes(WEB_PAGE)
    with pytest.raises(PodiumError, match=f"^here: {path} has {found}, not {NETWORKS[name].digest}; delete it"):
        NETWORKS[name].require_weights("here", "avg")
