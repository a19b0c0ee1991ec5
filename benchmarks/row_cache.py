"""How fast a full row cache opens, and becomes a features file.

    python benchmarks/row_cache.py [--rows 70000] [--columns 1280] [--repeats 5]

Rows are made up and stored as extraction stores them, 32 at a time. Opening reads the files' heads; assembling reads
and checks every row and writes the HDF5 file with its checksum. Printed are the best of the repeats, beside the time
that this disk takes to write the same bytes as one plain file.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from podium.contracts import features
from podium.storage.rowcache import RowCache, row_key

_BATCH = 32


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=70_000)
    parser.add_argument("--columns", type=int, default=1280)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    keys = [row_key(f"{n:x}", "identity", "{}") for n in range(asked.rows)]
    index = pd.DataFrame({"image_id": [f"{n:09d}" for n in range(asked.rows)], "view": "identity"}, dtype="str")
    megabytes = asked.rows * asked.columns * 2 / 1e6
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng, cache = np.random.default_rng(0), RowCache(folder / "rows", folder / "rows")
        for start in range(0, asked.rows, _BATCH):
            some = keys[start : start + _BATCH]
            cache.put(some, rng.normal(size=(len(some), asked.columns)).astype(np.float32))

        def assemble() -> None:
            shapes = {cache.shape(key) for key in keys}
            rows = RowCache(folder / "rows", folder / "rows").get(keys)
            features.write(folder / "features.h5", index, rows, **features.form(shapes), attributes={})

        opening = _best(lambda: RowCache(folder / "rows", folder / "rows"), asked.repeats)
        assembling = _best(assemble, asked.repeats)
        content = (folder / "features.h5").read_bytes()
        writing = _best(lambda: (folder / "plain").write_bytes(content), asked.repeats)
    print(f"opened in {opening:.2f} s; opened and assembled in {assembling:.2f} s: {megabytes / assembling:.0f} MB/s")
    print(f"the same bytes as a plain file: {megabytes / writing:.0f} MB/s")


def _best(act: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
