"""A small competition, fitted once: a pretrained network, classical features, a trained network, heads of all kinds."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from podium import config as config_module
from podium.cli import STAGES, attrgetter, main

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
  tiny: {network: mlp, options: {hidden: [8]}, resize: {px: 8}, epochs: 2, batch: 8, features: true}
students: {}
imports: {predictions: {}, features: {}}
fusions:
  kernel_both: {backbones: [colour, lite], head: kernel_ridge, views: mean}
ensemble: {method: mean}
submission: {clip: [0.01, 0.99]}
"""


def make_picture(seed):
    """Return a small picture that is bright for an odd seed; sizes differ."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(90 + 50 * (seed % 2), 60, (40, 36 + seed % 3, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(name="run_stages", scope="session")
def every_stage():
    """Return the function that runs every stage in the current folder."""
    return run_stages


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """What an exported model needs, as pip would install it: taken from the environment of the tests."""
    folder, site = tmp_path_factory.mktemp("packages"), Path(sysconfig.get_paths()["purelib"])
    for name in (
        *("numpy", "numpy.libs", "cv2", "opencv_python_headless.libs", "openvino", "openvino_telemetry"),
        *("lightgbm", "scipy", "scipy.libs", "narwhals", "PIL", "pillow.libs"),
    ):
        if (site / name).exists():
            (folder / name).symlink_to(site / name)
    return folder


@pytest.fixture(scope="session")
def picture():
    """Return the function of a seed that makes a picture of the competition's kind."""
    return make_picture


def run_stages():
    """Run every stage of params.yaml in the order of the data flow, but the report."""
    config = config_module.load()
    for stage, section in STAGES.items():
        names = [[name] for name in attrgetter(section)(config.params)] if section else [[]]
        for name in names if stage != "report" else []:
            assert main([stage, *name]) == 0
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
        assert cv2.imwrite(str(root / f"incoming/images/{seed:03d}.png"), make_picture(seed))
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


@pytest.fixture(scope="session")
def exported(house, tmp_path_factory):
    """The folder that `podium export` writes of it."""
    folder = tmp_path_factory.mktemp("exported") / "toy"
    before = Path.cwd()
    os.chdir(house.root)
    os.environ["PODIUM_CACHE"] = str(house.root / ".podium")
    try:
        assert main(["export", str(folder)]) == 0
    finally:
        os.chdir(before)
        os.environ.pop("PODIUM_CACHE")
    return folder


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Return the function that runs Python where podium and what it is made of cannot be imported."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "sitecustomize.py").write_text(BLOCKED)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PODIUM"))}

    def run(*words, **options):
        command = [sys.executable, *map(str, words)]
        return subprocess.run(
            command, env=env | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=300, **options
        )

    return run


BLOCKED = """\
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"podium", "keras", "tensorflow", "pydantic", "h5py", "skimage", "tqdm"}:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Finder())
"""
