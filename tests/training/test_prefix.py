"""A network whose frozen layers an engine runs learns what the whole network does in Keras, within rounding."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from podium import plugins
from podium.backbones.network import PretrainedNetwork
from podium.errors import PodiumError
from podium.storage import checkpoints
from podium.tasks.binary import Task
from podium.training import Finetune, prefix
from podium.training.augmentation import Augmentation
from podium.training.data import Examples
from podium.training.encoder import Encoder, find
from podium.training.finetuning import describe
from podium.training.loop import Job, final, train
from podium.training.outputs.scores import build
from podium.training.phases import phases
from podium.training.prefix import frozen_engine

pytestmark = pytest.mark.keras
PX, BATCH = 32, 8
IMAGES = np.random.default_rng(0).integers(0, 256, (3 * BATCH, PX, PX, 3), dtype=np.uint8)
Y = (np.arange(len(IMAGES)) % 2).astype(np.float32)[:, None]
exports = pytest.mark.skipif(
    not plugins.find("engines", "openvino", "").suits(), reason="OpenVINO's models are exported by TensorFlow"
)


class _Skipping(PretrainedNetwork):
    """Three convolutions, and a path around the second: a cut before it passes two tensors."""

    @property
    def poolings(self):
        return ("avg", "max")

    @property
    def layers(self):
        return ("low", "middle", "high")

    def preprocess(self, pixels):
        return pixels / 128.0 - 1.0

    def trunk(self, px, names, *, pretrained):
        import keras

        image = keras.Input((px, px, 3))
        first = keras.layers.BatchNormalization(name="low_norm")(keras.layers.Conv2D(8, 3, strides=4)(image))
        low = keras.layers.ReLU()(first)
        around = keras.layers.Conv2D(8, 1, name="around")(first)
        middle = keras.layers.Conv2D(8, 3, padding="same", name="middle")(low)
        middle = keras.ops.add(keras.layers.BatchNormalization(name="middle_norm")(middle), around)
        high = keras.layers.ReLU()(keras.layers.Conv2D(12, 3, name="high")(middle))
        maps = {"low": low, "middle": middle, "high": high}
        return keras.Model(image, {name: maps[name] for name in names})


def encoder(**settings):
    """Return the small network with these settings, or one of the table."""
    spec = Finetune(
        **{"network": "skipping", "batch": BATCH, "precision": "float32", "warmup_fraction": 0.0} | settings
    )
    if spec.network == "skipping":
        return Encoder(spec, _Skipping(native_px=PX, width=12))
    return find(spec, "params.yaml: finetunes.a")


@pytest.fixture
def stepped(tmp_path):
    """Return the function that learns from a few batches in each phase; it gives model, losses and first weights."""

    def run(n_steps=3, **settings):
        made = encoder(**settings)
        model = build(made, Task(target="x"), 1, seed=1)
        model.use_frozen_engine(tmp_path)
        model.output.begin(model, IMAGES)
        first, losses = model.arrays(), []
        for phase in phases(made):
            model.open(phase, steps=n_steps)
            for n in range(n_steps):
                chosen = slice(n * BATCH, (n + 1) * BATCH)
                prepared = model.prepare(IMAGES[chosen].astype(np.float32))
                losses.append(model.step(prepared, Y[chosen], np.ones(BATCH, np.float32))[0])
            model.apply_ema()
        return model, losses, first

    return run


@exports
@pytest.mark.parametrize(
    "settings",
    [
        {
            "unfreeze": ["high", "middle"],
            "pooling": "max",
            "batch_norm": "train",
            "layer_decay": 0.5,
            "epochs": 3,
            "accumulate": 2,
        },
        {
            "network": "efficientnet_lite0",
            "resize": {"px": PX},
            "unfreeze": "block7",
            "layers": ["block3", "block7"],
            "head_epochs": 0,
        },
    ],
    ids=["two phases", "lite0"],
)
def test_an_engine_below_changes_no_more_than_rounding(stepped, settings):
    """Losses, weights and features; with dropout on, which draws the same masks, and weights that moved."""
    settings = {"dropout": 0.3, "ema": 0.5, "epochs": 2, "learning_rate": 1e-2} | settings
    whole, losses, first = stepped(frozen_engine="keras", **settings)
    parted, found, _ = stepped(frozen_engine="openvino", **settings)
    assert found == pytest.approx(losses, rel=2e-4)
    weights, others = whole.arrays(), parted.arrays()
    assert max(np.abs(array - first[name]).max() for name, array in weights.items()) > 5e-3
    # Adam's steps are of the rate's size however small the gradient, so rounding shows more in weights than in losses.
    for name, array in weights.items():
        difference = np.abs(others[name].astype(np.float64) - array) / (np.abs(array) + 1)
        assert np.quantile(difference, 0.99) < 1e-3, name
    features = whole.features(IMAGES[:11])
    assert parted.features(IMAGES[:11]) == pytest.approx(features, abs=2e-3 * float(np.abs(features).max()))


@exports
def test_only_what_no_phase_has_trained_is_below(stepped):
    """A phase that trains less than the one before keeps what that one learnt: the cut stays where it was."""
    model, _, _ = stepped(unfreeze=["middle", "high"], epochs=3, n_steps=1, frozen_engine="openvino")
    assert [(phase.depth, phase.untouched) for phase in phases(model.encoder)] == [(3, 3), (1, 1), (2, 1)]
    flat = model.prepare(IMAGES[:BATCH].astype(np.float32))
    assert flat.shape == (BATCH, 2 * 8 * 8 * 8)  # two tensors of 8 x 8 x 8: before and after the activation
    whole = np.asarray(model._body(IMAGES[:BATCH].astype(np.float32), training=False))
    assert model.features(IMAGES[:BATCH]) == pytest.approx(whole, abs=1e-4)


@pytest.fixture
def job(tmp_path):
    """Return the function that makes a job of forty images, the brighter ones of one class."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    pixels = (rng.integers(0, 200, (40, PX, PX, 3)) + 50 * y[:, None, None, None]).astype(np.uint8)

    def make(folder, **settings):
        made = encoder(**{"unfreeze": "middle", "dropout": 0.3, "ema": 0.9} | settings)
        return Job(
            build=lambda: build(made, Task(target="x"), 1, seed=5),
            pixels=pixels,
            train_set=Examples(np.arange(40)[::-1], y[::-1, None].astype(np.float32), np.ones(40, np.float32), y[::-1]),
            valid_set=None,
            seed=5,
            folder=tmp_path / folder / "fold",
            where="toy",
        )

    return make


