"""A backbone's choices settled for this machine, named by a fingerprint, and run over images as they are decoded."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from podium import plugins
from podium.backbones import NETWORKS, Network
from podium.config import Backbone
from podium.contracts.features import SCHEMA
from podium.engines import Engine
from podium.errors import PodiumError
from podium.images import Reader, UnreadableImageError, resize
from podium.views import apply

PIXELS = 2  # counts the changes of images.py and views.py that changed any pixel; a test tells when to raise it


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
        return self.backbone.resize.px or self.network.native_px

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
        resize_ = self.backbone.resize
        return {
            "schema": SCHEMA,
            "decoder": f"opencv {version('opencv-python-headless')}, pixels {PIXELS}",
            "resize": f"{self.px} px, {resize_.mode}, {resize_.interpolation}",
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
        return hashlib.sha256(json.dumps(self.description, sort_keys=True).encode()).hexdigest()[:32]

    def start(self, exported: Path) -> Engine:
        """Return the engine with the network loaded; `exported` is a folder for the exported model."""
        return self.engine(
            lambda: self.network.build(self.px, self.pooling, self.backbone.layers),
            batch=self.backbone.batch,
            px=self.px,
            precision=self.precision,
            exported=exported,
        )

    def run(self, engine: Engine, images: Iterable[Image], reader: Reader) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """Yield keys and features `(n, d)` float32 of one batch after the other; images are decoded meanwhile.

        Raises PodiumError for an image that cannot be read any more, and for features that are not finite.
        """
        batch = self.backbone.batch
        pixels = np.zeros((batch, self.px, self.px, 3), np.uint8)
        views = self._views(images, reader)
        while some := list(islice(views, batch)):
            for n, (_, view) in enumerate(some):
                pixels[n] = view
            features = engine.run(pixels)[: len(some)]
            if not np.isfinite(features).all():
                raise PodiumError(
                    f"{self.backbone.network}: features are not finite in {self.precision};"
                    " choose another `precision` for this backbone"
                )
            yield [key for key, _ in some], features

    def _views(self, images: Iterable[Image], reader: Reader) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield key and pixels `(px, px, 3)` of each row, in order, decoded ahead by threads."""

        def prepare(image: Image) -> list[tuple[bytes, np.ndarray]]:
            try:
                pixels = reader.read(image.source)
            except UnreadableImageError as error:
                raise PodiumError(f"{image.source!r}: image {image.image_id!r} cannot be read: {error}") from None
            how, native = self.backbone.resize, self.network.native_px
            views = ((row.key, apply(pixels, row.operation, json.loads(row.parameters))) for row in image.rows)
            return [(key, resize(view, how, native)) for key, view in views]

        ahead: deque[Future[list[tuple[bytes, np.ndarray]]]] = deque()
        remaining = iter(images)
        with ThreadPoolExecutor(workers()) as pool:
            try:
                for image in islice(remaining, 2 * self.backbone.batch):
                    ahead.append(pool.submit(prepare, image))
                while ahead:
                    views = ahead.popleft().result()
                    ahead.extend(pool.submit(prepare, image) for image in islice(remaining, 1))
                    yield from views
            finally:
                pool.shutdown(cancel_futures=True)


def settle(backbone: Backbone, where: str) -> Extraction:
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


def workers() -> int:
    """Return the number of decoding threads: PODIUM_WORKERS, else one per core. It changes the speed only."""
    named = os.environ.get("PODIUM_WORKERS")
    if named is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not named.isdecimal() or int(named) == 0:
        raise PodiumError(f"PODIUM_WORKERS: must be a number of threads, not {named!r}")
    return int(named)
