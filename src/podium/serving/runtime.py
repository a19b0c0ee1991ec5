"""A fitted ensemble on new pictures: bytes in, predictions out, while the next pictures are decoded.

`podium predict` runs it, and an exported model carries a copy: it imports NumPy, OpenCV and what is copied beside it.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from podium.contracts.averages import as_kept, mean_by_row, mean_of, mean_view, predict_new
from podium.contracts.blends import EnsembleModel
from podium.contracts.models import Fitted
from podium.contracts.steps import predict
from podium.imaging.pixels import UnreadableImageError, apply, decode, resize

IMAGES_AT_ONCE = 32  # pictures between two runs of the networks
ROWS_AT_ONCE = 256  # rows between two runs of the heads, which compute in blocks of as many

Run = Callable[[np.ndarray], np.ndarray]  # (batch, px, px, 3) uint8 RGB -> (batch, d) float32


@dataclass(frozen=True)
class Picture:
    """An image by name; `load` returns its pixels `(h, w, 3)` and a SHA-256, or raises UnreadableImageError."""

    name: str
    load: Callable[[], tuple[np.ndarray, str]]


@dataclass(frozen=True)
class Row:
    """What gets one prediction: usually one picture; `metadata` are its numbers beside the pictures'."""

    row_id: str
    pictures: tuple[Picture, ...]
    metadata: tuple[float, ...] = ()


@dataclass(frozen=True)
class Network:
    """A backbone, or a network trained here: then it runs once a fold, and `is_member` says that it predicts itself.

    `px`, `mode` and `interpolation` make an image the square that it takes.
    """

    px: int
    mode: str
    interpolation: str
    batch: int
    runs: tuple[Run, ...]
    is_member: bool = False


@dataclass(frozen=True)
class Member:
    """A head's models on the features of `networks`, side by side; or the heads of one trained network, by fold."""

    networks: tuple[str, ...]
    models: tuple[Fitted, ...]
    merges_views: bool = False
    metadata: bool = False
    is_network: bool = False


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
            readable = [one for one in loaded if one.digests]
            if readable:
                waiting.add(self, readable)
            watch(sum(len(one.digests) + len(one.unreadable) for one in loaded))
            if len(waiting.rows) >= ROWS_AT_ONCE:
                yield self._answers(waiting, unreadable)
                waiting, unreadable = _Features.empty(self), []
        if waiting.rows or unreadable:
            yield self._answers(waiting, unreadable)

    def _answers(self, features: "_Features", unreadable: list[tuple[str, str]]) -> Answers:
        if not features.rows:
            return Answers([], np.zeros((0, 1), np.float32), unreadable)
        members = [features.predict(self.members[name]) for name in self.model.names]
        return Answers([row.row_id for row in features.rows], self.model.combine(Arrays, members), unreadable)

    def _chunks(self, rows: Iterable[Row]) -> Iterator[list["_Loaded"]]:
        """Yield rows of a few dozen pictures, decoded and resized by threads one chunk ahead."""
        ahead: deque[Future[_Loaded]] = deque()
        remaining, chunk, n_images = iter(rows), list[_Loaded](), 0
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                ahead.extend(pool.submit(self._load, row) for row in islice(remaining, IMAGES_AT_ONCE))
                while ahead:
                    chunk.append(ahead.popleft().result())
                    n_images += len(chunk[-1].row.pictures)
                    ahead.extend(pool.submit(self._load, row) for row in islice(remaining, 1))
                    if n_images >= IMAGES_AT_ONCE:
                        yield chunk
                        chunk, n_images = [], 0
            finally:
                pool.shutdown(cancel_futures=True)
        if chunk:
            yield chunk

    def _load(self, row: Row) -> "_Loaded":
        loaded = _Loaded(row, {name: [] for name in self.networks})
        for picture in row.pictures:
            try:
                pixels, digest = picture.load()
            except UnreadableImageError as error:
                loaded.unreadable.append((picture.name, str(error)))
                continue
            loaded.digests.append(digest)
            for operation, parameters in self.views:
                view = apply(pixels, operation, parameters)
                for name, network in self.networks.items():
                    loaded.squares[name].append(resize(view, network, network.px))
        return loaded


@dataclass(frozen=True)
class _Loaded:
    """A row's squares by network, each picture's views one after the other; digests of the pictures that are read."""

    row: Row
    squares: dict[str, list[np.ndarray]]
    digests: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Features:
    """Features of the rows that wait for the heads: `own[name]` and `by_fold[name]` are parts `(n_images, v, d)`.

    `own` is what heads take: of a trained network, those of the fold that the picture's digest chooses.
    """

    rows: list[Row]
    counts: list[int]  # of the pictures of each row
    own: dict[str, list[np.ndarray]]
    by_fold: dict[str, list[list[np.ndarray]]]

    @classmethod
    def empty(cls, predictor: Predictor) -> "_Features":
        by_fold: dict[str, list[list[np.ndarray]]] = {
            name: [[] for _ in network.runs] for name, network in predictor.networks.items()
        }
        return cls([], [], {name: [] for name in predictor.networks}, by_fold)

    def add(self, predictor: Predictor, loaded: Sequence[_Loaded]) -> None:
        """Run every network over the pictures of some rows."""
        self.rows.extend(one.row for one in loaded)
        self.counts.extend(len(one.digests) for one in loaded)
        digests = [digest for one in loaded for digest in one.digests]
        for name, network in predictor.networks.items():
            squares = np.stack([square for one in loaded for square in one.squares[name]])
            squares = squares.reshape(len(digests), len(predictor.views), *squares.shape[1:])
            owner = np.array([int(digest[:8], 16) % len(network.runs) for digest in digests])
            if network.is_member:
                found = [features(run, squares, network.batch) for run in network.runs]
                for parts, part in zip(self.by_fold[name], found, strict=True):
                    parts.append(part)
                own = np.stack(found)[owner, np.arange(len(digests))]
            elif len(network.runs) == 1:
                own = features(network.runs[0], squares, network.batch)
            else:
                pieces = [(np.flatnonzero(owner == n), run) for n, run in enumerate(network.runs) if (owner == n).any()]
                parts = [features(run, squares[place], network.batch) for place, run in pieces]
                own = np.concatenate(parts)[np.argsort(np.concatenate([place for place, _ in pieces]))]
            self.own[name].append(own)

    def predict(self, member: Member) -> np.ndarray:
        """Return a member's predictions `(n_rows, k)` float32."""
        counts = np.array(self.counts)
        first = np.cumsum(counts) - counts
        if member.is_network:
            return self._of_network(member, first, counts)
        parts = [mean_by_row(np.concatenate(self.own[name]), first, counts) for name in member.networks]
        if member.metadata:
            numbers = np.array([row.metadata for row in self.rows], np.float32)
            parts.append(np.repeat(numbers[:, None], parts[0].shape[1], axis=1))
        x = np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
        return predict_new(member.models, mean_view(x) if member.merges_views else x)

    def _of_network(self, member: Member, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the mean over a row's pictures and views, then over the folds' networks."""
        by_fold: list[np.ndarray] = []
        for model, parts in zip(member.models, self.by_fold[member.networks[0]], strict=True):
            x = np.concatenate(parts)
            n_views = x.shape[1]
            p = predict(model, x.reshape(-1, x.shape[2])).astype(np.float64)
            by_fold.append(mean_by_row(p, first * n_views, counts * n_views))
        return mean_of(by_fold).astype(np.float32)


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

    def load() -> tuple[np.ndarray, str]:
        data = read()
        return decode(data), hashlib.sha256(data).hexdigest()

    return Picture(name, load)
