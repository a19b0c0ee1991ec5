"""Networks of masks: they learn drawn shapes, whatever they start from, and resume to the same bytes."""

import cv2
import numpy as np
import pandas as pd
import pytest

from podium.contracts import rle
from podium.contracts.dataset import Dataset
from podium.errors import PodiumError
from podium.tasks.masks import MASKS, Task
from podium.training import Finetune
from podium.training.data import Examples
from podium.training.decoders import DECODERS
from podium.training.encoder import find
from podium.training.loop import Job, final, train
from podium.training.outputs.masks import Problem

pytestmark = pytest.mark.keras
WHERE = "params.yaml: finetunes.a"
PX = 48


def drawn(n, seed=0):
    """Return pictures `(n, 48, 48, 3)` of a disc and a square, in colours of their own, and masks `(n, 2, 48, 48)`."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 130, (n, PX, PX, 3), dtype=np.uint8)
    masks = np.zeros((n, 2, PX, PX), np.uint8)
    for picture, (disc, square) in zip(pictures, masks, strict=True):
        x, y = rng.integers(10, PX - 10, 2).tolist()
        cv2.circle(disc, (x, y), 8, 1, -1)
        x, y = rng.integers(2, PX - 16, 2).tolist()
        cv2.rectangle(square, (x, y), (x + 12, y + 12), 1, -1)
        disc[square == 1] = 0  # exclusive
        picture[disc == 1] = (220, 60, 60)
        picture[square == 1] = (60, 60, 220)
    return pictures, masks


@pytest.fixture
def problem(tmp_path, monkeypatch):
    """Return the function that makes the problem of a network on some masks."""
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))

    def make(truth, *, exclusive=True, **settings):
        ids = [f"r{k:02d}" for k in range(len(truth))]
        lines = [
            {"row_id": row_id, "label": label, "height": PX, "width": PX, "runs": rle.encode(mask == 1)}
            for row_id, row in zip(ids, truth, strict=True)
            for label, mask in zip("xy", row, strict=False)
        ]
        MASKS.write(pd.DataFrame(lines), tmp_path / "targets/masks.parquet")
        rows = pd.DataFrame({"row_id": ids, "split": "train", "y": 1.0, "weight": 1.0})
        data = Dataset(tmp_path)
        labels = list("xy")[: truth.shape[1]]
        vars(data)["rows"] = rows
        rows.attrs = {"labels": labels}
        task = Task(labels=labels, exclusive=exclusive, table={"source": "t.csv", "label": "label"})
        spec = {
            "network": "unet",
            "options": {"width": 8, "depth": 2},
            "resize": {"px": PX},
            "batch": 8,
            "dropout": 0.0,
        }
        return Problem(find(Finetune(**spec | settings), WHERE), task, data, WHERE), np.array(ids, object)

    return make


def job(problem, ids, pictures, folder, seed=0):
    lessons, n = problem.lessons(ids), len(ids)
    place = np.repeat(np.arange(n), problem.repeats)
    examples = Examples(place, lessons.target[place], np.ones(len(place), np.float32), lessons.stratum[place])
    images = pd.DataFrame({"row_id": ids, "split": "train", "place": np.arange(n)})
    return Job(
        lambda: problem.build(seed),
        pictures,
        examples,
        None,
        seed,
        folder,
        WHERE,
        draw=problem.drawing(images, pictures),
    )


def iou(problem, model, pictures, masks):
    """Return the mean over pictures and classes of whole predictions."""
    kept = problem.kept(model, list(pictures)).reshape(masks.shape)
    found = np.stack([problem.task.decide(one.astype(np.uint8)) for one in kept])
    return ((found & (masks == 1)).sum(axis=(2, 3)) / (found | (masks == 1)).sum(axis=(2, 3)).clip(1)).mean()


def test_a_small_u_net_learns_exclusive_shapes_from_crops(problem, tmp_path):
    """IoU above 0.95 on pictures that it has not seen, moved about while it learns."""
    pictures, masks = drawn(16)
    settings = {"masks": {"crop": 32, "crops": 3, "tile": 32}, "augment": ["hflip", "rot90", {"rotation": 10}]}
    made, ids = problem(masks, epochs=16, learning_rate=0.01, ema=0.9, **settings)
    made.check()
    steps = []
    model = train(job(made, ids, pictures, tmp_path / "job"), steps.append)
    assert iou(made, model, *drawn(8, seed=1)) > 0.95
    assert steps[-1].metric > 0.9


@pytest.mark.parametrize("decoder", ["unet", "fpn", "fcn"])
def test_a_decoder_learns_on_a_pretrained_networks_maps(problem, tmp_path, decoder):
    """Overlapping classes, whole pictures at twice the masks' resolution; of each stride the last map is taken."""
    pictures, masks = drawn(8)
    settings = {
        "network": "efficientnet_lite0",
        "decoder": decoder,
        "options": {},
        "resize": {"px": 2 * PX},
        "batch": 4,
    }
    made, ids = problem(masks, exclusive=False, epochs=8, head_epochs=8, **settings)
    made.check()
    large = pictures.repeat(2, axis=1).repeat(2, axis=2)
    steps = []
    model = train(job(made, ids, large, tmp_path / "job"), steps.append)
    assert steps[-1].metric > 0.5 > steps[0].metric
    assert made.kept(model, [large[0, :64]]).shape == (1, 2 * 64 * 96)
    assert made.kept(model, [large[0, :64], large[0, :64].transpose(1, 0, 2)]).shape == (2, 2 * 64 * 96)  # turned
    assert list(made.encoder.strides) == ["block1", "block2", "block3", "block5", "head"]


