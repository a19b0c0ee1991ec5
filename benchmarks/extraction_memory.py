"""Peak memory of `podium extract` by the number of images: it must not grow with them.

    python benchmarks/extraction_memory.py

Each run has an empty row cache; the exported model is made beforehand, so that TensorFlow's memory does not hide
what extraction itself takes.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import extraction_data

N_IMAGES = (600, 2600)
_PEAK = "import resource, sys; from podium.cli import main; code = main(sys.argv[1:]);"
_PEAK += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"


def peak_mb(folder: Path, cache: Path) -> float:
    """Return the peak resident memory of one extraction, in MB."""
    command = [sys.executable, "-c", _PEAK, "extract", "toy"]
    env = os.environ | {"PODIUM_CACHE": str(cache)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    print("   ", done.stdout.strip())
    return int(done.stderr.split()[-1]) / 1000


def main() -> None:
    """Print the peaks and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extraction_data.make(folder / "warm", 32)
        peak_mb(folder / "warm", folder / "cache")
        peaks = []
        for n in N_IMAGES:
            extraction_data.make(folder / str(n), n)
            for rows in (folder / "cache/rows").glob("*/*.rows"):
                rows.unlink()
            peaks.append(peak_mb(folder / str(n), folder / "cache"))
            print(f"{n:6d} images: peak {peaks[-1]:.0f} MB")
        print(f"ratio {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
