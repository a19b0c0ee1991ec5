"""What Keras is told: which weights learn, and what is off while a network predicts."""

from types import SimpleNamespace

import numpy as np
import pytest

from podium.backbones.network import PretrainedNetwork
from podium.tasks.binary import Task
from podium.training import Finetune
from podium.training.encoder import Encoder, find
from podium.training.outputs.scores import build
from podium.training.phases import Phase

pytestmark = pytest.mark.keras

PX = 32


class _Tiny(PretrainedNetwork):
    """Two convolutions with batch norm, as a row of the table would have them; its weights are drawn by the seed."""

    @property
    def poolings(self):
        return ("avg", "max")

    @property
    def layers(self):
        return ("low", "high")

    def preprocess(self, pixels):
        return pixels / 255.0

    def trunk(self, px, names, *, pretrained):
        import keras

        image = keras.Input((px, px, 3))
        low = keras.layers.Conv2D(4, 3, strides=4, name="low_conv")(image)
        low = keras.layers.ReLU()(keras.layers.BatchNormalization(name="low_norm")(low))
        high = keras.layers.Conv2D(6, 3, strides=2, name="high_conv")(low)
        high = keras.layers.ReLU()(keras.layers.BatchNormalization(name="high_norm")(high))
        maps = {"low": low, "high": high}
        return keras.Model(image, {name: maps[name] for name in names})


@pytest.fixture
def made():
    """Return the function that makes a model of the tiny pretrained network, and a batch for it."""
    rng = np.random.default_rng(0)
    batch = (
        rng.uniform(0, 255, (8, PX, PX, 3)).astype(np.float32),
        (np.arange(8) % 2)[:, None].astype(np.float32),
        np.ones(8, np.float32),
    )

    def make(**settings):
        spec = Finetune(**{"network": "tiny", "batch": 8, "learning_rate": 0.1, "warmup_fraction": 0.0} | settings)
        return build(Encoder(spec, _Tiny(native_px=PX, width=6)), Task(target="x"), 1, seed=1)

    return SimpleNamespace(model=make, batch=batch)


def changed(model, batch):
    """Return the names of the layers that a step changes."""
    before = {v.path: np.array(v) for v in model._keras.variables}
    model.step(*batch)
    differing = [v.path for v in model._keras.weights if (np.array(v) != before[v.path]).any()]
    return {path.split("/")[-2] for path in differing}


def test_a_frozen_layer_stays_and_an_unfrozen_one_learns(made):
    """Changing `trainable` without compiling again would leave a network as frozen as it was: each phase does both."""
    model = made.model()
    model.open(Phase("head", range(1), 2, 0.1), steps=10)
    assert changed(model, made.batch) == {"head"}
    model.open(Phase("high", range(1), 1, 0.1), steps=10)
    assert changed(model, made.batch) == {"head", "high_conv"}
    model.open(Phase("low", range(1), 0, 0.1), steps=10)
    assert changed(model, made.batch) == {"head", "high_conv", "low_conv"}


def test_batch_norm_learns_where_it_is_told_to(made):
    """Its statistics as well as its scale, in the layers that are trained and in no others."""
    model = made.model(batch_norm="train")
    model.open(Phase("high", range(1), 1, 0.1), steps=10)
    assert changed(model, made.batch) == {"head", "high_conv", "high_norm"}


def test_deeper_layers_learn_more_slowly(made):
    """Adam's first step is the rate: the head's, half of it one layer down, a quarter two layers down."""
    model = made.model(layer_decay=0.5, weight_decay=0.0)
    model.open(Phase("low", range(1), 0, 0.1), steps=10)
    before = {v.path: np.array(v) for v in model._keras.trainable_variables}
    model.step(*made.batch)
    moved = {
        v.path.split("/")[-2]: np.abs(np.array(v) - before[v.path]).max() for v in model._keras.trainable_variables
    }
    assert moved["head"] == pytest.approx(0.1, rel=1e-2)
    assert moved["high_conv"] == pytest.approx(0.05, rel=1e-2)
    assert moved["low_conv"] == pytest.approx(0.025, rel=1e-2)


