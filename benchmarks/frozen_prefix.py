"""What it saves to run the layers that a finetune does not train in the fast engine.

    python benchmarks/frozen_prefix.py [--network efficientnet_lite0] [--unfreeze block5 block6] [--px 224] [--batch 32]

Seconds a step, of wall and of CPU time, with augmentation: all layers; then from each layer of --unfreeze on, with the
layers below in Keras and in the engine, and how many times as fast as all layers and as Keras that is. The ways take
turns, in blocks of a few steps, so that whatever else the machine does meets all of them; each figure is the median of
the blocks. Last, from the same layers on, with flips alone for augmentation: then the maps below are made once. The
fold adds what surrounds the steps: one of `elpv-finetune` has one epoch of the head and eleven of 49 steps, and gives
the features of 2,100 views; maps that are made once are those of four views of 1,568 images.
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

STEPS_HEAD, STEPS, VIEWS, MAPS = 49, 11 * 49, 2100, 4 * 1568  # of a fold of ELPV
FLIPS = ["hflip", "vflip"]
AUGMENT = [*FLIPS, {"shift": 0.05}, {"brightness": 0.15}]


class Way:
    """One way to train on generated images; each method takes a few steps and returns their seconds, wall and CPU."""

    def __init__(self, folder: Path, images: np.ndarray, **settings: Any) -> None:
        spec = Finetune(ema=0.98, dropout=0.3, epochs=2, **settings)
        self.encoder, self.images, self.epoch = find(spec, "benchmark"), images, 0
        self.model: Model = build(self.encoder, Task(target="x"), 1, seed=1)
        self.model.use_frozen_engine(folder)
        y = np.arange(len(images)) % 2
        self.examples = Examples(np.arange(len(images)), y[:, None].astype(np.float32), np.ones(len(y), np.float32), y)

    def begin(self, phase: int) -> None:
        """Start a phase, the head's or the other, and leave behind what Keras traces."""
        self.model.open(list(phases(self.encoder))[phase], steps=STEPS)
        self.ready, n_views = None, 2 ** len(self.encoder.spec.augment.operations)
        if phase:
            self.model.prepare(self.images[: self.encoder.spec.batch])  # a first run takes longer

            def make() -> None:
                maps = self.model.maps(self.images, self.examples.place, n_epochs=len(self.images))
                self.ready = maps and maps.of

            seconds = timed(make, n_views * len(self.images))
            self.maps = np.array(seconds) if self.ready else np.zeros(2)
        self.steps()

    def steps(self) -> tuple[float, float]:
        """Learn from an epoch; the time is of one step."""
        self.epoch += 1
        batches_ = batches(self.examples, self.images, self.encoder.spec, 1, self.epoch, self.model.prepare, self.ready)
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
        ways = {"all layers": Way(Path(name), images, **common, augment=AUGMENT, frozen_engine="keras")}
        for unfreeze in options.unfreeze:
            for how, augment in (("keras", AUGMENT), ("auto", AUGMENT), ("once", FLIPS)):
                ways[f"{unfreeze}, below: {how}"] = Way(
                    Path(name),
                    images,
                    **common,
                    unfreeze=unfreeze,
                    augment=augment,
                    frozen_engine="keras" if how == "keras" else "auto",
                )
        seconds = {key: np.zeros((4, 2)) for key in ways}  # of the head's step, another, an image's features and maps
        for what in range(3):
            for way in ways.values():
                way.begin(what) if what < 2 else way.features()
            blocks = {key: [] for key in ways}
            for _ in range(options.blocks):
                for key, way in ways.items():
                    blocks[key].append(way.steps() if what < 2 else way.features())
            for key in ways:
                seconds[key][what] = np.median(blocks[key], axis=0)
        for key, way in ways.items():
            seconds[key][3] = way.maps
    report(seconds)


def report(seconds: dict[str, np.ndarray]) -> None:
    """Print a line for each way, with how many times as fast it is as all layers and as the same layers in Keras."""
    run = {key: np.array([STEPS_HEAD, STEPS, VIEWS, MAPS]) @ of for key, of in seconds.items()}
    print(f"{'wall s (CPU s)':22} head's step, another step, a fold; times as fast, step and fold: as all, as keras")
    whole, keras = "all layers", ""
    for key, of in seconds.items():
        keras = key if key.endswith("keras") else keras
        figures = "  ".join(f"{wall:7.3f} ({cpu:7.3f})" for wall, cpu in (of[0], of[1], run[key]))
        ratios = [
            f"{seconds[other][1][k] / of[1][k]:.1f}, {run[other][k] / run[key][k]:.1f}"
            for other in (whole, keras or whole)
            for k in (0, 1)
        ]
        print(f"{key:22} {figures}   {ratios[0]} ({ratios[1]})   {ratios[2]} ({ratios[3]})")


if __name__ == "__main__":
    main()