def test_training_that_is_cut_off_ends_with_the_same_weights(problem, tmp_path):
    """From the checkpoint of an epoch on: the same crops, and the same bytes."""
    pictures, masks = drawn(4)
    settings = {"masks": {"crop": 16, "crops": 2}, "augment": ["hflip", {"shift": 0.1}], "batch": 4}
    made, ids = problem(masks, epochs=3, options={"width": 2, "depth": 1}, **settings)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(job(made, ids, pictures, whole), lambda _: None)

    class Cut(Exception):  # noqa: N818  # what a kill looks like from inside
        pass

    def stop(step):
        if step.epoch == 2:
            raise Cut

    with pytest.raises(Cut):
        train(job(made, ids, pictures, cut), stop)
    train(job(made, ids, pictures, cut), lambda _: None)
    assert final(cut).read_bytes() == final(whole).read_bytes()


def test_a_corrected_mask_changes_what_stands_for_the_target(problem):
    """So that its networks are trained anew, and no others."""
    masks = drawn(4)[1]
    before = problem(masks)[0].lessons(np.array(["r00", "r01"], object)).target
    masks[1, 0, 0, 0] ^= 1
    after = problem(masks)[0].lessons(np.array(["r00", "r01"], object)).target
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[1] != after[1]).any()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"masks": {"crop": 30}}, r"a\.masks\.crop: the sides must be multiples of 4"),
        ({"resize": {"px": 50}}, r"a\.resize: the sides must be multiples of 4"),
        ({"resize": {"px": 48, "mode": "pad"}}, r"a\.resize\.mode: must be squash"),
        ({"patience": 2}, r"a\.patience: must be null"),
        ({"augment": ["rand_augment"]}, r"a\.augment: rand_augment moves pictures without their masks"),
    ],
)
def test_settings_that_masks_cannot_have_are_refused(problem, settings, reason):
    """In one line, before anything is trained."""
    with pytest.raises(PodiumError, match=reason):
        problem(drawn(4)[1], **settings)[0].check()


def test_decoders_take_the_maps_of_keras_applications(problem):
    """Whatever their strides; a network whose maps are no even parts of the picture is refused by name."""
    settings = {"decoder": "fpn", "options": {}, "resize": {"px": 96}, "masks": {"crop": 96}}
    made, _ = problem(drawn(2)[1], network="resnet50", **settings)
    assert list(made.encoder.strides.values()) == [4, 8, 16, 32]
    refused, _ = problem(drawn(2)[1], network="inception_v3", **settings)
    with pytest.raises(PodiumError, match="decoder: inception_v3 has no maps that a decoder can take"):
        refused.check()


def test_fcn_8s_is_linear_in_the_maps_of_strides_8_16_and_32():
    """Doubled maps double what is above the bias; finer maps and the pixels have no say."""
    import keras

    sides = {1: 64, 2: 32, 4: 16, 8: 8, 16: 4, 32: 2}
    inputs = [keras.Input((side, side, 3)) for side in sides.values()]
    last, made = DECODERS["fcn"](inputs, list(sides))
    assert last.shape == (None, 64, 64, 16)
    assert sum(bool(layer.weights) for layer in made) == 3
    model, rng = keras.Model(inputs, last), np.random.default_rng(0)
    maps = [rng.normal(size=(1, side, side, 3)).astype(np.float32) for side in sides.values()]
    none, once, twice = (np.asarray(model([factor * one for one in maps])) for factor in (0, 1, 2))
    np.testing.assert_allclose(twice - none, 2 * (once - none), atol=1e-4)
    assert np.abs(once - none).max() > 0.1
    np.testing.assert_array_equal(np.asarray(model([one * 0 for one in maps[:3]] + maps[3:])), once)


def test_before_training_classes_are_rare(problem):
    """Most pixels are of none."""
    for exclusive in (True, False):
        made, _ = problem(drawn(4)[1], exclusive=exclusive)
        kept = made.kept(made.build(0), [np.full((PX, PX, 3), 127, np.uint8)])
        assert 0.02 < kept.mean() / 255 < 0.3
