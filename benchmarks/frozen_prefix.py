"""What it saves to run the layers that a finetune does not train in the fast engine.

    python benchmarks/frozen_prefix.py [--network efficientnet_lite0] [--unfreeze block5 block6] [--px 224] [--batch 32]

Seconds a step, of wall and of CPU time, with augmentation: all layers; then from each layer of --unfreeze on, with the
layers below in Keras and in the engine, and how many times as fast as all layers and as Keras that is. The ways take
turns, step by step in blocks, so that whatever else the machine does meets all of them; each figure is the median of
the blocks. The whole run adds what surrounds the steps: one fold of `elpv-finetune` has one epoch of the head and
eleven of 49 steps, and gives the features of 2,100 views.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from podium.tasks.binary import Task
from podium.training import Finetune
from podium.training.data import Examples, batches
from podium.training.encoder import find
from podium.training.model import Model
from podium.training.outputs.scores import build
from podium.training.phases import phases

STEPS_HEAD, STEPS, VIEWS = 49, 11 * 49, 2100  # of a fold of ELPV
AUGMENT = ["hflip", "vflip", {"shift": 0.05}, {"brightness": 0.15}]


class Way:
    """One way to train on generated images; each method takes a few steps and returns their seconds, wall and CPU."""

    def __init__(self, folder: Path, images: np.ndarray, **settings: Any) -> None:
        spec = Finetune(augment=AUGMENT, ema=0.98, dropout=0.3, epochs=2, **settings)
        self.encoder, self.images, self.epoch = find(spec, "benchmark"), images, 0
        self.model: Model = build(self.encoder, Task(target="x"), 1, seed=1)
        self.model.use_frozen_engine(folder)
        y = np.arange(len(images)) % 2
        self.examples = Examples(np.arange(len(images)), y[:, None].astype(np.float32), np.ones(len(y), np.float32), y)

    def begin(self, phase: int) -> None:
        """Start a phase, the head's or the other, and leave behind what Keras traces."""
        self.model.open(list(phases(self.encoder))[phase], steps=STEPS)
        self.steps()

    def steps(self) -> tuple[float, float]:
        """Learn from an epoch; the time is of one step."""
        self.epoch += 1
        batches_ = batches(self.examples, self.images, self.encoder.spec, 1, self.epoch, self.model.prepare)
        return timed(
            lambda: [self.model.step(*batch) for batch in batches_], len(self.images) // self.encoder.spec.batch
        )

    def features(self) -> tuple[float, float]:
        """Describe all images; the time is of one."""
        return timed(lambda: self.model.features(self.images), len(self.images))


def timed(function: Callable[[], object], n: int) -> tuple[float, float]:
    """Return the seconds, of wall and of CPU time, of an nth part."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return (time.perf_counter() - wall) / n, (time.process_time() - cpu) / n


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--unfreeze", nargs="+", default=["block5", "block6"])
    parser.add_argument("--layers", nargs="*", default=["block3", "block4", "block5", "block6", "block7"])
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args()
    shape = (4 * options.batch, options.px, options.px, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    common = {
        "network": options.network,
        "layers": options.layers,
        "pooling": "avg_max",
        "resize": {"px": options.px},
        "batch": options.batch,
    }
    with TemporaryDirectory() as name:
        ways = {"all layers": Way(Path(name), images, **common, frozen_engine="keras")}
        for unfreeze in options.unfreeze:
            for engine in ("keras", "auto"):
                key = f"{unfreeze}, below in {engine}"
                ways[key] = Way(Path(name), images, **common, unfreeze=unfreeze, frozen_engine=engine)
        seconds = {key: np.zeros((3, 2)) for key in ways}  # of the head's step, of another, of an image's features
        for what in range(3):
            for way in ways.values():
                way.begin(what) if what < 2 else way.features()
            blocks = {key: [] for key in ways}
            for _ in range(options.blocks):
                for key, way in ways.items():
                    blocks[key].append(way.steps() if what < 2 else way.features())
            for key in ways:
                seconds[key][what] = np.median(blocks[key], axis=0)
    report(seconds)


def report(seconds: dict[str, np.ndarray]) -> None:
    """Print a line for each way, with how many times as fast it is as all layers and as the line before."""
    run = {key: np.array([STEPS_HEAD, STEPS, VIEWS]) @ of for key, of in seconds.items()}
    print(f"{'':24} head's step  other steps    a fold   (wall s; in brackets CPU s)   times as fast: step, fold")
    whole = seconds["all layers"]
    for key, of in seconds.items():
        figures = "  ".join(f"{wall:6.3f} ({cpu:6.3f})" for wall, cpu in (of[0], of[1], run[key]))
        ratios = [f"{(whole[1] / of[1])[k]:.1f}, {(run['all layers'] / run[key])[k]:.1f} as all layers" for k in (0, 1)]
        if key.endswith("auto"):
            keras = key.replace("auto", "keras")
            ratios = [
                f"{text}; {(seconds[keras][1] / of[1])[k]:.1f}, {(run[keras] / run[key])[k]:.1f} as in keras"
                for k, text in enumerate(ratios)
            ]
        print(f"{key:24} {figures}   {ratios[0]} [CPU {ratios[1]}]")


if __name__ == "__main__":
    main()
