"""What every engine must do, over a toy network; one group, so that one process loads Keras."""

import numpy as np
import pytest

from podium import plugins
from podium.errors import PodiumError

pytestmark = pytest.mark.keras
PX, BATCH = 16, 4
IMAGES = np.random.default_rng(0).integers(0, 256, (BATCH, PX, PX, 3), dtype=np.uint8)
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 5)).astype(np.float32)


def toy():
    """Build: pixels / 255 -> 3x3 convolution without padding -> mean over positions."""
    import keras

    pixels = keras.Input((PX, PX, 3), dtype="uint8")
    convolution = keras.layers.Conv2D(5, 3, use_bias=False)
    maps = convolution(keras.ops.cast(pixels, "float32") / 255.0)
    convolution.set_weights([KERNEL])
    return keras.Model(pixels, keras.ops.mean(keras.ops.cast(maps, "float32"), axis=(1, 2)))


def by_hand(images):
    """Return the toy's features: the mean of a linear map is the map of window means."""
    scaled = images.astype(np.float64) / 255.0
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (3, 3), axis=(1, 2)).mean(axis=(1, 2))
    return np.einsum("ncij,ijcd->nd", windows, KERNEL)


OPENVINO = plugins.find("engines", "openvino", "")
exports = pytest.mark.skipif(not OPENVINO.suits(), reason="OpenVINO's models are exported by TensorFlow")


@pytest.fixture(params=["keras", pytest.param("openvino", marks=exports)])
def engine(request):
    return plugins.find("engines", request.param, "")


def make(engine, folder, precision="float32", build=toy):
    return engine(build, batch=BATCH, px=PX, precision=precision, exported=folder / "model")


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 3e-2)])
def test_features_are_the_networks(engine, tmp_path, precision, tolerance):
    """Features equal a computation by hand, within what the precision allows."""
    if precision not in engine.precisions():
        pytest.skip(f"this machine has no {precision}")
    features = make(engine, tmp_path, precision).run(IMAGES)
    assert features.shape == (BATCH, 5)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, by_hand(IMAGES), atol=tolerance)


def test_an_image_does_not_depend_on_its_company(engine, tmp_path):
    """The same image in another place of another batch has the same bits: a resumed run gives the same file."""
    run = make(engine, tmp_path).run
    features = np.array(run(IMAGES))
    np.testing.assert_array_equal(run(IMAGES[::-1].copy()), features[::-1])
    alone = np.zeros_like(IMAGES)
    alone[0] = IMAGES[2]
    np.testing.assert_array_equal(run(alone)[0], features[2])


def test_features_stay_when_the_engine_runs_again(engine, tmp_path):
    """What was returned belongs to the caller: the next batch does not overwrite it."""
    run = make(engine, tmp_path).run
    first = run(IMAGES)
    kept = first.copy()
    run(IMAGES[::-1].copy())
    np.testing.assert_array_equal(first, kept)


def test_versions_and_precisions_are_told(engine):
    """A version names what computes, for the fingerprint; float32 is always among the precisions."""
    assert any(digit in engine.version() for digit in "0123456789")
    assert "float32" in engine.precisions()


@exports
def test_the_exported_model_is_built_once(tmp_path):
    """A second OpenVINO engine reads the exported model; the network is not built, so TensorFlow is not needed."""
    features = make(OPENVINO, tmp_path).run(IMAGES)

    def build():
        raise AssertionError("built again")

    np.testing.assert_array_equal(make(OPENVINO, tmp_path, build=build).run(IMAGES), features)


@exports
@pytest.mark.parametrize("file", ["model.bin", "model.xml", "digests.json"])
def test_a_damaged_exported_model_is_made_again(tmp_path, file):
    """One wrong byte in the exported files is noticed: never wrong features."""
    features = make(OPENVINO, tmp_path).run(IMAGES)
    path = tmp_path / "model" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    n_built = []
    again = make(OPENVINO, tmp_path, build=lambda: n_built.append(1) or toy())
    np.testing.assert_array_equal(again.run(IMAGES), features)
    assert n_built == [1]
    make(OPENVINO, tmp_path, build=lambda: n_built.append(1) or toy())
    assert n_built == [1]


@exports
def test_without_a_place_for_the_exported_model_the_engine_still_runs(tmp_path):
    """A cache folder that cannot be written costs the next run an export, and this one nothing."""
    (tmp_path / "file").write_text("where a folder should be")
    features = make(OPENVINO, tmp_path / "file").run(IMAGES)
    np.testing.assert_allclose(features, by_hand(IMAGES), atol=1e-5)


def test_an_unknown_engine_is_told_with_the_choices():
    """A wrong name lists the right ones."""
    with pytest.raises(PodiumError, match="unknown engine 'onnx'; choose one of: keras, numpy, openvino"):
        plugins.find("engines", "onnx", "params.yaml: backbones.a.engine")
