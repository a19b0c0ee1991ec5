"""End-to-end extraction, images per second: each engine and precision of this machine, against Keras in float32.

    python benchmarks/extraction.py [--network efficientnet_lite0] [--images 256] [--rounds 5]

From files in an archive to rows in the cache, with the model loaded.
The limit is what the machine could do if nothing ever waited: one over engine time per image with pixels in memory
plus decoding time per image over the number of cores, since both share them.
"""

import argparse
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import extraction_data
import numpy as np

from podium.backbones import NETWORKS
from podium.config import Backbone
from podium.contracts.rowcache import RowCache
from podium.contracts.tables import IMAGES
from podium.engines import Engine
from podium.extraction import Extraction, Image, Row, settle, workers
from podium.images import Reader, Resize, resize

BATCH = 32
CHOICES = (("keras", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))


@dataclass
class Contender:
    """One engine in one precision, loaded, and its best seconds per image so far."""

    name: str
    extraction: Extraction
    engine: Engine
    alone_s: float = math.inf  # with pixels in memory
    whole_s: float = math.inf  # from the archive to the row cache


def main() -> None:
    """Print one line per engine and precision; rounds alternate between them, and the best of each counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="efficientnet_lite0", choices=NETWORKS)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extraction_data.make(folder, arguments.images)
        contenders = [contender(arguments.network, *choice, folder) for choice in CHOICES]
        decode_s = math.inf
        for _ in range(arguments.rounds):
            decode_s = min(decode_s, decoding(folder, contenders[0].extraction.px))
            for one in contenders:
                one.alone_s = min(one.alone_s, alone(one))
                one.whole_s = min(one.whole_s, whole(one, folder))
    print(f"{arguments.network}, batch {BATCH}, {workers()} cores; decoding {decode_s * 1e3:.2f} ms of one core each")
    for one in contenders:
        limit = 1 / (one.alone_s + decode_s / workers())
        print(
            f"{one.name:18} {1 / one.whole_s:7.1f} images/s = {contenders[0].whole_s / one.whole_s:.2f}x;"
            f" engine alone {1 / one.alone_s:.1f}, limit {limit:.1f}, reached {1 / one.whole_s / limit:.2f} of it"
        )


def contender(network: str, engine: str, precision: str, folder: Path) -> Contender:
    """Return an engine with its network loaded."""
    backbone = Backbone(network=network, engine=engine, precision=precision, batch=BATCH)
    extraction = settle(backbone, "benchmark")
    return Contender(f"{engine} {precision}", extraction, extraction.start(folder / "models" / extraction.fingerprint))


def decoding(folder: Path, px: int) -> float:
    """Return the seconds that one core needs to read, decode and resize one image."""
    with Reader(folder / "data/toy/raw") as reader:
        some = images(folder)[:100]
        started = time.perf_counter()
        for image in some:
            resize(reader.read(image.source), Resize(), px)
        return (time.perf_counter() - started) / len(some)


def alone(one: Contender) -> float:
    """Return the seconds that the engine needs for one image whose pixels lie in memory."""
    px = one.extraction.px
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, px, px, 3), dtype=np.uint8)
    one.engine.run(pixels)
    started = time.perf_counter()
    for _ in range(4):
        one.engine.run(pixels)
    return (time.perf_counter() - started) / (4 * BATCH)


def whole(one: Contender, folder: Path) -> float:
    """Return the seconds per image from the archive to the row cache."""
    table = images(folder)
    with tempfile.TemporaryDirectory() as cache, Reader(folder / "data/toy/raw") as reader:
        rows = RowCache(Path(cache), Path(cache))
        started = time.perf_counter()
        for keys, features in one.extraction.run(one.engine, table, reader):
            rows.put(keys, features)
        return (time.perf_counter() - started) / len(table)


def images(folder: Path) -> list[Image]:
    """Return the images of the made-up competition, one row each."""
    table = IMAGES.read(folder / "data/toy/images.parquet")
    ids = zip(table["image_id"], table["source"], strict=True)
    return [Image(i, source, (Row(i.encode().ljust(32), "identity", "{}"),)) for i, source in ids]


if __name__ == "__main__":
    main()
