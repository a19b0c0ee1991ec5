import hashlib

import cv2
import numpy as np
import pytest

from podium import plugins
from podium.errors import PodiumError
from podium.features import extraction
from podium.features.backbone import Backbone
from podium.features.extraction import pixel_caches, resolve_auto, workers
from podium.imaging.images import Resize, decode, resize
from podium.imaging.views import VIEWS, apply

WHERE = "params.yaml: backbones.a"
LITE = Backbone(network="efficientnet_lite0")


@pytest.fixture
def machine(monkeypatch):
    """Pretend what the machine has: a GPU's compute capability or None, and OpenVINO's precisions."""

    def have(gpu, *precisions):
        monkeypatch.setattr("podium.engines.keras.gpu_capability", lambda: gpu)
        monkeypatch.setattr("podium.engines.openvino._precisions", lambda: precisions)

    return have


@pytest.mark.parametrize(
    ("gpu", "cpu", "engine", "precision"),
    [
        (None, ("bfloat16", "float32"), "openvino", "bfloat16"),
        (None, ("float32",), "openvino", "float32"),
        (9.0, ("bfloat16", "float32"), "keras", "bfloat16"),
        (7.5, ("float32",), "keras", "float16"),
    ],
)
def test_auto_takes_what_is_fastest_on_the_machine(machine, gpu, cpu, engine, precision):
    """OpenVINO on a CPU, in bfloat16 where it is native; Keras on a GPU, in float16 where bfloat16 is not."""
    machine(gpu, *cpu)
    resolved = resolve_auto(LITE, WHERE)
    assert (resolved.engine_name, resolved.precision) == (engine, precision)


def test_auto_takes_the_one_engine_that_runs_the_network(machine):
    """Swin runs on Keras only, GPU or not."""
    machine(None, "float32")
    assert resolve_auto(Backbone(network="swin_tiny"), WHERE).engine_name == "keras"


def test_auto_leaves_openvino_where_keras_runs_on_another_backend(machine, monkeypatch):
    """OpenVINO's models are exported by TensorFlow; with JAX, Keras itself runs them."""
    machine(None, "float32")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(plugins.find("engines", "keras", ""), "version", classmethod(lambda _: "keras on jax"))
    assert resolve_auto(LITE, WHERE).engine_name == "keras"


def test_what_params_name_is_taken(machine):
    """An explicit engine and precision win over what is faster."""
    machine(9.0, "bfloat16", "float32")
    resolved = resolve_auto(Backbone(network="efficientnet_lite0", engine="openvino", precision="float32"), WHERE)
    assert (resolved.engine_name, resolved.precision) == ("openvino", "float32")


def test_a_precision_that_the_machine_cannot_run_names_the_param(machine):
    """One line: the param, what it asks for, and what there is."""
    machine(None, "float32")
    with pytest.raises(PodiumError) as caught:
        resolve_auto(Backbone(network="efficientnet_lite0", precision="bfloat16"), WHERE)
    assert str(caught.value) == (
        "params.yaml: backbones.a.precision: openvino cannot run bfloat16 on this machine; choose one of: auto, float32"
    )


def test_an_engine_that_does_not_run_the_network_names_the_param():
    """Classical features run on NumPy only."""
    with pytest.raises(PodiumError, match=r"a\.engine: hog does not run on keras; choose one of: auto, numpy"):
        resolve_auto(Backbone(network="hog", engine="keras"), WHERE)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "efficientnet_lite1"},
        {"pooling": "max"},
        {"layers": ["block5", "head"]},
        {"layers": ["head", "block5"]},
        {"resize": {"px": 128}},
        {"resize": {"mode": "pad"}},
        {"resize": {"interpolation": "cubic"}},
        {"engine": "keras"},
        {"precision": "bfloat16"},
        {"batch": 16},
    ],
)
def test_every_choice_is_in_the_fingerprint(machine, change):
    """Whatever changes a row's numbers gives other rows."""
    machine(None, "float32", "bfloat16")
    assert (
        resolve_auto(Backbone(**{"network": "efficientnet_lite0", **change}), WHERE).fingerprint != _plain().fingerprint
    )


