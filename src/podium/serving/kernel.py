"""Predict the competition's test pictures by the ensemble in the dataset that is attached. It needs no internet.

Kaggle mounts inputs below /kaggle/input, read-only, and takes submission.csv from the working folder.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SETTINGS: dict[str, str] = {}  # dataset, competition, images, sample and precision; filled in by `podium bundle`
INPUT = Path(os.environ.get("PODIUM_INPUT", "/kaggle/input"))
PACKAGES = Path(os.environ.get("PODIUM_PACKAGES", "/tmp/podium-packages"))  # noqa: S108  # Kaggle's own scratch


def mounted(name: str) -> Path:
    """Return the folder of an input, at whichever depth it is mounted."""
    found = [INPUT / name, *sorted(INPUT.glob(f"*/{name}")), *sorted(INPUT.glob(f"*/*/{name}"))]
    return next((path for path in found if path.is_dir()), found[0])


def main() -> int:
    """Install the wheels, run the program of the dataset, and say what that took."""
    dataset, competition = mounted(SETTINGS["dataset"]), mounted(SETTINGS["competition"])
    started = time.monotonic()
    if not PACKAGES.exists():
        pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
        wheels = sorted(map(str, (dataset / "wheels").glob("*.whl")))
        subprocess.run([*pip, "--target", str(PACKAGES), *wheels], check=True)  # noqa: S603  # pip
    installed = time.monotonic()
    images = competition / SETTINGS["images"]
    command = [sys.executable, "-B", str(dataset / "model/predict.py"), str(images if images.is_dir() else competition)]
    command += ["--sample", str(competition / SETTINGS["sample"]), "--out", "submission.csv"]
    precision = os.environ.get("PODIUM_PRECISION", SETTINGS["precision"])
    command += ["--precision", precision] if precision else []
    path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": path})  # noqa: S603
    facts = {
        "install_s": round(installed - started, 1),
        "predict_s": round(time.monotonic() - installed, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }
    Path("podium.json").write_text(json.dumps(facts), encoding="utf-8")
    print(facts)  # noqa: T201  # the kernel's log
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
