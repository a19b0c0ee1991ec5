"""Sixteen-pixel images that a small network learns to tell apart at once, and a function that trains on them."""

from types import SimpleNamespace

import numpy as np
import pytest

from podium import plugins
from podium.training import Finetune
from podium.training.data import Examples
from podium.training.encoder import find
from podium.training.loop import Job, train
from podium.training.outputs.scores import build

PX = 16
TASKS = {
    kind: plugins.make("tasks", kind, {"target": "x"}, "toy")
    for kind in ("binary", "multiclass", "multilabel", "regression")
}
SPEC = {"network": "mlp", "options": {"hidden": [8]}, "resize": {"px": PX}, "batch": 8, "epochs": 6}


@pytest.fixture
def toy():
    """Forty images, red or blue; classes come one after the other, as in a sorted list."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    means = np.array([[160, 100, 90], [90, 100, 160]])[y][:, None, None]
    pixels = rng.normal(means, 30, (40, PX, PX, 3)).clip(0, 255).astype(np.uint8)
    train_set = Examples(np.arange(40), y[:, None].astype(np.float32), np.ones(40, np.float32), y)
    return SimpleNamespace(pixels=pixels, y=y, train_set=train_set)


@pytest.fixture
def job(toy, tmp_path):
    """Return the function that makes a job from settings; `learn` and `judge` are those of the toy, or given."""

    def make(*, task="binary", n_outputs=1, train_set=None, valid_set=None, folder="job", **settings):
        encoder = find(Finetune(**SPEC | settings), "params.yaml: finetunes.toy")
        return Job(
            build=lambda: build(encoder, TASKS[task], n_outputs, seed=3),
            pixels=toy.pixels,
            train_set=train_set or toy.train_set,
            valid_set=valid_set,
            seed=3,
            folder=tmp_path / folder,
            where="params.yaml: finetunes.toy",
        )

    return make


@pytest.fixture
def trained(job):
    """Return the function that trains on a job's settings; it gives the model and the steps that were watched."""

    def run(**settings):
        steps = []
        return train(job(**settings), steps.append), steps

    return run
