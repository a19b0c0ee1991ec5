"""A small competition, fitted once: a pretrained network, classical features, a trained network, heads of all kinds."""

import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from podium import config as config_module
from podium.cli import STAGES, attrgetter, import_module

COMPETITION = """\
title: Bright or dark
source: {kind: folder, path: incoming}
layout: {kind: table, table: labels.csv, id: id, image: "images/{id}.png", metadata: [age]}
task: {kind: binary, target: bright}
metric: log_loss
metrics: [accuracy]
holdout: {fraction: 0.25, stratify: [bright], seed: 1}
submission: {columns: [id, bright]}
"""

PARAMS = """\
competition: toy
seed: 1
limit: null
folds: {scheme: stratified, k: 3, repeats: 1, file: null}
views: {train: [identity, hflip], test: [identity, hflip]}
backbones:
  colour: {network: color_histogram}
  lite: {network: efficientnet_lite0, layers: [block2], resize: {px: 32, mode: pad}, precision: float32, batch: 8}
members:
  lightgbm_colour: {backbone: colour, head: lightgbm}
  logistic_lite: {backbone: lite, head: logistic, C: 0.1}
  logistic_tiny: {backbone: tiny, head: logistic, C: 0.1}
  useless: {backbone: colour, head: knn}
finetunes:
  tiny: {network: mlp, options: {hidden: [8]}, resize: {px: 8}, epochs: 2, batch: 8}
imports: {predictions: {}, features: {}}
fusions:
  kernel_both: {backbones: [colour, lite], head: kernel_ridge, views: mean}
ensemble: {method: mean}
submission: {clip: [0.01, 0.99]}
"""


def picture(seed):
    """Return a small picture that is bright for an odd seed; sizes differ."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(90 + 50 * (seed % 2), 60, (40, 36 + seed % 3, 3)), 0, 255).astype(np.uint8)


def run_stages():
    """Run every stage of params.yaml in the order of the data flow, but the report."""
    config = config_module.load()
    for stage, section in STAGES.items():
        names = [[name] for name in attrgetter(section)(config.params)] if section else [[]]
        for name in names if stage != "report" else []:
            import_module(f"podium.stages.{stage}").run(config, *name)
    return config


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    """The competition's folder, with all stages run once."""
    root = tmp_path_factory.mktemp("house")
    (root / "competitions").mkdir()
    (root / "competitions/toy.yaml").write_text(COMPETITION)
    (root / "params.yaml").write_text(PARAMS)
    (root / "incoming/images").mkdir(parents=True)
    lines = ["id,bright,age"]
    for seed in range(48):
        assert cv2.imwrite(str(root / f"incoming/images/{seed:03d}.png"), picture(seed))
        lines.append(f"{seed:03d},{seed % 2 ^ (seed % 11 == 0)},{seed}")
    (root / "incoming/labels.csv").write_text("\n".join(lines) + "\n")
    before, cache = Path.cwd(), os.environ.get("PODIUM_CACHE")
    os.chdir(root)
    os.environ["PODIUM_CACHE"] = str(root / ".podium")
    try:
        config = run_stages()
    finally:
        os.chdir(before)
        os.environ.pop("PODIUM_CACHE")
        if cache:
            os.environ["PODIUM_CACHE"] = cache
    return SimpleNamespace(root=root, config=config)


@pytest.fixture
def at_home(house, monkeypatch):
    """The same, with the process in its folder."""
    monkeypatch.chdir(house.root)
    monkeypatch.setenv("PODIUM_CACHE", str(house.root / ".podium"))
    return house
