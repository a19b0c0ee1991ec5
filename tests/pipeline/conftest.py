"""A small competition in a copy of the repository, run by DVC itself."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 1200  # of one command, on the busiest machine: one that never ends must fail its test

COMPETITION = """\
title: Bright or dark
source: {kind: folder, path: incoming}
layout:
  kind: table
  table: labels.csv
  id: id
  image: "images/{id}.png"
task: {kind: binary, target: brightness, above: 0.5}
metric: log_loss
metrics: [accuracy]
holdout: {fraction: 0.25, stratify: [brightness], seed: 1}
submission: {columns: [id, bright]}
"""

PARAMS = """\
competition: toy
seed: 1
limit: null
folds: {scheme: stratified, k: 3, repeats: 1, file: null}
views:
  train: [identity, hflip]
  test: [identity, hflip]
backbones:
  colour: {network: color_histogram}
  shape: {network: hog, resize: {px: 32}}
members:
  logistic_colour: {backbone: colour, head: logistic, C: 0.1}
  logistic_shape: {backbone: shape, head: logistic, C: 0.1}
finetunes: {}
students: {}
imports: {predictions: {}, features: {}}
fusions:
  logistic_both: {backbones: [colour, shape], head: logistic, C: 0.1}
ensemble: {method: mean}  # every member counts, so that each change shows in the submission
submission: {clip: [0.01, 0.99]}
"""


@dataclass
class Run:
    """What one `dvc repro` did."""

    output: str
    returncode: int
    ran: set[str] = field(init=False)  # stages whose command ran
    restored: set[str] = field(init=False)  # stages taken from the run cache

    def __post_init__(self):
        # `scan` runs every time; what follows it does where something changed.
        self.ran = set(re.findall(r"Running stage '([^']+)'", self.output)) - {"scan"}
        self.restored = set(re.findall(r"Stage '([^']+)' is cached", self.output))

    def rows(self) -> dict[str, int]:
        """Return backbone -> rows computed, of the extract stages that ran."""
        found = re.findall(r"^extract (\w+):.*?([\d,]+) computed", self.output, flags=re.MULTILINE)
        return {name: int(count.replace(",", "")) for name, count in found}


@dataclass
class Workspace:
    """A work tree with its own DVC and row caches."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)  # of the machine: environment variables

    def env(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "PODIUM_", "GIT_"))}
        return kept | {
            "PATH": path,
            "PYTHONPATH": str(self.path / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.path.parent / "site"),
            **self.settings,
        }

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.env(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=MOST_SECONDS,
        )

    def repro(self) -> Run:
        done = self.call("dvc", "repro")
        return Run(done.stdout, done.returncode)

    def repro_ok(self) -> Run:
        run = self.repro()
        assert run.returncode == 0, run.output
        return run

    def edit(self, change) -> None:
        """Apply `change(params)` to params.yaml."""
        yaml = YAML()
        file = self.path / "params.yaml"
        params = yaml.load(file)
        change(params)
        yaml.dump(params, file)

    def add_imports(self) -> None:
        """Add a table of predictions and one of features, as somebody else might have made them."""
        images = pd.read_parquet(self.path / "data/toy/images.parquet")
        (self.path / "theirs").mkdir()
        predictions = pd.DataFrame({"row_id": images["row_id"], "p_0": 0.5})
        predictions.to_csv(self.path / "theirs/predictions.csv", index=False)
        features = pd.DataFrame({"image_id": images["image_id"], "f0": range(len(images)), "f1": 1.0})
        features.to_parquet(self.path / "theirs/features.parquet")
        imports = {"predictions": {"mate": "theirs/predictions.csv"}, "features": {"clip": "theirs/features.parquet"}}
        self.edit(lambda params: params.update(imports=imports))

    def add_finetune(self) -> None:
        """Add a network that is trained in seconds."""
        spec = {"network": "mlp", "options": {"hidden": [8]}, "resize": {"px": 8}, "epochs": 3, "batch": 8}
        self.edit(lambda params: params.update(finetunes={"tiny": spec}))

    def add_student(self) -> None:
        """Add a head that learns from the others."""
        head = {"backbone": "colour", "head": "logistic", "C": 0.1}
        self.edit(lambda params: params.update(students={"pupil": {"member": head, "distill": 0.5}}))

    def bytes(self, file: str) -> bytes:
        return (self.path / file).read_bytes()


def _make(path: Path) -> Workspace:
    """Copy what git would clone, add the toy competition, and commit it."""
    path.mkdir(parents=True)
    for name in ("src", "dvc.yaml", ".dvcignore", "pyproject.toml", "leaderboard.csv"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, path / name)
    for folder in ("competitions", "students"):
        (path / folder).mkdir()
    shutil.copy(ROOT / "students/.gitignore", path / "students")
    (path / "competitions/toy.yaml").write_text(COMPETITION)
    (path / "params.yaml").write_text(PARAMS)
    (path / ".gitignore").write_text(".podium/\n__pycache__/\n")
    images = path / "incoming/images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["id,brightness"]
    for k in range(48):
        bright = k % 2
        image = np.clip(rng.normal(90 + 50 * bright, 60, (40, 40, 3)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(images / f"{k:03d}.png"), image)
        lines.append(f"{k:03d},{bright}")
    (path / "incoming/labels.csv").write_text("\n".join(lines) + "\n")
    for file in (path / "incoming").rglob("*"):
        os.utime(file, (1e9, 1e9))  # copies of one folder, with its times
    workspace = Workspace(path)
    for command in (
        ["git", "init", "-q"],
        ["dvc", "init", "-q"],
        ["git", "config", "user.email", "test@example.com"],
        ["git", "config", "user.name", "test"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "toy"],
    ):
        done = workspace.call(*command)
        assert done.returncode == 0, done.stdout
    return workspace


@pytest.fixture(scope="session")
def make_workspace():
    """Return the function that makes a workspace of its own at a path."""
    return _make


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workspace:
    """A workspace whose pipeline has run once; tests take a copy of it."""
    workspace = _make(tmp_path_factory.mktemp("finished") / "work")
    workspace.repro_ok()
    return workspace


@pytest.fixture
def workspace(finished, tmp_path) -> Workspace:
    """A copy of the finished workspace, with its caches."""
    shutil.copytree(finished.path, tmp_path / "work", symlinks=True)
    return Workspace(tmp_path / "work")