@exports
def test_maps_that_are_made_once_are_those_of_every_batch(job, monkeypatch):
    """To the bit: exact views are drawn, turned and looked up as `apply` would have made them."""
    settings = {"augment": ["hflip", "rot90"], "epochs": 6}
    runs, n_run, run = [], [], prefix.Prefix.run
    monkeypatch.setattr(prefix.Prefix, "run", lambda self, images: (n_run.append(len(images)), run(self, images))[1])
    for name, room in (("once", prefix.ROOM), ("each time", 0)):
        monkeypatch.setattr(prefix, "ROOM", room)
        n_run.clear()
        train(job(name, **settings), lambda _: None)
        runs.append((checkpoints.load(final(job(name, **settings).folder))[0], sum(n_run)))
    (once, n_once), (each, n_each) = runs
    assert {name: a.tobytes() for name, a in once.items()} == {name: a.tobytes() for name, a in each.items()}
    assert n_each - n_once == 40 * (5 - 4)  # five epochs after the head's, four views


def test_maps_are_made_once_only_where_that_is_less_work():
    """As many views as epochs save nothing; what changes values or targets cannot be looked up."""
    few = SimpleNamespace(width=10)
    assert prefix.pays(few, Augmentation(operations=()), 40, 2)
    assert not prefix.pays(few, Finetune(network="a", augment=["hflip", "vflip"]).augment, 40, 4)
    assert prefix.pays(few, Finetune(network="a", augment=["hflip", "vflip"]).augment, 40, 5)
    assert not prefix.pays(few, Finetune(network="a", augment=["hflip", {"mixup": 0.2}]).augment, 40, 50)
    assert not prefix.pays(SimpleNamespace(width=1 << 24), Augmentation(operations=()), 40, 2)


@exports
def test_a_resumed_run_ends_with_the_same_bytes(job, tmp_path):
    """Stopped in the midst of the third epoch and run again; the exported model is found, not made again."""
    settings = {"epochs": 4, "augment": ["hflip", {"shift": 0.1}]}
    whole, stopped = job("whole", **settings), job("stopped", **settings)
    train(whole, lambda _: None)

    def watch(step):
        if step.epoch == 2 and step.n_images % 40 == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, watch)
    exported = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped" / "exported").rglob("*.xml")}
    assert len(exported) == 2  # all layers for the head's epoch, then those below `middle`
    time.sleep(0.01)
    train(stopped, lambda _: None)
    assert {path: path.stat().st_mtime_ns for path in exported} == exported
    once, again = (checkpoints.load(final(one.folder))[0] for one in (whole, stopped))
    assert {name: a.tobytes() for name, a in again.items()} == {name: a.tobytes() for name, a in once.items()}


@exports
def test_who_runs_the_frozen_layers_is_part_of_the_fingerprint():
    """Engine and precision, where they compute anything; where Keras runs all, the facts are as without the setting."""
    lite = {"network": "efficientnet_lite0", "unfreeze": "block6"}
    facts = describe(encoder(**lite))
    assert facts["frozen layers"].startswith("openvino: openvino ")
    assert facts["frozen layers"].endswith(", float32")
    assert "frozen layers" not in describe(encoder(**lite, frozen_engine="keras"))
    assert "frozen layers" not in describe(encoder(network="lenet", resize={"px": PX}))
    assert "frozen layers" not in describe(encoder(network="efficientnet_lite0", head_epochs=0))
    assert "frozen_engine" not in json.loads(facts["training"])


def test_an_engine_that_cannot_is_named(monkeypatch):
    """One line, before anything is trained; `auto` takes Keras instead."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    lite = {"network": "efficientnet_lite0", "unfreeze": "block6"}
    with pytest.raises(PodiumError, match=r"a\.frozen_engine: openvino cannot run efficientnet_lite0 in float32 here;"):
        frozen_engine(encoder(**lite, frozen_engine="openvino"), "params.yaml: finetunes.a")
    assert "frozen layers" not in describe(encoder(**lite))
