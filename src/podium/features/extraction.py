"""A backbone's choices settled for this machine, named by a fingerprint, and run over images as they are decoded."""

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from podium import plugins
from podium.backbones import NETWORKS, Network
from podium.contracts.features import SCHEMA
from podium.engines import Engine
from podium.errors import PodiumError
from podium.features.backbone import Backbone
from podium.imaging.images import Reader, Resize, UnreadableImageError, resize
from podium.imaging.views import apply
from podium.storage.pixelcache import PixelCache

PIXELS = 2  # counts the changes of images.py and views.py that changed any pixel; a test tells when to raise it
LARGE = 1_000_000  # an image of so many pixels is decoded once for all sizes: docs/extraction.md has the figures

Kept = Mapping[Resize, PixelCache]
_Square = tuple[bytes, np.ndarray]  # a row's key, and the (px, px, 3) uint8 RGB that the network gets for it


@dataclass(frozen=True)
class Row:
    """One row to compute: a view of an image, under its key in the row cache."""

    key: bytes
    operation: str
    parameters: str  # JSON


@dataclass(frozen=True)
class Image:
    """An image to decode once, and the rows that it gives."""

    image_id: str
    source: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Extraction:
    """A backbone of params.yaml with engine and precision settled: nothing is `auto` any more."""

    backbone: Backbone
    engine_name: str
    engine: type[Engine]
    precision: str

    @property
    def network(self) -> Network:
        """Return the row of the table of networks."""
        return NETWORKS[self.backbone.network]

    @property
    def px(self) -> int:
        """Return the side of the images that the network gets."""
        return side(self.backbone)

    @property
    def pooling(self) -> str:
        """Return how a map becomes a vector."""
        return self.backbone.pooling or self.network.poolings[0]

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the maps that are pooled, in the order of their vectors in a row."""
        return self.backbone.layers or self.network.layers[-1:]

    @property
    def description(self) -> dict[str, str | int]:
        """Return all that changes a row's numbers, but the image and its view; attributes of the features file."""
        return {
            "schema": SCHEMA,
            "decoder": decoder(),
            "resize": self.backbone.resize.description(self.px),
            "network": self.backbone.network,
            "weights": self.network.weights,
            "preprocessing": self.network.preprocessing,
            "pooling": self.pooling,
            "layers": ", ".join(self.layers),
            "engine": f"{self.engine_name}: {self.engine.version()}",
            "precision": self.precision,
            "batch": self.backbone.batch,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Return a name for `description`: 32 hexadecimal digits."""
        return named(self.description)

    def start(self, exported: Path) -> Engine:
        """Return the engine with the network loaded; `exported` is a folder for the exported model."""
        return self.engine(
            lambda: self.network.build(self.px, self.pooling, self.backbone.layers),
            batch=self.backbone.batch,
            px=self.px,
            precision=self.precision,
            exported=exported,
        )

    def run(
        self, engine: Engine, images: Iterable[Image], reader: Reader, kept: Kept | None = None
    ) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """Yield keys and features `(n, d)` float32 of one batch after the other; images are decoded meanwhile.

        A large image that was decoded before, for whichever backbone, is taken from `kept` (see `pixel_caches`).
        Raises PodiumError for an image that cannot be read any more, and for features that are not finite.
        """
        batch = self.backbone.batch
        pixels = np.zeros((batch, self.px, self.px, 3), np.uint8)
        squares = self._ahead(images, reader, kept or {})
        while some := list(islice(squares, batch)):
            for n, (_, square) in enumerate(some):
                pixels[n] = square
            features = engine.run(pixels)[: len(some)]
            if not np.isfinite(features).all():
                raise PodiumError(
                    f"{self.backbone.network}: features are not finite in {self.precision};"
                    " choose another `precision` for this backbone"
                )
            yield [key for key, _ in some], features

    def _ahead(self, images: Iterable[Image], reader: Reader, kept: Kept) -> Iterator[_Square]:
        """Yield the square of each row, in order, decoded by threads two batches ahead."""
        ahead: deque[Future[list[_Square]]] = deque()
        remaining = iter(images)
        with ThreadPoolExecutor(workers()) as pool:
            try:
                for image in islice(remaining, 2 * self.backbone.batch):
                    ahead.append(pool.submit(self._squares, image, reader, kept))
                while ahead:
                    squares = ahead.popleft().result()
                    ahead.extend(pool.submit(self._squares, image, reader, kept) for image in islice(remaining, 1))
                    yield from squares
            finally:
                pool.shutdown(cancel_futures=True)

    def _squares(self, image: Image, reader: Reader, kept: Kept) -> list[_Square]:
        """Return an image's squares; a large one is decoded for every size of `kept`, and no more after that."""
        own = sized(self.backbone)
        cached = [(row.key, kept[own].get(row.key)) for row in image.rows] if kept else []
        found = [(key, square) for key, square in cached if square is not None]
        if len(found) == len(image.rows):
            return found
        try:
            pixels = reader.read(image.source, own.least_px(self.px))
        except UnreadableImageError as error:
            raise PodiumError(f"{image.source!r}: image {image.image_id!r} cannot be read: {error}") from None
        sizes = kept if pixels[..., 0].size >= LARGE else {}
        if own.decode == "reduced":  # these pixels suit no other size
            sizes = {how: cache for how, cache in sizes.items() if how == own}
        found = []
        for row in image.rows:
            view = apply(pixels, row.operation, json.loads(row.parameters))
            square = resize(view, own, self.px)
            for how, cache in sizes.items():
                if row.key not in cache and how.decode == own.decode:
                    cache.put(row.key, square if how == own else resize(view, how, self.px))
            found.append((row.key, square))
        return found


def resolve_auto(backbone: Backbone, where: str) -> Extraction:
    """Choose engine and precision where params.yaml leaves them to the machine.

    Raises PodiumError naming the param (`where` is its place) that asks for what this machine or network cannot do.
    """
    network = NETWORKS[backbone.network]
    name: str = backbone.engine
    if name == "auto":
        suitable = (engine for engine in network.engines if plugins.find("engines", engine, where).suits())
        name = next(suitable, network.engines[0])
    if name not in network.engines:
        choices = ", ".join(["auto", *network.engines])
        raise PodiumError(f"{where}.engine: {backbone.network} does not run on {name}; choose one of: {choices}")
    engine: type[Engine] = plugins.find("engines", name, f"{where}.engine")
    precisions = engine.precisions()
    precision = precisions[0] if backbone.precision == "auto" else backbone.precision
    if precision not in precisions:
        choices = ", ".join(["auto", *precisions])
        raise PodiumError(f"{where}.precision: {name} cannot run {precision} on this machine; choose one of: {choices}")
    return Extraction(backbone, name, engine, precision)


def side(backbone: Backbone) -> int:
    """Return the side of the images that a backbone's network gets."""
    return backbone.resize.px or NETWORKS[backbone.network].native_px


def sized(backbone: Backbone) -> Resize:
    """Return a backbone's resize with the side that its network gets."""
    return backbone.resize.model_copy(update={"px": side(backbone)})


def pixel_caches(backbones: Iterable[Backbone], folder: Path) -> dict[Resize, PixelCache]:
    """Return a cache below `folder` for every size that backbones ask for; none where PODIUM_PIXELS is off.

    They change the speed only: a cache gives the very pixels that decoding would.
    """
    if os.environ.get("PODIUM_PIXELS") == "off":
        return {}
    code = re.sub(r"[^\w.]+", "-", decoder())
    sizes = {sized(backbone): side(backbone) for backbone in backbones}
    named = {how: re.sub(r"\W+", "-", how.description(px).replace(" px", "")) for how, px in sizes.items()}
    return {how: PixelCache(folder / f"{named[how]}-{code}", px) for how, px in sizes.items()}


def named(facts: Any) -> str:
    """Return a name for JSON values: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def decoder() -> str:
    """Return what makes pixels of an image's bytes, with its version."""
    return f"opencv {version('opencv-python-headless')}, pixels {PIXELS}"


def workers() -> int:
    """Return the number of decoding threads: PODIUM_WORKERS, else one per core. It changes the speed only."""
    named = os.environ.get("PODIUM_WORKERS")
    if named is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not named.isdecimal() or int(named) == 0:
        raise PodiumError(f"PODIUM_WORKERS: must be a number of threads, not {named!r}")
    return int(named)
