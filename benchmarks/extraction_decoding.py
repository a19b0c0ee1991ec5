"""What decoding costs beside the engines, and what the kept pixels of large images give back.

    python benchmarks/extraction_decoding.py [--images 64] [--quality 95] [--only-decoding]

For each kind of image: milliseconds of one core to decode one and to resize a view of it; then milliseconds per image
to extract three backbones of different sizes one after the other, two views each: decoding for each of them, and
decoding once. Here, and only here, small images are kept too: the table shows from where on it pays. Of
large JPEGs also the images a second that one core makes into two squares of 224 px, whole and with `decode: reduced`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from podium import paths
from podium.engines import Engine
from podium.features import extraction
from podium.features.backbone import Backbone
from podium.features.extraction import Extraction, Image, Kept, Row, pixel_caches, resolve_auto
from podium.imaging.images import Reader, Resize, resize
from podium.imaging.views import apply

BACKBONES = [Backbone(network=f"efficientnet_lite{n}") for n in range(3)]
VIEWS = (("flip", '{"direction": "horizontal"}'), ("identity", "{}"))
WHOLE, REDUCED = Resize(), Resize(decode="reduced")
LARGE_JPEG = 1_000_000  # pixels
KINDS = {  # width, height, suffix; without a suffix: rows of a sheet
    "sheet, 32 px": (32, 32, ""),
    "PNG, 300 px, gray": (300, 300, ".png"),
    "JPEG, 500 x 375": (500, 375, ".jpg"),
    "JPEG, 1024 x 1024": (1024, 1024, ".jpg"),
    "JPEG, 4000 x 3000": (4000, 3000, ".jpg"),
}


def main() -> None:
    """Print one line per kind of image."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--quality", type=int, default=95)
    parser.add_argument("--only-decoding", action="store_true")
    options = parser.parse_args()
    extraction.LARGE = 0
    engines = []
    for backbone in [] if options.only_decoding else BACKBONES:
        resolved = resolve_auto(backbone, "benchmark")
        engines.append((resolved, resolved.start(paths.cache() / "models" / resolved.fingerprint)))
    for kind, form in KINDS.items():
        with tempfile.TemporaryDirectory() as name, Reader(Path(name)) as reader:
            images = make(Path(name), options.images, options.quality, *form)
            apart = [extract(*pair, images, reader, {}) for pair in engines]
            kept = pixel_caches(BACKBONES, Path(name) / "pixels")
            once = [extract(*pair, images, reader, kept) for pair in engines]
            parts = [] if options.only_decoding else [told("decoded for each", apart), told("once", once)]
            print(f"{kind:17}", costs(reader, images[0].source), *parts)


def costs(reader: Reader, source: str) -> str:
    """Return what decoding and resizing take."""
    pixels = reader.read(source)
    decode_ms, resize_ms = best_ms(lambda: reader.read(source)), best_ms(lambda: resize(pixels, Resize(), 224))
    text = f"decode {decode_ms:.2f} ms, resize {resize_ms:.2f} ms;"
    if pixels[..., 0].size < LARGE_JPEG or not source.endswith(".jpg"):
        return text
    whole, reduced = (1e3 / best_ms(lambda how=how: squares(reader, source, how)) for how in (WHOLE, REDUCED))
    return f"{text} {whole:.1f} images/s whole, {reduced:.1f} reduced: {reduced / whole:.1f} times as many;"


def squares(reader: Reader, source: str, how: Resize) -> None:
    """Make what extraction makes of an image."""
    pixels = reader.read(source, how.least_px(224))
    for operation, parameters in VIEWS:
        resize(apply(pixels, operation, json.loads(parameters)), how, 224)


def told(how: str, parts: list[float]) -> str:
    """Return the milliseconds of all backbones, and of each."""
    return f"{how} {sum(parts):.1f} ms ({' + '.join(f'{part:.1f}' for part in parts)});"


def make(folder: Path, n_images: int, quality: int, width: int, height: int, suffix: str) -> list[Image]:
    """Write images with detail at every scale, like a photograph's, and return them with two views each."""
    rng = np.random.default_rng(0)
    total = np.full((height, width, 3), 120.0, np.float32)
    for step in (2, 4, 8, 32, 128):
        noise = rng.normal(0, 12 * step**0.35, (height // step + 1, width // step + 1, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(total, 0, 255).astype(np.uint8)
    if suffix:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
        content = cv2.imencode(suffix, pixels if suffix == ".jpg" else pixels[..., 0], options)[1].tobytes()
        for n in range(n_images):
            (folder / f"{n}{suffix}").write_bytes(content)
    else:
        cv2.imwrite(str(folder / "sheet.png"), np.tile(pixels.reshape(1, -1, 3), (n_images, 1, 1)))
    sources = [f"{n}{suffix}" if suffix else f"sheet.png#{n}" for n in range(n_images)]
    return [Image(name, name, tuple(Row(f"{name} {view[0]}".encode(), *view) for view in VIEWS)) for name in sources]


def extract(resolved: Extraction, engine: Engine, images: list[Image], reader: Reader, kept: Kept) -> float:
    """Return the milliseconds per image of one backbone."""
    started = time.perf_counter()
    for _ in resolved.run(engine, images, reader, kept):
        pass
    return (time.perf_counter() - started) / len(images) * 1e3


def best_ms(call: Callable[[], object]) -> float:
    """Return the fewest milliseconds of one core that a call took."""
    seconds = []
    for _ in range(20):
        started = time.thread_time()
        call()
        seconds.append(time.thread_time() - started)
    return min(seconds) * 1e3


if __name__ == "__main__":
    main()