def test_nothing_random_is_on_while_it_predicts(made):
    """Dropout of 0.9 would show at once, in features and in the loss of images that are not learnt from."""
    model = made.model(dropout=0.9)
    model.open(Phase("low", range(1), 0, 0.1), steps=10)
    images = made.batch[0].astype(np.uint8)
    assert (model.features(images) == model.features(images)).all()
    assert model.loss(images, *made.batch[1:]) == model.loss(images, *made.batch[1:])
    kernel, bias = model.output.final().values()
    z = (model.features(images) @ kernel + bias)[:, 0]
    y = made.batch[1][:, 0]
    by_hand = np.mean(np.log1p(np.exp(z)) - y * z)
    assert model.loss(images, *made.batch[1:]) == pytest.approx(by_hand, rel=1e-5)


def test_an_image_is_predicted_as_it_was_learnt(made):
    """Size, preprocessing and weights are shared: features and head give the logits of the network that learns."""
    model = made.model()
    images = made.batch[0].astype(np.uint8)
    model.output.begin(model, images)
    kernel, bias = model.output.final().values()
    whole = np.asarray(model._keras(images.astype(np.float32), training=False))
    assert model.features(images) @ kernel + bias == pytest.approx(whole, abs=1e-4)


def test_features_do_not_depend_on_an_images_company(made):
    """Batches are filled up to one shape."""
    model = made.model()
    images = made.batch[0].astype(np.uint8)
    assert (model.features(images[:3]) == model.features(images)[:3]).all()


def test_standardised_features_are_what_the_head_sees(made):
    """Their mean is 0, and each one's part of a length of 1 is the same, over the images that were asked."""
    model = made.model()
    images = made.batch[0].astype(np.uint8)
    model.output.begin(model, images)
    x = model.features(images)
    by_hand = (x - x.mean(axis=0)) / np.sqrt(x.shape[1] * x.var(axis=0) + model.output._norm.epsilon)
    assert np.asarray(model.output._norm(x, training=True)) == pytest.approx(by_hand, abs=1e-5)


def test_pooling_and_layers_are_the_tables(made):
    """Two layers, pooled and side by side, as extraction pools them."""
    model = made.model(layers=["low", "high"], pooling="max")
    maps = model.encoder.network.trunk(PX, ("low", "high"), pretrained=True)
    maps.set_weights([weight for layer, _ in model._layers for weight in layer.get_weights()])
    found = maps(model.encoder.network.preprocess(made.batch[0]))
    by_hand = np.concatenate([np.asarray(found[name]).max(axis=(1, 2)) for name in ("low", "high")], axis=1)
    assert model.features(made.batch[0]) == pytest.approx(by_hand, abs=1e-5)


def test_the_average_of_weights_stands_in_for_them(made):
    """For the time being, and then for good."""
    model = made.model(ema=0.5)
    model.open(Phase("low", range(1), 0, 0.1), steps=10)
    states = []
    for _ in range(3):
        model.step(*made.batch)
        states.append(np.array(model.output._dense.kernel))
    mean = 0.25 * states[0] + 0.25 * states[1] + 0.5 * states[2]
    with model.averaged():
        assert np.array(model.output._dense.kernel) == pytest.approx(mean, rel=1e-5)
    assert (np.array(model.output._dense.kernel) == states[2]).all()
    model.apply_ema()
    assert np.array(model.output._dense.kernel) == pytest.approx(mean, rel=1e-5)


def test_the_table_s_network_has_a_depth_for_every_layer():
    """EfficientNet-Lite0's layers, each at the first map that it leads to."""
    trunk = find(Finetune(network="efficientnet_lite0", resize={"px": 32}), "a")
    _, layers = trunk.build()
    depths = {layer.name: depth for layer, depth in layers}
    assert depths["_conv_stem"] == 0
    assert depths["_blocks.0._depthwise_conv"] == 1
    assert depths["_blocks.15._project_conv"] == 7
    assert depths["_conv_head"] == 8