def _plain():
    return resolve_auto(LITE, WHERE)


def test_writing_out_what_auto_chose_keeps_the_fingerprint(machine):
    """`auto` and the choice that it makes name the same rows; so do no px and the native px."""
    machine(None, "bfloat16", "float32")
    explicit = {"engine": "openvino", "precision": "bfloat16", "resize": {"px": 224}}
    assert resolve_auto(Backbone(network="efficientnet_lite0", **explicit), WHERE).fingerprint == _plain().fingerprint


def test_the_engines_and_the_decoders_versions_are_in_the_fingerprint(machine, monkeypatch):
    """An upgrade of the library that computes makes new rows, since their bits may differ."""
    machine(None, "float32")
    before = _plain().fingerprint
    monkeypatch.setattr(plugins.find("engines", "openvino", ""), "version", classmethod(lambda _: "openvino 1"))
    after = _plain().fingerprint
    monkeypatch.setattr(extraction, "PIXELS", extraction.PIXELS + 1)
    assert len({before, after, _plain().fingerprint}) == 3


def test_pixels_change_only_with_their_version():
    """Decoding, views and resizing give these very pixels; where that is meant to change, raise extraction.PIXELS.

    The row cache knows the code by that number only: rows of other pixels must not be taken for these.
    """
    y, x = np.mgrid[0:40, 0:60]
    pixels = np.stack([x * 4, y * 6, (x * y) % 256], axis=-1).astype(np.uint8)
    found = hashlib.sha256()
    for suffix in (".png", ".bmp"):
        decoded = decode(cv2.imencode(suffix, pixels)[1].tobytes())
        for view in (VIEWS[name] for name in ("identity", "hflip", "rot90")):
            turned = apply(decoded, view.operation, view.parameters)
            for mode in ("squash", "pad", "crop"):
                for interpolation in ("area", "linear", "nearest"):
                    for px in (24, 80):  # smaller and larger
                        found.update(resize(turned, Resize(mode=mode, interpolation=interpolation), px).tobytes())
    assert (extraction.PIXELS, found.hexdigest()[:16]) == (2, "72b887e5b2c4ada2")


def test_backbones_of_one_size_share_their_pixels(tmp_path, monkeypatch):
    """A written out native size is the native size; another side, mode, interpolation or decoder has its own pixels."""

    def folders(*resizes):
        backbones = [Backbone(network="efficientnet_lite0", resize=how) for how in resizes]
        return {cache.folder for cache in pixel_caches(backbones, tmp_path).values()}

    assert len(folders({}, {"px": 224}, {"mode": "squash"})) == 1
    assert len(folders({}, {"px": 240}, {"mode": "pad"}, {"interpolation": "cubic"})) == 4
    before = folders({})
    monkeypatch.setattr(extraction, "PIXELS", extraction.PIXELS + 1)
    assert before.isdisjoint(folders({}))
    monkeypatch.setenv("PODIUM_PIXELS", "off")
    assert folders({}) == set()


@pytest.mark.parametrize(("named", "n"), [("3", 3), ("1", 1)])
def test_the_number_of_decoding_threads_is_a_setting_of_the_machine(monkeypatch, named, n):
    """PODIUM_WORKERS says how many."""
    monkeypatch.setenv("PODIUM_WORKERS", named)
    assert workers() == n


@pytest.mark.parametrize("named", ["0", "-1", "many", ""])
def test_a_wrong_number_of_threads_is_told(monkeypatch, named):
    """One line that names the variable."""
    monkeypatch.setenv("PODIUM_WORKERS", named)
    with pytest.raises(PodiumError, match=r"^PODIUM_WORKERS: must be a number of threads"):
        workers()
