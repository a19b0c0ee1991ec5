"""A fitted ensemble on new pictures: bytes in, predictions out, while the next pictures are decoded.

`podium predict` runs it, and an exported model carries a copy: it imports NumPy, OpenCV and what is copied beside it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from podium.contracts.averages import as_kept, mean_by_row, mean_over_models, mean_view, predict_views
from podium.contracts.blends import EnsembleModel
from podium.contracts.metadata import MetadataColumn
from podium.contracts.models import Fitted
from podium.contracts.steps import BLOCK, predict
from podium.imaging.pixels import UnreadableImageError, apply, decode, resize

IMAGES_AT_ONCE = 32  # pictures between two runs of the networks
ROWS_AT_ONCE = BLOCK  # rows between two runs of the heads, which compute in blocks of as many
_FEW = 32  # rows of a block where a person waits: of 256, almost all would be padding

Run = Callable[[np.ndarray], np.ndarray]  # (batch, px, px, 3) uint8 RGB -> (batch, d) float32


@dataclass(frozen=True)
class Picture:
    """An image by name; `load` returns its pixels `(h, w, 3)`, or raises UnreadableImageError.

    `reduced`, where there is a file to decode, returns them as `decode` does with this `least_px`.
    """

    name: str
    load: Callable[[], np.ndarray]
    reduced: Callable[[int], np.ndarray] | None = None

    def pixels(self, least_px: int | None) -> np.ndarray:
        """Return the pixels that a network with this `least_px` takes."""
        return self.load() if least_px is None or self.reduced is None else self.reduced(least_px)


@dataclass(frozen=True)
class Row:
    """What gets one prediction: usually one picture; `cells` is its metadata, as text, by column."""

    row_id: str
    pictures: tuple[Picture, ...]
    cells: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A backbone, or a network trained here, which runs once a fold.

    `px`, `mode` and `interpolation` make an image the square that it takes; `least_px` is that of reduced decoding.
    """

    px: int
    mode: str
    interpolation: str
    batch: int
    runs: tuple[Run, ...]
    least_px: int | None = None

    def shape(self, native: object) -> tuple[int, int]:  # noqa: ARG002  # it says itself
        """Return height and width of what it takes."""
        return self.px, self.px


