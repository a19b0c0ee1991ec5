"""What every network from scratch must do, and what makes each the one that it is named for."""

import numpy as np
import pytest

from podium import plugins
from podium.errors import PodiumError

SMALL = {
    "crnn": {"width": 4, "blocks": 3, "hidden": 16},
    "lenet": {},
    "mlp": {"hidden": [32, 16]},
    "places": {"width": 4, "blocks": 3, "hidden": 16},
    "residual": {"width": 4},
    "unet": {"width": 4, "depth": 2},
    "vgg": {"width": 4, "blocks": 3},
}
PX = 32
pytestmark = pytest.mark.keras


def build(name, px=PX, seed=0, **options):
    """Return the small one of its kind, its weights drawn by `seed`."""
    import keras

    keras.utils.set_random_seed(seed)
    return plugins.make("networks", name, SMALL[name] | options, "x", "network").build(px)


@pytest.fixture(params=plugins.names("networks"), scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def images():
    """Pictures `(8, 32, 32, 3)` float32 in [0, 255]."""
    return np.random.default_rng(0).uniform(0, 255, (8, PX, PX, 3)).astype(np.float32)


def separable(n):
    """Two classes that hue alone tells: red or blue squares at any place of a noisy picture."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(60, 190, (n, PX, PX, 3)).astype(np.float32), np.arange(n) % 2
    for picture, label, (top, left) in zip(x, y, rng.integers(0, PX - 12, (n, 2)), strict=True):
        picture[top : top + 12, left : left + 12] = (0, 0, 255) if label else (255, 0, 0)
    return x, y


def test_one_finite_vector_per_picture(name, images):
    """`(n, px, px, 3)` float32 in; `(n, d)`, `(n, steps, d)` or `(n, px, px, d)` float32 out; at `min_px` too."""
    model = build(name)
    features = np.asarray(model(images))
    assert features.shape == (len(images), *model.output_shape[1:])
    made = plugins.make("networks", name, SMALL[name], "x", "network")
    places = {"features": lambda: (), "steps": lambda: (made.steps(PX),), "maps": lambda: (PX, PX)}
    assert features.shape[1:-1] == places[made.gives]()
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    network = plugins.find("networks", name, "x")
    assert np.asarray(build(name, network.min_px)(images[:, : network.min_px, : network.min_px])).shape[0] == 8
    assert network.min_px <= network.native_px


def test_a_picture_below_its_smallest_side_is_told(name):
    """One line that names the param."""
    network = plugins.make("networks", name, {}, "x")
    with pytest.raises(PodiumError, match=f"^here.resize.px: this network needs at least {network.min_px}, not 3$"):
        network.check(3, "here")
    network.check(network.min_px, "here")


def test_preprocessing_is_inside(name):
    """The first layer takes pixels around 0: (rgb - 127.5) / 64, whatever the precision of the rest."""
    import keras

    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            scale = build(name).layers[1]
        finally:
            keras.config.set_dtype_policy("float32")
        values = np.array([0, 1, 127.5, 255], np.float32)
        np.testing.assert_allclose(np.asarray(scale(values)), (values - 127.5) / 64, atol=1e-6)


def test_features_are_float32_in_mixed_precision(name, images):
    """A loss on them is computed in float32."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    exact, rough = np.asarray(build(name)(images)), np.asarray(model(images))
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()


def test_weights_are_drawn_by_the_seed(name):
    """The same seed gives the same weights, another one others."""
    one, same, other = (build(name, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_weight_learns_and_a_separable_set_is_learnt(name):
    """A few steps of Adam move every trainable weight, and new pictures are told apart."""
    import keras

    trunk = build(name)
    layers = keras.layers  # of steps and of maps, the mean
    mean = {2: [], 3: [layers.GlobalAveragePooling1D()], 4: [layers.GlobalAveragePooling2D()]}
    model = keras.Sequential([trunk, *mean[len(trunk.output_shape)], keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    x, y = separable(320)
    before = [np.asarray(weight).copy() for weight in trunk.trainable_variables]
    model.fit(x[:256], y[:256], batch_size=32, epochs=8, verbose=0)
    for weight, old in zip(trunk.trainable_variables, before, strict=True):
        assert not np.array_equal(np.asarray(weight), old), weight.path
    assert (np.asarray(model(x[256:], training=False)).argmax(axis=1) == y[256:]).mean() >= 0.95


def test_a_network_that_ends_in_a_map_ends_in_its_mean(name, images):
    """The last layer's input is the map that class activation maps are made of; other networks do not say so."""
    import keras

    model = build(name)
    maps, features = keras.Model(model.input, [model.layers[-1].input, model.output])(images)
    network = plugins.find("networks", name, "x")
    assert (len(maps.shape) == 4) == (network.ends_in_map or network.gives == "maps")
    if network.ends_in_map:
        np.testing.assert_allclose(np.asarray(maps).mean(axis=(1, 2)), np.asarray(features), atol=1e-5)


def test_lenet_is_the_founding_one():
    """LeCun's numbers, on three colours: 6 and 16 maps, 120 and 84 units."""
    widths = [layer.get_weights()[0].shape for layer in build("lenet").layers if layer.get_weights()]
    assert widths == [(5, 5, 3, 6), (5, 5, 6, 16), (400, 120), (120, 84)]


def test_vgg_doubles_to_eight_times():
    """Two convolutions a block, 32 to 256 maps, a 128 px picture at 4 px: each convolution normalised."""
    model = plugins.make("networks", "vgg", {}, "x").build(128)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert [layer.filters for layer in model.layers if type(layer).__name__ == "Conv2D"] == [
        *(32, 32, 64, 64, 128, 128, 256, 256, 256, 256)
    ]
    assert kinds.count("BatchNormalization") == 10
    assert model.layers[-1].input.shape[1:] == (4, 4, 256)


def test_residual_at_width_64_is_the_published_network():
    """ResNet-9 without its classifier has 6.57 million weights: 9 * (sum of widths' products), two per norm's map."""
    model = plugins.make("networks", "residual", {"width": 64}, "x").build(32)
    kernels = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    norms = sum(2 * n_out for _, n_out in kernels)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_variables) == 9 * sum(a * b for a, b in kernels) + norms
