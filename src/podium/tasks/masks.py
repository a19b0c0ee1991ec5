"""Which pixels of an image belong to a class: one mask for each class."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from zlib import crc32

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from podium import tasks
from podium.contracts import imports, rle
from podium.contracts.dataset import Dataset
from podium.contracts.masks import HALF, SURE, Cut, Masks, filled, resized
from podium.contracts.models import Fitted
from podium.contracts.submission import CellSpec, Runs
from podium.contracts.table import Column, Table
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.metrics import Metric
from podium.settings import Settings
from podium.storage import csv_table
from podium.tasks import Encoded, LossFn, mask_files
from podium.tasks.mask_files import MaskImage, MaskTable

MASKS = Table(
    "masks",
    (
        Column("row_id", "text"),
        Column("label", "text"),
        Column("height", "int", low=1),
        Column("width", "int", low=1),
        Column("runs", "text"),  # down the columns, from pixel 1
    ),
    key=("row_id", "label"),
)
SAMPLED = 2048  # pixels of an image and class that ensembles are fitted on
_THRESHOLDS = np.arange(8, 256, 8)  # that ensembles are compared at
_QUANTILES = np.linspace(0, 1, 11)  # of images' areas, that least areas are tried at
_BIN = 5  # training rows of a stratum, at least
_MOST_BINS = 5
_FILE, _SOLUTION = "masks.parquet", "solution.csv"


class RunLength(Settings):
    """How masks are written as runs."""

    order: rle.Order = "columns"
    """Pixels are counted down the columns, or along the rows."""
    first: Literal[0, 1] = 1
    """The number of the first pixel."""


@dataclass(frozen=True)
class Truth:
    """The masks of `n` images: `shape (n, 2)` and `runs (n, c)` text, down the columns; indexed by positions."""

    shape: np.ndarray
    runs: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.shape)

    def __getitem__(self, rows: np.ndarray) -> "Truth":
        """Return those of the images at these positions, or of a mask."""
        return Truth(self.shape[rows], self.runs[rows])

    def masks(self, row: int) -> np.ndarray:
        """Return `(c, h, w)` bool of one image."""
        height, width = self.shape[row].tolist()
        return np.stack([rle.decode(runs, (height, width)) for runs in self.runs[row]])

    @property
    def area(self) -> np.ndarray:
        """Return `(n, c)` pixels."""
        return np.array([[rle.area(runs) for runs in row] for row in self.runs], np.int64).reshape(self.runs.shape)


@dataclass(frozen=True)
class Overlaps:
    """What is left of masks that are compared: `(n, c, 2)` pixels predicted, and those of them that are right."""

    counts: np.ndarray

    def take(self, rows: np.ndarray) -> "Overlaps":
        """Return those of the images at these positions."""
        return Overlaps(self.counts[rows])


class Task(tasks.Task):
    """Masks from images or tables of run-length codes; classes overlap unless they are `exclusive`."""

    kind: ClassVar[str] = "masks"
    predictions: ClassVar[type[Masks]] = Masks
    sample_cell: ClassVar[Any] = ""

    labels: tuple[str, ...] = Field(min_length=1)
    """The classes, in the order of a network's outputs; none of them is the background."""
    exclusive: bool = False
    """Whether a pixel has one class at most."""
    image: MaskImage | None = None
    """Where masks are images: which ones, and what their pixels mean."""
    table: MaskTable | None = None
    """Where masks are run-length codes: in which table."""
    absent: Literal["error", "empty"] = "error"
    """What an image without a mask is: a mistake, or one in which there is nothing."""
    test: bool = False
    """Whether test rows have masks too, which then are held out."""
    runs: RunLength = RunLength()
    """How run-length codes are read and written."""
    line: str | None = None
    """The id of a submission's line where each row has one for each class, such as `{row}_{label}`; null: one a row."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.image is None) == (self.table is None):
            raise ValueError("give `image` or `table`: where the masks are")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"`labels`: {preview(self.labels)}: each class once")
        if self.image is not None:
            self.image.check(self.labels)
        if self.line is not None and not ("{row}" in self.line and "{label}" in self.line):
            raise ValueError(f"`line`: {self.line!r} must hold {{row}} and {{label}}")
        if self.table is not None and self.table.label is None and len(self.labels) > 1:
            raise ValueError("`table.label`: with several `labels` it must name the column that holds the class")
        return self

    # Targets

    def read_files(self, rows: pd.DataFrame, images: pd.DataFrame, raw: Path, where: str) -> pd.DataFrame:
        """See Task; adds `mask_shape` and `mask_0`, `mask_1`, ...: runs down the columns, missing where unknown."""
        return mask_files.with_masks(self, rows, images, raw, where)

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """See Task; `y` tells empty masks, and larger from smaller ones by the class that has most pixels."""
        if "mask_shape" not in rows.columns:
            raise PodiumError(f"{where}: task: masks need a layout whose rows have images")
        columns = [f"mask_{place}" for place in range(len(self.labels))]
        is_known = rows[columns].notna().all(axis=1)
        known = rows[is_known]
        truth = Truth(_shapes(known["mask_shape"]), known[columns].to_numpy(object))
        if self.exclusive:
            _require_exclusive(truth, known["row_id"], self.labels, where)
        y = pd.Series(np.nan, rows.index)
        y[is_known] = _strata(truth, (known["split"] != "test").to_numpy())
        table = _long(known["row_id"], truth, self.labels)
        return Encoded(pd.DataFrame({"y": y}), list(self.labels), partial(_write, table))

    def truth(self, data: Dataset, row_ids: Iterable[str]) -> Truth:
        """See Task."""
        path = data.targets / _FILE
        return _wide(MASKS.read(path), list(row_ids), self.labels, str(path))

    def write_solution(self, encoded: Encoded, rows: pd.DataFrame, folder: Path) -> None:
        """See Task."""
        assert encoded.files is not None
        encoded.files(rows.loc[rows["y"].notna(), "row_id"] if self.test else [], folder)
        csv_table.write(MASKS.read(folder / _FILE), folder / _SOLUTION)
        (folder / _FILE).unlink()

    def read_solution(self, folder: Path) -> tuple[list[str], Truth]:
        """See Task."""
        path = folder / _SOLUTION
        if not path.exists():
            raise PodiumError(f"{path}: there is no such file; run `dvc repro`")
        solution = csv_table.read(path.read_bytes(), str(path))
        solution["runs"] = solution["runs"].fillna("")
        ids = list(solution["row_id"].unique())
        return ids, _wide(MASKS.check(solution, str(path)), ids, self.labels, str(path))

    # Scores

    def decide(self, maps: np.ndarray) -> np.ndarray:
        """Return `(c, h, w)` bool of maps of one image: those of more than one half; of exclusive ones the greatest."""
        return self._alone(maps) >= HALF

    def _alone(self, maps: np.ndarray) -> np.ndarray:
        """Return the maps; of exclusive classes, all but the greatest of each pixel are 0, the first of equals."""
        if not self.exclusive or len(maps) == 1:
            return maps
        return np.where(np.arange(len(maps))[:, None, None] == maps.argmax(axis=0), maps, 0).astype(np.uint8)

    def overlaps(self, y: Truth, p: Masks) -> Overlaps:
        """Return the pixels that are predicted, and right, at the images' own size."""
        counts = np.zeros((*y.runs.shape, 2), np.int64)
        for row in range(len(y)):
            found = self.decide(p.whole(row))
            counts[row, :, 0] = found.sum(axis=(1, 2))
            counts[row, :, 1] = (found & y.masks(row)).sum(axis=(1, 2))
        return Overlaps(counts)

    def score(self, metric: Metric, y: Truth, p: Masks | Overlaps, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return self.scorer(metric, y, p, weight)(np.arange(len(y)))

    def scorer(
        self, metric: Metric, y: Truth, p: Masks | Overlaps, weight: np.ndarray | None = None
    ) -> Callable[[np.ndarray], float]:
        """See Task; the masks are looked at once."""
        area = y.area
        counts = (p if isinstance(p, Overlaps) else self.overlaps(y, p)).counts
        return lambda rows: metric(area[rows], counts[rows], None if weight is None else weight[rows])

    def differing(self, y: Truth, other: Truth) -> np.ndarray:
        """See Task."""
        return np.asarray((y.runs != other.runs).any(axis=1) | (y.shape != other.shape).any(axis=1))

    # Combining

    def stacked(self, members: Sequence[Masks]) -> np.ndarray:
        """See Task: probabilities of `SAMPLED` pixels of each image and class, the same in every member."""
        found = np.empty((len(members), len(members[0]), len(self.labels) * SAMPLED), np.float32)
        for own, member in zip(found, members, strict=True):
            for row, at in enumerate(_sampled(member)):
                whole = self._alone(member.whole(row))
                own[row] = whole.reshape(len(self.labels), -1)[:, at].reshape(-1) / np.float32(SURE)
        return found

    def stacked_truth(self, y: Truth, members: Sequence[Masks]) -> np.ndarray:
        """See Task: the sampled pixels' truth, 0 or 1."""
        some = (y.masks(row).reshape(len(self.labels), -1)[:, at] for row, at in enumerate(_sampled(members[0])))
        return np.stack([pixels.reshape(-1) for pixels in some]).astype(np.uint8)

    def score_stacked(self, metric: Metric, y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
        """See Task: the best score of the sampled pixels at any of a few thresholds, since one is learnt later."""
        truth, p = (part.reshape(len(y), len(self.labels), SAMPLED) for part in (y.astype(bool), p))
        scores = []
        for threshold in _THRESHOLDS:
            found = p >= threshold / SURE
            counts = np.stack([found.sum(axis=2), (found & truth).sum(axis=2)], axis=2)
            scores.append(metric(truth.sum(axis=2), counts, weight))
        return max(scores) if metric.direction == "higher" else min(scores)

    def blended(self, blend: Fitted, members: Sequence[Masks]) -> Masks:
        """See Task; maps of several resolutions meet at the images' own."""
        first = members[0]
        maps = np.empty(len(first), object)
        maps[:] = [partial(_blended, blend, [(one, row) for one in members]) for row in range(len(first))]
        return Masks(first.row_id, first.split, maps, first.shape, first.labels)

    def adjustment(self, p: Masks, y: Truth, loss: LossFn) -> Cut:
        """See Task: by the official metric a threshold for each class, its least area, and whether holes are filled."""
        reached = np.zeros((*y.runs.shape, SURE + 2, 2), np.int64)  # pixels at each threshold or above
        for row in range(len(y)):
            for label, (maps, mask) in enumerate(zip(self._alone(p.whole(row)), y.masks(row), strict=True)):
                for part, pixels in enumerate((maps, maps[mask])):
                    counts = np.bincount(pixels.reshape(-1), minlength=SURE + 1)
                    reached[row, label, :-1, part] = counts[::-1].cumsum()[::-1]
        cut = learn_cut(reached, y, loss)
        return cut if self.exclusive and len(self.labels) > 1 else self._filling(cut, p, y, loss)

    def _filling(self, cut: Cut, p: Masks, y: Truth, loss: LossFn) -> Cut:
        """Return the cut that also fills the holes of those classes that gain by it."""
        plain, full = (np.zeros((*y.runs.shape, 2), np.int64) for _ in range(2))
        for row in range(len(y)):
            found = Cut(cut.thresholds, np.zeros_like(cut.least), cut.fills).predict(p.whole(row)) >= HALF
            for label, (mask, truth) in enumerate(zip(found, y.masks(row), strict=True)):
                for counts, one in ((plain, mask), (full, filled(mask))):
                    counts[row, label] = one.sum(), (one & truth).sum()

        def at(fills: np.ndarray) -> float:
            counts = np.where(fills[:, None], full, plain)
            return loss(y, Overlaps(np.where(counts[..., :1] < cut.least[:, None], 0, counts)))

        fills = cut.fills
        for label in range(len(self.labels)):
            tried = fills | (np.arange(len(fills)) == label)
            fills = tried if at(tried) < at(fills) else fills
        return replace(cut, fills=fills)

    def adjusted(self, p: Masks, adjustment: Fitted | None) -> Masks:
        """See Task."""
        return p if adjustment is None else p.changed(partial(_cut, adjustment, self._alone))

    # Submissions

    def fallback(self, data: Dataset, row_ids: Iterable[str]) -> Masks:
        """See Task: nothing, anywhere."""
        ids = np.array(list(row_ids), dtype=object)
        shape = _own_shapes(data, ids)
        arrays = [np.zeros((len(self.labels), 1, 1), np.uint8)] * len(ids)
        return Masks.of_arrays(ids, "test", arrays, self.labels, shape)

    def line_ids(self, row_ids: Iterable[str]) -> list[str]:
        """See Task; the classes of a row one after the other."""
        if self.line is None:
            return list(row_ids)
        pairs = ((row_id, label) for row_id in row_ids for label in self.labels)
        return [self.line.replace("{row}", row_id).replace("{label}", label) for row_id, label in pairs]

    def submission(self, p: Masks, data: Dataset, columns: list[str]) -> pd.DataFrame:  # noqa: ARG002
        """See Task; a column for each class, or a line."""
        self._require_columns(columns)
        runs = [
            rle.encode(mask, self.runs.order, self.runs.first)
            for row in range(len(p))
            for mask in self.decide(p.whole(row))
        ]
        ids = self.line_ids(p.row_id)
        found = pd.DataFrame(np.array(runs, object).reshape(len(ids), len(columns)), columns=columns, dtype="str")
        return pd.concat([pd.DataFrame({"row_id": ids}, dtype="str"), found], axis=1)

    def cell_specs(self, data: Dataset, columns: list[str]) -> dict[str, CellSpec]:
        """See Task."""
        self._require_columns(columns)
        ids = data.rows.loc[data.rows["split"] == "test", "row_id"].to_numpy(object)
        shapes = np.repeat(_own_shapes(data, ids), 1 if self.line is None else len(self.labels), axis=0)
        by_line = {line: tuple(one) for line, one in zip(self.line_ids(ids), shapes.tolist(), strict=True)}
        return dict.fromkeys(columns, CellSpec(runs=Runs(by_line, self.runs.first)))

    def _require_columns(self, columns: list[str]) -> None:
        if self.line is not None and len(columns) != 1:
            raise PodiumError(f"submission.columns: after the id there must be the codes alone, not {preview(columns)}")
        if self.line is None and len(columns) != len(self.labels):
            raise PodiumError(
                f"submission.columns: after the id there must be one for each of task.labels, {preview(self.labels)},"
                f" not {len(columns)} columns"
            )

    def read_submission(self, submission: pd.DataFrame, data: Dataset) -> Masks:
        """See Task."""
        ids = submission.iloc[:, 0].to_numpy(object)
        cells = submission.iloc[:, 1:].fillna("").to_numpy(object)
        if self.line is not None:  # whole rows, as `line_ids` has them
            rows = data.rows.loc[data.rows["split"] == "test", "row_id"]
            of_line = dict(zip(self.line_ids(rows), np.repeat(rows, len(self.labels)), strict=True))
            ids = np.array([of_line[line] for line in ids[:: len(self.labels)]], object)
            cells = cells.reshape(len(ids), len(self.labels))
        return self._read(ids, cells, data, "the submission")

    def read_import(self, path: Path, data: Dataset) -> tuple[Masks, np.ndarray | None]:
        """See Task; a column for each class, called like it."""
        table = imports.read(path, "row_id")
        csv_table.require(table, list(self.labels), str(path))
        ids = table["row_id"].to_numpy(object)
        found = self._read(ids, table[list(self.labels)].fillna("").to_numpy(object), data, str(path))
        return found, table["fold"].to_numpy() if "fold" in table.columns else None

    def _read(self, ids: np.ndarray, cells: np.ndarray, data: Dataset, where: str) -> Masks:
        shape, maps = _own_shapes(data, ids), np.empty(len(ids), object)
        for row, (row_id, own, texts) in enumerate(zip(ids, shape.tolist(), cells, strict=True)):
            for text in texts:
                if reason := rle.fault(text, tuple(own), self.runs.first):
                    raise PodiumError(f"{where}: row_id {row_id!r}: {reason}")
            maps[row] = partial(_decoded, tuple(texts), tuple(own), self.runs)
        return Masks(ids, np.full(len(ids), "train", object), maps, shape, tuple(self.labels))


def learn_cut(reached: np.ndarray, y: Truth, loss: LossFn) -> Cut:
    """Return thresholds and least areas of the least loss.

    `reached (n, c, 257, 2)` are the pixels of each image and class at each threshold or above, and those of them that
    are right. One threshold for all classes is found first, then each class's own with its least area, as the others
    stand.
    """
    n_labels = reached.shape[1]
    labels = np.arange(n_labels)

    def at(thresholds: np.ndarray, least: np.ndarray) -> float:
        counts = reached[:, labels, thresholds]
        return loss(y, Overlaps(np.where(counts[..., :1] < least[:, None], 0, counts)))

    least = np.zeros(n_labels, np.int64)
    tried = [HALF, *range(1, SURE + 1)]  # one half stays where none is better
    common = tried[int(np.argmin([at(np.full(n_labels, value), least) for value in tried]))]
    thresholds = np.full(n_labels, common)
    for label in labels.tolist():
        pairs = [(common, 0)]
        for threshold in (common, *_THRESHOLDS.tolist()):
            areas = np.unique(np.quantile(reached[:, label, threshold, 0], _QUANTILES).astype(np.int64) + 1)
            pairs += [(threshold, area) for area in (0, *areas.tolist())]
        pair = pairs[int(np.argmin([at(*_with(label, pair, thresholds, least)) for pair in pairs]))]
        pairs = [pair, *((threshold, pair[1]) for threshold in range(1, SURE + 1))]
        pair = pairs[int(np.argmin([at(*_with(label, pair, thresholds, least)) for pair in pairs]))]
        thresholds, least = _with(label, pair, thresholds, least)
    return Cut(thresholds.astype(np.int64), least, np.zeros(n_labels, bool))


def _with(
    label: int, pair: tuple[int, int], thresholds: np.ndarray, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    is_label = np.arange(len(thresholds)) == label
    return np.where(is_label, pair[0], thresholds), np.where(is_label, pair[1], least)


def _cut(cut: Fitted, alone: Callable[[np.ndarray], np.ndarray], maps: np.ndarray) -> np.ndarray:
    return np.asarray(cut.predict(alone(maps)))


def _blended(blend: Fitted, parts: Sequence[tuple[Masks, int]]) -> np.ndarray:
    maps = [member.maps[row]() for member, row in parts]
    if len({one.shape for one in maps}) > 1:
        shape = tuple(parts[0][0].shape[parts[0][1]].tolist())
        maps = [resized(one, shape) for one in maps]
    p = blend.predict(np.stack(maps).astype(np.float32))
    return np.asarray(np.rint(p.clip(0, SURE)).astype(np.uint8))


def _decoded(texts: Sequence[str], shape: tuple[int, int], runs: RunLength) -> np.ndarray:
    return np.stack([rle.decode(text, shape, runs.order, runs.first) for text in texts]).astype(np.uint8) * SURE


def _sampled(member: Masks) -> Iterator[np.ndarray]:
    """Yield `(SAMPLED,)` places among each image's pixels, by the row's id alone."""
    for row_id, (height, width) in zip(member.row_id, member.shape.tolist(), strict=True):
        yield np.random.default_rng(crc32(str(row_id).encode())).integers(0, height * width, SAMPLED)


def _own_shapes(data: Dataset, ids: np.ndarray) -> np.ndarray:
    """Return `(n, 2)` height and width of each row's image; 1 by 1 where none can be read."""
    images = data.images.drop_duplicates("row_id").set_index("row_id")[["height", "width"]]
    return np.asarray(images.reindex(list(ids)).fillna(1).to_numpy(np.int64))


def _shapes(texts: pd.Series) -> np.ndarray:
    return np.array([text.split() for text in texts], np.int64).reshape(-1, 2)


def _require_exclusive(truth: Truth, row_ids: pd.Series, labels: Sequence[str], where: str) -> None:
    for row, row_id in enumerate(row_ids):
        counts = truth.masks(row).sum(axis=0)
        if counts.max() > 1:
            y, x = np.argwhere(counts > 1)[0].tolist()
            two = [label for label, one in zip(labels, truth.masks(row)[:, y, x], strict=True) if one]
            raise PodiumError(
                f"{where}: task.exclusive: row_id {row_id!r}: pixel {x}, {y} is of {' and '.join(map(repr, two))}"
            )


def _strata(truth: Truth, is_train: np.ndarray) -> np.ndarray:
    """Return `(n,)` codes: 0 for empty masks, else the greatest class and the bin of its share of the image."""
    share = truth.area / truth.shape.prod(axis=1)[:, None]
    codes, next_code, top = np.zeros(len(truth)), 1, share.argmax(axis=1)
    for label in range(share.shape[1]):
        own = (top == label) & (share[:, label] > 0)
        known = share[own & is_train, label]
        n_bins = min(max(len(known) // _BIN, 1), _MOST_BINS)
        edges = np.quantile(known, np.linspace(0, 1, n_bins + 1)[1:-1]) if len(known) else []
        codes[own] = next_code + np.searchsorted(edges, share[own, label], side="right")
        next_code += n_bins
    return codes


def _long(row_ids: pd.Series, truth: Truth, labels: Sequence[str]) -> pd.DataFrame:
    """Return a line for each row and class."""
    n = len(labels)
    table = pd.DataFrame(
        {"row_id": np.repeat(row_ids.to_numpy(object), n), "label": list(labels) * len(row_ids)}, dtype="str"
    )
    height, width = np.repeat(truth.shape, n, axis=0).T
    return table.assign(height=height, width=width, runs=truth.runs.reshape(-1)).astype({"runs": "str"})


def _wide(table: pd.DataFrame, ids: list[str], labels: Sequence[str], where: str) -> Truth:
    """Return the masks of these rows, in their order, and of the classes in theirs."""
    parts = [by_id(table[table["label"] == label], ids, where) for label in labels]
    return Truth(parts[0][["height", "width"]].to_numpy(np.int64), np.column_stack([one["runs"] for one in parts]))


def _write(table: pd.DataFrame, row_ids: Iterable[str], folder: Path) -> None:
    MASKS.write(table[table["row_id"].isin(set(row_ids))], folder / _FILE)