@dataclass(frozen=True)
class Member:
    """A head's models on the features of `networks`, side by side; or the heads of one trained network, by fold.

    The columns of `metadata` stand behind the features.
    """

    networks: tuple[str, ...]
    models: tuple[Fitted, ...]
    merges_views: bool = False
    is_network: bool = False
    metadata: tuple[MetadataColumn, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Predictions `p (n, k)` float32 of rows, and what could not be read meanwhile: (picture, reason)."""

    row_ids: list[str]
    p: np.ndarray
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class Predictor:
    """Networks and members by name; `views` are operations with their parameters; `model` combines the members."""

    networks: Mapping[str, Network]
    members: Mapping[str, Member]
    model: EnsembleModel
    views: tuple[tuple[str, Mapping[str, Any]], ...]
    workers: int = 2

    def run(self, rows: Iterable[Row], watch: Callable[[int], object] = lambda _n: None) -> Iterator[Answers]:
        """Yield the predictions of a few hundred rows at a time, in their order; those with no readable picture lack.

        `watch` gets the number of pictures that each step was given.
        """
        waiting, unreadable = _Features.empty(self), list[tuple[str, str]]()
        for loaded in self._chunks(rows):
            unreadable += [fault for one in loaded for fault in one.unreadable]
            readable = [one for one in loaded if one.n_read]
            if readable:
                waiting.add(self, readable)
            watch(sum(len(one.row.pictures) for one in loaded))
            if len(waiting.rows) >= ROWS_AT_ONCE:
                yield self._answers(waiting, unreadable)
                waiting, unreadable = _Features.empty(self), []
        if waiting.rows or unreadable:
            yield self._answers(waiting, unreadable)

    def _answers(self, features: "_Features", unreadable: list[tuple[str, str]], block: int = BLOCK) -> Answers:
        if not features.rows:
            return Answers([], np.zeros((0, 1), np.float32), unreadable)
        members = [features.predict(self.members[name], block) for name in self.model.names]
        return Answers([row.row_id for row in features.rows], self.model.combine(Arrays, members), unreadable)

    def _chunks(self, rows: Iterable[Row]) -> Iterator[list["Loaded"]]:
        """Yield rows of a few dozen pictures, decoded and resized by threads one chunk ahead."""
        ahead: deque[Future[Loaded]] = deque()
        remaining, chunk, n_images = iter(rows), list[Loaded](), 0
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                ahead.extend(pool.submit(self.load, row) for row in islice(remaining, IMAGES_AT_ONCE))
                while ahead:
                    chunk.append(ahead.popleft().result())
                    n_images += len(chunk[-1].row.pictures)
                    ahead.extend(pool.submit(self.load, row) for row in islice(remaining, 1))
                    if n_images >= IMAGES_AT_ONCE:
                        yield chunk
                        chunk, n_images = [], 0
            finally:
                pool.shutdown(cancel_futures=True)
        if chunk:
            yield chunk

    def answer(self, loaded: Sequence["Loaded"]) -> Answers:
        """Return the predictions of a few rows that are decoded already, in their order; as `run` does, but sooner."""
        features, unreadable = _Features.empty(self), [fault for one in loaded for fault in one.unreadable]
        if readable := [one for one in loaded if one.n_read]:
            features.add(self, readable)
        return self._answers(features, unreadable, _FEW)

    def load(self, row: Row) -> "Loaded":
        """Return a row decoded: what each network takes of its pictures' views."""
        squares: dict[str, list[np.ndarray]] = {name: [] for name in self.networks}
        unreadable, sizes = [], {network.least_px for network in self.networks.values()}
        for picture in row.pictures:
            try:
                pixels = {least_px: picture.pixels(least_px) for least_px in sizes}
            except UnreadableImageError as error:
                unreadable.append((picture.name, str(error)))
                continue
            for operation, parameters in self.views:
                views = {least_px: apply(one, operation, parameters) for least_px, one in pixels.items()}
                for name, network in self.networks.items():
                    squares[name].append(resize(views[network.least_px], network, network.px))
        return Loaded(row, squares, len(row.pictures) - len(unreadable), unreadable)


@dataclass(frozen=True)
class Loaded:
    """A row's squares by network, each picture's views one after the other; `n_read` pictures could be read."""

    row: Row
    squares: dict[str, list[np.ndarray]]
    n_read: int
    unreadable: list[tuple[str, str]]


@dataclass(frozen=True)
class _Features:
    """Features of the rows that wait for the heads: `parts[name]` has, for each run, parts `(n_images, v, d)`."""

    rows: list[Row]
    counts: list[int]  # of the pictures of each row
    parts: dict[str, list[list[np.ndarray]]]

    @classmethod
    def empty(cls, predictor: Predictor) -> "_Features":
        parts: dict[str, list[list[np.ndarray]]] = {
            name: [[] for _ in network.runs] for name, network in predictor.networks.items()
        }
        return cls([], [], parts)

    def add(self, predictor: Predictor, loaded: Sequence[Loaded]) -> None:
        """Run every network over the pictures of some rows."""
        self.rows.extend(one.row for one in loaded)
        self.counts.extend(one.n_read for one in loaded)
        n_images = sum(one.n_read for one in loaded)
        for name, network in predictor.networks.items():
            squares = np.stack([square for one in loaded for square in one.squares[name]])
            squares = squares.reshape(n_images, len(predictor.views), *squares.shape[1:])
            for run, parts in zip(network.runs, self.parts[name], strict=True):
                parts.append(features(run, squares, network.batch))

    def predict(self, member: Member, block: int) -> np.ndarray:
        """Return a member's predictions `(n_rows, k)` float32: the mean over its models; rows go in blocks."""
        counts = np.array(self.counts)
        first = np.cumsum(counts) - counts
        one = self._of_network if member.is_network else self._of_head
        by_model = [(slice(None), one(member, model, n, first, counts, block)) for n, model in enumerate(member.models)]
        return mean_over_models(len(counts), by_model)[0].astype(np.float32)

    def _of_head(
        self, member: Member, model: Fitted, n: int, first: np.ndarray, counts: np.ndarray, block: int
    ) -> np.ndarray:
        """Return the mean over views; a head takes a backbone's features, or those by the network of its own fold."""
        chosen = [self.parts[name][n if len(self.parts[name]) > 1 else 0] for name in member.networks]
        parts = [mean_by_row(np.concatenate(one), first, counts) for one in chosen]
        if member.metadata:
            n_views = parts[0].shape[1] if parts else 1
            cells = [column.numbers(row.cells.get(column.name) for row in self.rows) for column in member.metadata]
            parts.append(np.repeat(np.stack(cells, axis=1)[:, None], n_views, axis=1))
        x = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        return predict_views(model, mean_view(x) if member.merges_views else x, block)

    def _of_network(
        self, member: Member, model: Fitted, n: int, first: np.ndarray, counts: np.ndarray, block: int
    ) -> np.ndarray:
        """Return the mean over a row's pictures and views."""
        x = np.concatenate(self.parts[member.networks[0]][n])
        n_views = x.shape[1]
        p = predict(model, x.reshape(-1, x.shape[2]), block).astype(np.float64)
        return mean_by_row(p, first * n_views, counts * n_views)


class Arrays:
    """What combining members asks of a task, where predictions are arrays `(n, k)` float32."""

    @staticmethod
    def blended(blend: Fitted, members: Sequence[np.ndarray]) -> np.ndarray:
        """Return the members' blend."""
        return blend.predict(np.stack(members))

    @staticmethod
    def adjusted(p: np.ndarray, adjustment: Fitted | None) -> np.ndarray:
        """Return predictions after `adjustment`."""
        return p if adjustment is None else adjustment.predict(p)

    @staticmethod
    def finished(p: np.ndarray, clip: tuple[float, float] | None) -> np.ndarray:
        """Return predictions as they go out."""
        return p if clip is None else p.clip(*clip)


def features(run: Run, squares: np.ndarray, batch: int) -> np.ndarray:
    """Return `(n, v, d)` float32 as the cache of rows keeps them, of squares `(n, v, px, px, 3)` uint8.

    A network always runs on batches of one shape, so that a picture's numbers are independent of the others.
    """
    n, n_views = squares.shape[:2]
    flat, parts = squares.reshape(n * n_views, *squares.shape[2:]), []
    for start in range(0, len(flat), batch):
        some = flat[start : start + batch]
        padded = np.zeros((batch, *some.shape[1:]), np.uint8)
        padded[: len(some)] = some
        parts.append(as_kept(run(padded)[: len(some)]))
    return np.concatenate(parts).reshape(n, n_views, -1)


def trimmed(model: EnsembleModel) -> EnsembleModel:
    """Return an ensemble without the members whose weight is 0; it predicts the same."""
    weights = model.blend.weights
    if weights is None or weights.all() or not hasattr(model.blend, "low"):
        return model
    used = np.flatnonzero(weights)
    blend = replace(model.blend, weights=weights[used], path=())  # type: ignore[type-var]  # a dataclass
    return replace(model, names=tuple(model.names[k] for k in used), blend=blend)


def of_bytes(name: str, read: Callable[[], bytes]) -> Picture:
    """Return the picture of an image file's bytes."""
    return Picture(name, lambda: decode(read()), lambda least_px: decode(read(), least_px=least_px))
