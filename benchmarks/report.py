"""The report of a large competition: how long it takes and how much the page weighs.

    python benchmarks/report.py [--images 60000] [--classes 10] [--members 8]

Makes up a finished competition in a temporary folder, its pictures photographs of 640 x 480 px as noisy as JPEG
can bear, and runs `podium report` on it. Fails beyond 60 seconds or 20 MB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from podium import paths
from podium.contracts import features, models
from podium.contracts.folds import FoldTable
from podium.contracts.predictions import write_manifest
from podium.contracts.scores import Scores
from podium.contracts.tables import HASHES, IMAGES, ROWS
from podium.storage.files import write_json

NAME = "large"
N_PICTURES = 500
WIDTH = 1280  # of the features
ROOT = Path(__file__).parents[1]


def make(n: int, n_classes: int, n_members: int) -> None:
    """Write what the stages before report would have written."""
    rng = np.random.default_rng(0)
    ids = np.array([f"{k:06d}" for k in range(n)])
    labels = [f"class {k}" for k in range(n_classes)]
    y = rng.integers(n_classes, size=n)
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y.astype(float), "weight": 1.0, "group": ids})
    ROWS.write(rows, paths.data(NAME, "rows.parquet"), {"labels": labels, "task": "multiclass"})
    folds = pd.DataFrame({"row_id": ids, "repeat": 0, "fold": np.arange(n) % 5, "group": ids})
    FoldTable(folds, "plain").write(paths.dataset(NAME))
    sources = [f"photos.zip#{k % N_PICTURES}.jpg" for k in range(n)]
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "source": sources, "split": "train", "digest": ids})
    IMAGES.write(images.assign(width=640, height=480), paths.data(NAME, "images.parquet"))
    pairs = [[ids[k], ids[k + 1]] for k in range(0, 200, 2)]
    write_json({"quarantined": [], "duplicates": pairs}, paths.data(NAME, "audit.json"))
    codes = [rng.bytes(32).hex() for _ in range(n)]
    HASHES.write(images[["image_id", "row_id", "split"]].assign(hash=codes), paths.data(NAME, "hashes.parquet"))
    members = {f"member_{k}": predictions(rng, y, n_classes, 0.6 + 0.05 * k) for k in range(n_members)}
    for name, p in (members | {"": np.mean(list(members.values()), axis=0)}).items():
        table = pd.DataFrame({"row_id": ids, "split": "train"}).join(pd.DataFrame(p).add_prefix("p_"))
        Scores.of_table(table, labels).write(paths.predictions(NAME, name) if name else paths.ensemble(NAME))
    for name in members:
        write_json({"backbones": ["made"]}, paths.models(NAME, name) / models.ABOUT)
    made_features(rng, ids, y)
    write_manifest(members, lambda name: paths.predictions(NAME, name), paths.data(NAME, "bank.json"))
    bank = pd.DataFrame({"member": list(members), "log_loss": 0.5, "standard_error": 0.01, "weight": 1 / n_members})
    bank.to_csv(paths.bank_table(NAME), index=False)
    steps = pd.DataFrame({"step": range(1, 101), "member": "member_0", "loss": np.geomspace(1, 0.5, 100)})
    steps.to_csv(paths.climb_table(NAME), index=False)
    scores = {"log_loss": 0.5}
    write_json({"naive": scores, "cross_fitted": scores, "standard_error": scores}, paths.METRICS_ENSEMBLE)
    write_json({}, paths.METRICS_HELDOUT)
    photographs(rng)


def predictions(rng: np.random.Generator, y: np.ndarray, n_classes: int, noise: float) -> np.ndarray:
    """Return probabilities `(n, n_classes)`, right for about nine rows of ten."""
    logits = 4 * (np.eye(n_classes)[y] + rng.normal(0, noise, (len(y), n_classes)))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def made_features(rng: np.random.Generator, ids: np.ndarray, y: np.ndarray) -> None:
    """Write the features of a backbone for the page's map and its nearest images."""
    centres = rng.normal(0, 1, (y.max() + 1, WIDTH)).astype(np.float32)
    plan = pd.DataFrame({"image_id": ids, "view": "identity"})[features.KEY]
    rows = ((centres[of] + rng.normal(0, 1, WIDTH)).astype(np.float16) for of in y)
    attributes = {"backbone": "made", "fingerprint": "made"}
    features.write(
        paths.features(NAME, "made"), plan, rows, **features.form({(WIDTH, "float16")}), attributes=attributes
    )


def photographs(rng: np.random.Generator) -> None:
    """Write an archive of noisy pictures: the worst case for the page's weight."""
    paths.raw(NAME).mkdir(parents=True)
    with zipfile.ZipFile(paths.raw(NAME) / "photos.zip", "w") as archive:
        for k in range(N_PICTURES):
            coarse = cv2.resize(rng.integers(256, size=(12, 16, 3), dtype=np.uint8), (640, 480)).astype(np.float64)
            noisy = np.clip(coarse + rng.normal(0, 40, (480, 640, 3)), 0, 255).astype(np.uint8)
            archive.writestr(f"{k}.jpg", bytes(cv2.imencode(".jpg", noisy)[1]))


def settings() -> None:
    """Write params.yaml and the competition; JSON is YAML."""
    shutil.copytree(ROOT / "competitions", "competitions")
    competition = {
        "title": "A large competition",
        "source": {"kind": "folder", "path": "nowhere"},
        "layout": {"kind": "table", "table": "labels.csv", "id": "id", "image": "{id}.jpg"},
        "task": {"kind": "multiclass", "target": "label"},
        "metric": "log_loss",
        "metrics": [],
        "holdout": None,
        "submission": {"columns": ["id", "label"]},
    }
    paths.competition(NAME).write_text(json.dumps(competition))
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(params.replace("competition: elpv", f"competition: {NAME}"))


def main() -> None:
    """Make the competition, time its report, and weigh the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("--images", 60_000), ("--classes", 10), ("--members", 8)):
        parser.add_argument(option, type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        settings()
        make(arguments.images, arguments.classes, arguments.members)
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "podium.cli", "report"], check=True)
        seconds = time.monotonic() - started
        page = paths.report(NAME, "report.html")
        megabytes = page.stat().st_size / 1e6
        tiles = page.read_text(encoding="utf-8").count('class="tile"')
        os.chdir(ROOT)
    print(f"{arguments.images:,} images: {seconds:.1f} s, {megabytes:.1f} MB, {tiles} images in the gallery")
    assert seconds < 60, "too slow"
    assert megabytes < 20, "too heavy"


if __name__ == "__main__":
    main()
