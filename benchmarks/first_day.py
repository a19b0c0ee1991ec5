"""From a folder of pictures to the first cross-fitted score: `podium new`, `podium use`, `make submission`, timed.

    python benchmarks/first_day.py [--images 8000] [--keep FOLDER]

The pictures are like MNIST's: gray digits of 28 px, white on black, a folder a class. They are scikit-learn's 1,797
handwritten digits, enlarged, each turned, stretched and moved a little. Copies of one digit lie on both sides of a
fold, so the score says nothing; the time does: with packages installed and nothing cached.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
_PX = 28


def main() -> None:
    """Print the seconds of each command (of `make submission` those that it runs), and the draft's score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--keep", type=Path, help="a new folder to work in, which stays")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.keep or Path(name)
        _draw(folder / "digits", asked.images)
        work = folder / "podium"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(work)], check=True)
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        machine = {"PATH": scripts, "PYTHONPATH": str(work / "src"), "PODIUM_CACHE": str(folder / "cache")}
        begun = time.time()
        for command in (
            "podium new ../digits",
            "podium use digits",
            "podium check-params",
            "dvc repro --quiet download",
            "podium check-params --data",
            "dvc repro --quiet",
        ):
            started = time.time()
            subprocess.run(command.split(), cwd=work, env=os.environ | machine, check=True, stdout=subprocess.DEVNULL)
            print(f"{command:28} {time.time() - started:6.1f} s")
        scores = work / "metrics/ensemble.json"
        print(f"{'to the cross-fitted score':28} {scores.stat().st_mtime - begun:6.1f} s")
        print(f"{'to the submission and report':28} {time.time() - begun:6.1f} s")
        print(json.dumps(json.loads(scores.read_text(encoding="utf-8")), indent=1))


def _draw(folder: Path, n_images: int) -> None:
    """Write `FOLDER/7/00123.png`, ..."""
    rng = np.random.default_rng(0)
    digits = load_digits()
    for n in range(n_images):
        which = n % len(digits.target)
        (folder / str(digits.target[which])).mkdir(parents=True, exist_ok=True)
        image = cv2.resize((digits.images[which] * 15.9).astype(np.uint8), (20, 20), interpolation=cv2.INTER_CUBIC)
        move = cv2.getRotationMatrix2D((10, 10), rng.uniform(-15, 15), rng.uniform(0.85, 1.15))
        move[:, 2] += (_PX - 20) / 2 + rng.uniform(-2, 2, 2)
        cv2.imwrite(str(folder / str(digits.target[which]) / f"{n:05d}.png"), cv2.warpAffine(image, move, (_PX, _PX)))


if __name__ == "__main__":
    main()
