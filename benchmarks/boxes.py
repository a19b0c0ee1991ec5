"""Boxes: images a second of a network that finds them, against its bare trunk, and the seconds of fusing boxes.

    python benchmarks/boxes.py [--images 64] [--blocks 5] [--rows 10000]

Network and trunk are EfficientNet-Lite0 as in the recipe `tree-crowns`, 416 px, by the engine that is fastest here;
they take turns, and the ratio is the median of the blocks'. Fused are two models' 50 boxes a picture.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from podium.contracts.box_blends import fuse
from podium.contracts.dataset import Dataset
from podium.tasks.boxes import Task
from podium.training import Finetune, detection
from podium.training.encoder import find
from podium.training.outputs.boxes import Problem, cells
from podium.training.prefix import Prefix, fastest

PX, BATCH, N_BOXES = 416, 8, 50
LAYERS = ["block2", "block3", "block5", "block7"]
ANNOTATIONS = {"format": "csv", "source": "boxes.csv"}


def seconds(function: Callable[[], object]) -> float:
    """Return how long it takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def finding(n: int, n_blocks: int) -> None:
    """Print both speeds and the ratio."""
    import keras

    images = np.random.default_rng(0).integers(0, 256, (n, PX, PX, 3), dtype=np.uint8).astype(np.float32)
    spec = Finetune(
        network="efficientnet_lite0",
        layers=LAYERS,
        resize={"px": PX, "mode": "pad"},
        batch=BATCH,
        boxes={"width": 48, "depth": 1},
    )
    encoder = find(spec, "benchmark")
    rows = pd.DataFrame({"row_id": ["a"], "split": ["train"], "y": [1.0], "weight": [1.0]})
    data = Dataset.in_memory(rows, ["tree"])
    problem = Problem(encoder, Task(classes=["tree"], annotations=ANNOTATIONS), data, "benchmark")
    model, engine = problem.build(0), fastest(encoder)
    if engine is None:
        raise SystemExit("no engine but Keras here: there is nothing to compare")
    stride, shape = cells(encoder)
    trunk = encoder.network.trunk(PX, tuple(LAYERS), pretrained=True)
    trunk = keras.Model(trunk.input, keras.layers.Flatten()(trunk.outputs[-1]))  # of the last of them
    with TemporaryDirectory() as folder:
        whole = Prefix(model._keras, engine, BATCH, Path(folder) / "whole")  # noqa: SLF001  # the Keras model itself
        bare = Prefix(trunk, engine, BATCH, Path(folder) / "bare")

        def find_boxes() -> None:
            detection.decode(whole.run(images), shape, stride, problem.settings)

        ways = [find_boxes, lambda: bare.run(images)]
        for way in ways:
            way()
        pairs = np.array([[seconds(way) for way in ways] for _ in range(n_blocks)])
    ours, theirs = n / np.median(pairs, axis=0)
    ratio = np.median(pairs[:, 1] / pairs[:, 0])
    print(f"{PX} px: boxes {ours:.1f} images/s, the bare trunk {theirs:.1f}: {ratio:.2f} of its speed")


def fusing(n: int) -> None:
    """Print the seconds of fusing two models' boxes of `n` pictures."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 380, (1, n, N_BOXES, 2)) + rng.normal(0, 2, (2, n, N_BOXES, 2))
    sides = rng.uniform(10, 40, (1, n, N_BOXES, 2)) + rng.normal(0, 2, (2, n, N_BOXES, 2))
    rest = np.stack([rng.uniform(0.05, 1, (2, n, N_BOXES)), np.zeros((2, n, N_BOXES))], axis=3)
    boxes = np.concatenate([corners, corners + sides, rest], axis=3).astype(np.float32)
    for method in ("wbf", "nms"):
        taken = seconds(lambda method=method: fuse(boxes, np.ones(2), method, 0.55))
        print(f"{method} of 2 x {N_BOXES} boxes on {n:,} pictures: {taken:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option, default in (("--images", 64), ("--blocks", 5), ("--rows", 10_000)):
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    fusing(options.rows)
    finding(options.images, options.blocks)
