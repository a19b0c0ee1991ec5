"""Networks that find boxes: what is refused, and that they learn."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from podium.contracts.boxes import CORNERS, Annotated, Boxes
from podium.contracts.dataset import Dataset
from podium.errors import PodiumError
from podium.imaging.box_views import moved
from podium.metrics.boxes import BoxScore
from podium.tasks.boxes import TARGETS, Task
from podium.training import Finetune
from podium.training.data import Examples
from podium.training.encoder import find
from podium.training.loop import Job, train
from podium.training.outputs.boxes import Problem, _fused

pytestmark = pytest.mark.keras
WHERE, PX = "params.yaml: finetunes.finder", 96
DOWN = np.array([0, 12, 0, 12])  # where a letterboxed picture lies
SPEC = {
    "network": "efficientnet_lite0",
    "layers": ["block2", "block3", "block5"],
    "resize": {"px": PX, "mode": "pad"},
    "batch": 8,
    "head_epochs": 12,
    "head_learning_rate": 0.003,
    "epochs": 12,
    "boxes": {"width": 32, "depth": 1},
}


def drawn(n, seed=0):
    """Return pictures `(n, 72, 96, 3)` of discs and squares on noise, and their boxes: letterboxed, they are moved."""
    rng = np.random.default_rng(seed)
    pictures, truth = rng.integers(90, 150, (n, 72, PX, 3)).astype(np.uint8), np.empty(n, object)
    for k, picture in enumerate(pictures):
        boxes = []
        for place in rng.permutation(6)[: rng.integers(1, 5)]:
            x, y, side = (
                *(32 * (place % 3) + rng.integers(1, 8, 1)),
                *(36 * (place // 3) + rng.integers(1, 10, 1)),
                int(rng.integers(12, 24)),
            )
            colour, kind = tuple(map(int, rng.integers(0, 60, 3))), int(rng.integers(0, 2))
            if kind:
                cv2.rectangle(picture, (int(x), int(y)), (int(x) + side - 1, int(y) + side - 1), colour, -1)
            else:
                cv2.ellipse(
                    picture, (int(x) + side // 2, int(y) + side // 2), (side // 2, side // 2), 0, 0, 360, colour, -1
                )
            boxes.append((x, y, x + side, y + side, kind))
        table = np.array(boxes, np.float32)
        truth[k] = Annotated(table[:, :4], table[:, 4].astype(np.int64))
    return pictures, truth


def prepared(folder, truth, split="train"):
    """Return the dataset of such rows."""
    ids = [f"r{k:03d}" for k in range(len(truth))]
    lines = [
        (row, n, *box, label)
        for row, one in zip(ids, truth, strict=True)
        for n, (box, label) in enumerate(zip(one.xyxy, one.label, strict=True))
    ]
    table = pd.DataFrame(
        [(row, n, *map(float, box), int(label)) for row, n, *box, label in lines],
        columns=["row_id", "place", *CORNERS, "label"],
    )
    TARGETS.write(table, folder / "targets/boxes.parquet")
    data = Dataset(folder)
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": [len(one) for one in truth], "weight": 1.0})
    rows.attrs = {"labels": ["disc", "square"]}
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "source": ids, "split": split, "width": PX, "height": 72})
    vars(data).update(rows=rows, images=images)
    return data, np.array(ids, object)


def problem_of(data, **settings):
    task = Task(classes=("disc", "square"), annotations={"format": "voc", "source": "x"})
    return Problem(find(Finetune(**SPEC | settings), WHERE), task, data, WHERE)


def letterboxed(pictures):
    return np.pad(pictures, ((0, 0), (12, 12), (0, 0), (0, 0)), constant_values=127)


def drawing_of(made, pictures):
    images = made.data.images[["row_id", "split"]].assign(place=range(len(pictures)))
    return made.drawing(images, letterboxed(pictures))


@pytest.mark.slow
def test_drawn_shapes_are_found(tmp_path):
    """Average precision at IoU 0.5 above 0.95 on pictures that were never seen, all layers below the head frozen."""
    (pictures, truth), (others, other_truth) = drawn(96), drawn(32, seed=1)
    data, ids = prepared(tmp_path, truth)
    made = problem_of(data, augment=["hflip", "vflip", {"shift": 0.05}])
    made.check()
    lessons, n = made.lessons(ids), len(ids)
    examples = Examples(np.arange(n), lessons.target, np.ones(n, np.float32), lessons.stratum)
    job = Job(
        lambda: made.build(0),
        letterboxed(pictures),
        examples,
        None,
        0,
        tmp_path / "job",
        WHERE,
        draw=drawing_of(made, pictures),
    )
    model = train(job, lambda _: None)
    packed = made.kept(model, letterboxed(others)).reshape(32, -1, 6)
    plan = pd.DataFrame(
        {
            "image_id": ids[:32],
            "row_id": ids[:32],
            "split": "train",
            "view": "identity",
            "network": 0,
            "operation": "identity",
            "parameters": "{}",
        }
    )
    p = made._rows(*_fused(plan, made._on_images(plan, packed)))
    assert BoxScore("ap", 0.5, 0.5)(other_truth, p) > 0.95


def test_what_boxes_cannot_be_learnt_by_is_refused(tmp_path):
    """Before anything is trained, naming the key."""
    data, _ = prepared(tmp_path, drawn(4)[1])
    for settings, key in (
        ({"layers": []}, "layers: name the maps"),
        ({"layers": ["block3", "block2"]}, "layers: each map must be half as fine"),
        ({"patience": 3}, "patience"),
        ({"augment": ["mixup"]}, "augment: mixup"),
    ):
        with pytest.raises(PodiumError, match=f"{WHERE}.{key}"):
            problem_of(data, **settings).check()
    scratch = problem_of(data, network="lenet", layers=[], head_epochs=0, resize={"px": 32})
    with pytest.raises(PodiumError, match="network: boxes take a pretrained network's maps"):
        scratch.check()


def test_targets_are_in_the_networks_pixels(tmp_path):
    """A picture of 96 x 72 lies 12 pixels down in its square."""
    pictures, truth = drawn(3)
    data, ids = prepared(tmp_path, truth)
    boxes = problem_of(data).lessons(ids).target.reshape(3, -1, 5)
    for own, one, picture in zip(boxes, truth, letterboxed(pictures), strict=True):
        np.testing.assert_array_equal(own[: len(one), :4], one.xyxy + DOWN)
        x1, y1, x2, y2 = own[0, :4].astype(int)
        assert picture[(y1 + y2) // 2, (x1 + x2) // 2].max() < 60


@pytest.mark.parametrize(
    "view", [("identity", "{}"), ("flip", '{"direction": "horizontal"}'), ("rotate", '{"quarter_turns": 1}')]
)
def test_views_are_undone_before_they_are_fused(tmp_path, view):
    """Two views of one picture that see the same box give it once, where it is."""
    _, truth = drawn(2)
    data, ids = prepared(tmp_path, truth)
    made = problem_of(data)
    lines, packed = [], []
    for row, one in zip(ids, truth, strict=True):
        for name, (operation, parameters) in (("a", ("identity", "{}")), ("b", view)):
            table = np.tile(np.array([0, 0, 0, 0, 0, -1.0]), (6, 1))
            seen = moved(one.xyxy + DOWN, operation, json.loads(parameters), (PX, PX))
            table[: len(one)] = np.column_stack([seen, np.full(len(one), 0.5), one.label])
            packed.append(table)
            lines.append((row, row, "train", name, 0, operation, parameters))
    plan = pd.DataFrame(lines, columns=["image_id", "row_id", "split", "view", "network", "operation", "parameters"])
    p = made._rows(*_fused(plan, made._on_images(plan, np.stack(packed))))
    assert isinstance(p, Boxes)
    assert BoxScore("ap", 0.95, 0.95)(truth, p) == 1
    assert np.diff(p.offset).tolist() == [len(one) for one in truth]
    np.testing.assert_allclose(p.score, 0.5)


def test_a_network_that_was_stopped_ends_with_the_same_bytes(tmp_path):
    """Mosaics, flips and zooms are functions of the seed and the step."""
    pictures, truth = drawn(12)
    data, ids = prepared(tmp_path, truth)
    made = problem_of(
        data,
        augment=["hflip", {"zoom": 0.2}],
        batch=4,
        epochs=3,
        head_epochs=3,
        layers=["block2"],
        boxes={"width": 8, "depth": 1, "mosaic": 0.5},
    )
    lessons, n = made.lessons(ids), len(ids)
    examples = Examples(np.arange(n), lessons.target, np.ones(n, np.float32), lessons.stratum)

    def run(folder, watch):
        job = Job(
            lambda: made.build(0),
            letterboxed(pictures),
            examples,
            None,
            0,
            folder,
            WHERE,
            draw=drawing_of(made, pictures),
        )
        return train(job, watch).arrays()

    def stop(step):
        if step.epoch == 1 and step.n_images > 16:
            raise KeyboardInterrupt

    whole = run(tmp_path / "a/job", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b/job", stop)
    assert (tmp_path / "b/job/last.npz").exists()
    for name, array in run(tmp_path / "b/job", lambda _: None).items():
        np.testing.assert_array_equal(array, whole[name])
