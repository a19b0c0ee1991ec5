"""What a pool of processes saves: the folds of one network, by one and by two workers of one core each.

    python benchmarks/pool.py [--images 3000] [--epochs 2] [--rounds 3]

A competition of drawn discs and squares is prepared once; then `podium finetune` trains a small residual network on
four folds, in turn: one job after the other in the stage's own process, and in a pool of two, each time with an empty
cache and one thread a job. Printed are the medians and their ratio; the outputs must have the same bytes.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
_POOLS = {"in the stage": "", "local:2": "local:2"}
_COMPETITION = {
    "title": "Discs and squares",
    "source": {"kind": "folder", "path": "drawn"},
    "layout": {"kind": "files", "images": "{label}_{id}.png"},
    "task": {"kind": "multiclass", "target": "label"},
    "metric": "accuracy",
    "metrics": [],
    "holdout": {"fraction": 0.2, "stratify": ["label"], "seed": 1},
    "submission": {"columns": ["id", "disc", "square"]},
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder, asked.images, asked.epochs)
        for stage in ("scan", "download", "prepare", "fold", "augment"):
            _podium(folder, stage, {})
        seconds: dict[str, list[float]] = {pool: [] for pool in _POOLS}
        outputs = set()
        for round_ in range(asked.rounds):
            for pool, value in _POOLS.items():
                started = time.perf_counter()
                machine = {"PODIUM_CACHE": str(folder / f"cache-{round_}-{value}"), "PODIUM_POOL": value}
                _podium(folder, "finetune", machine, "net")
                seconds[pool].append(time.perf_counter() - started)
                outputs.add(_digest(folder / "predictions/toy/net"))
    alone = statistics.median(seconds["in the stage"])
    for pool, values in seconds.items():
        print(f"{pool:14} {statistics.median(values):7.1f} s   {alone / statistics.median(values):.2f} times as fast")
    print("the same bytes" if len(outputs) == 1 else "THE BYTES DIFFER")


def _make(folder: Path, n_images: int, epochs: int) -> None:
    """Draw the pictures, and write the competition and its params."""
    rng = np.random.default_rng(0)
    (folder / "drawn").mkdir()
    for n in range(n_images):
        image = rng.normal(120, 40, (32, 32, 3)).clip(0, 255).astype(np.uint8)
        x, y, r = (int(v) for v in (*rng.integers(10, 22, 2), rng.integers(4, 8)))
        if n % 2:
            cv2.circle(image, (x, y), r, (200, 200, 200), -1)
        else:
            cv2.rectangle(image, (x - r, y - r), (x + r, y + r), (200, 200, 200), -1)
        cv2.imwrite(str(folder / f"drawn/{'disc' if n % 2 else 'square'}_{n:05d}.png"), image)
    yaml = YAML(typ="safe")
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"competition": "toy", "backbones": {}, "members": {}, "fusions": {}}
    params["folds"] |= {"k": 4, "repeats": 1}
    params["views"] = {"train": ["identity"], "test": ["identity"]}
    params["finetunes"] = {"net": {"network": "residual", "resize": {"px": 32}, "epochs": epochs, "batch": 32}}
    yaml.dump(params, folder / "params.yaml")
    (folder / "competitions").mkdir()
    yaml.dump(_COMPETITION, folder / "competitions/toy.yaml")


def _podium(folder: Path, stage: str, machine: dict[str, str], *names: str) -> None:
    command = [sys.executable, "-m", "podium.cli", stage, *names]
    env = os.environ | {"PODIUM_THREADS": "1", "PODIUM_POOL": "", "PODIUM_CACHE": str(folder / "cache")} | machine
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"podium {stage}: {done.stderr[-2000:]}")


def _digest(folder: Path) -> str:
    parts = [path.name.encode() + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


if __name__ == "__main__":
    main()
