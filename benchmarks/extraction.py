"""End-to-end extraction, images per second: each engine and precision of this machine, against Keras in float32.

    python benchmarks/extraction.py [--network efficientnet_lite0] [--images 256] [--rounds 5]
        [--peers peers/bin/python] [--random-weights]

From files in an archive to rows in the cache, with the model loaded.
The limit is what the machine could do if nothing ever waited: one over engine time per image with pixels in memory
plus decoding time per image over the number of cores, since both share them.
"""

import argparse
import json
import math
import subprocess
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import extraction_data
import numpy as np

from podium.backbones import NETWORKS
from podium.contracts.tables import IMAGES
from podium.engines import Engine
from podium.features.backbone import Backbone
from podium.features.extraction import Extraction, Image, Row, resolve_auto, workers
from podium.imaging.images import Reader, Resize, resize
from podium.plugins import find
from podium.storage.rowcache import RowCache

BATCH = 32
CHOICES = (("keras", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"), ("openvino", "float16"))


@dataclass
class Contender:
    """One engine in one precision, loaded, and its best seconds per image so far."""

    name: str
    extraction: Extraction
    engine: Engine
    alone_s: float = math.inf  # with pixels in memory
    whole_s: float = math.inf  # from the archive to the row cache
    waiting: float = 0.0  # share of that time in which the engine had nothing to do


def main() -> None:
    """Print one line per engine and precision; rounds alternate between them, and the best of each counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="efficientnet_lite0", choices=NETWORKS)
    parser.add_argument("--images", type=int, default=256, help="a multiple of the batch, 32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--random-weights", action="store_true", help="they change no speed")
    parser.add_argument("--peers", help="a Python with benchmarks/extraction_peers.txt, for efficientnet_lite0")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extraction_data.make(folder, arguments.images)
        peers = start_peers(arguments.peers, folder) if arguments.peers else None
        contenders = [contender(arguments, *choice, folder) for choice in CHOICES if runs_here(*choice)]
        decode_s, others = math.inf, {}
        for _ in range(arguments.rounds):
            decode_s = min(decode_s, decoding(folder, contenders[0].extraction.px))
            for one in contenders:
                one.alone_s = min(one.alone_s, alone(one))
                whole(one, folder)
            for peer, speed in (ask(peers) if peers else {}).items():
                others[peer] = max(speed, others.get(peer, 0.0))
        if peers:
            peers.stdin.close()
            peers.wait()
    report(arguments.network, contenders, others, decode_s)


def report(network: str, contenders: list[Contender], others: dict[str, float], decode_s: float) -> None:
    """Print the table: speeds against Keras's, and how near each came to what the machine could do."""
    base = 1 / contenders[0].whole_s
    print(f"{network}, batch {BATCH}, {workers()} cores; decoding {decode_s * 1e3:.2f} ms of one core each")
    for one in contenders:
        shared_s = decode_s / workers()
        limit = 1 / (one.alone_s + shared_s)
        print(
            f"{one.name:20} {1 / one.whole_s:7.1f} images/s = {1 / one.whole_s / base:.2f}x;"
            f" limit {limit:.1f}, reached {1 / one.whole_s / limit:.2f} of it\n"
            f"{'':20} {one.whole_s * 1e3:.2f} ms an image: engine {one.alone_s * 1e3:.2f},"
            f" decoding {shared_s * 1e3:.2f};"
            f" engine waits {one.waiting:.0%}, decoding {1 - shared_s / one.whole_s:.0%};"
            f" with free decoding {1 / one.alone_s / base:.2f}x"
        )
    for name, speed in others.items():
        print(f"{name:20} {speed:7.1f} images/s = {speed / base:.2f}x")


def runs_here(engine: str, precision: str) -> bool:
    """Return whether this machine has the precision."""
    return precision in find("engines", engine, "benchmark").precisions()


def contender(arguments: argparse.Namespace, engine: str, precision: str, folder: Path) -> Contender:
    """Return an engine with its network loaded."""
    backbone = Backbone(network=arguments.network, engine=engine, precision=precision, batch=BATCH)
    extraction = resolve_auto(backbone, "benchmark")
    network, px = extraction.network, extraction.px
    options = {"pretrained": False} if arguments.random_weights else {}
    loaded = extraction.engine(
        lambda: network.build(px, extraction.pooling, (), **options),
        batch=BATCH,
        px=px,
        precision=precision,
        exported=folder / "models" / extraction.fingerprint,
    )
    return Contender(f"{engine} {precision}", extraction, loaded)


def start_peers(python: str, folder: Path) -> subprocess.Popen[str]:
    """Return the process of benchmarks/extraction_peers.py, over the same images as loose files."""
    with zipfile.ZipFile(folder / "data/toy/raw/images.zip") as archive:
        archive.extractall(folder / "loose")
    script = Path(__file__).with_name("extraction_peers.py")
    command = [python, str(script), str(folder / "loose"), str(NETWORKS["efficientnet_lite0"].file())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(peers: subprocess.Popen[str]) -> dict[str, float]:
    """Return images per second of one round of the peers, by name."""
    peers.stdin.write("round\n")
    peers.stdin.flush()
    while not (line := peers.stdout.readline()).startswith("{"):
        pass
    return json.loads(line)


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


def whole(one: Contender, folder: Path) -> None:
    """Measure from the archive to the row cache."""
    table, run, busy = images(folder), one.engine.run, []

    def timed(pixels: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        features = run(pixels)
        busy.append(time.perf_counter() - started)
        return features

    one.engine.run = timed
    with tempfile.TemporaryDirectory() as cache, Reader(folder / "data/toy/raw") as reader:
        rows = RowCache(Path(cache), Path(cache))
        started = time.perf_counter()
        for keys, features in one.extraction.run(one.engine, table, reader):
            rows.put(keys, features)
        seconds = time.perf_counter() - started
    one.engine.run = run
    if seconds / len(table) < one.whole_s:
        one.whole_s, one.waiting = seconds / len(table), 1 - sum(busy) / seconds


def images(folder: Path) -> list[Image]:
    """Return the images of the made-up competition, one row each."""
    table = IMAGES.read(folder / "data/toy/images.parquet")
    ids = zip(table["image_id"], table["source"], strict=True)
    return [Image(i, source, (Row(i.encode().ljust(32), "identity", "{}"),)) for i, source in ids]


if __name__ == "__main__":
    main()
