"""Objects to find: boxes with classes, any number in an image."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from podium import tasks
from podium.contracts.boxes import CORNERS, Annotated, Boxes
from podium.contracts.dataset import Dataset
from podium.contracts.models import Fitted
from podium.contracts.submission import CellSpec
from podium.contracts.table import Column, Table
from podium.errors import PodiumError, preview
from podium.imaging import regions
from podium.imaging.pixels import dimensions, orientation
from podium.metrics import Metric
from podium.metrics.boxes import BoxScore
from podium.storage import csv_table
from podium.storage.raw import Raw
from podium.tasks import Encoded, box_imports, prediction_strings
from podium.tasks.annotations import Annotations, Line, Written
from podium.tasks.prediction_strings import BoxCells, Template

TARGETS = Table(
    "boxes",
    (
        Column("row_id", "text"),
        Column("place", "int", low=0),
        *(Column(name, "float32") for name in CORNERS),
        Column("label", "int", low=0),
    ),
    key=("row_id", "place"),
)
_TARGETS, _SOLUTION = "boxes.parquet", "solution.csv"
_ROUNDING = 1e-3  # of a side: shares of it are often written with few digits
_TURNED = 5  # EXIF orientations from here on swap the sides


class Task(tasks.Task):
    """Boxes of named classes, in pixels of the row's own image, upright as its EXIF orientation says."""

    kind: ClassVar[str] = "boxes"
    predictions: ClassVar[type[Boxes]] = Boxes
    sample_cell: ClassVar[Any] = ""

    classes: tuple[str, ...] = Field(min_length=1)
    """The names of the classes; a YOLO file counts them from 0."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Other names that annotations use -> the class that is meant."""
    annotations: Annotations
    """Where the true boxes are written."""
    mend: tuple[Literal["clip", "empty", "duplicate"], ...] = ()
    """What is mended, not refused: `clip` boxes to the image, leave out `empty` ones or the second of a `duplicate`."""
    exif: Literal["upright", "stored"] | None = None
    """Of images with an EXIF orientation: whether boxes are for the upright picture or the stored one; null: refuse."""
    min_visible: float = Field(0.3, gt=0, le=1)
    """Where a row is a part of a photograph: the least share of a box inside that counts as an object there."""
    prediction: Template = Template.model_validate({})
    """How boxes are written into a submission's cell."""

    @model_validator(mode="after")
    def _classes_are_known(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("`classes`: one is named twice")
        if unknown := sorted(set(self.aliases.values()) - set(self.classes)):
            raise ValueError(f"`aliases`: {preview(unknown)}: no class; choose one of: {', '.join(self.classes)}")
        return self

    # Targets

    def read_files(self, rows: pd.DataFrame, images: pd.DataFrame, raw: Path, where: str) -> pd.DataFrame:
        """See Task; adds `boxes`: JSON lists of corners and label, missing where unknown."""
        first = rows.drop_duplicates("row_id")
        try:
            with Raw(raw) as files:
                written = self.annotations.read(files, first, self.classes)
                facts = _Images(files, images)
                found = {row_id: self._annotated(one, *facts.of(row_id)) for row_id, one in written.items()}
        except PodiumError as error:
            raise PodiumError(f"{where}: {error}") from None
        empty = [row_id for row_id, one in found.items() if not len(one)]
        if empty:
            print(f"prepare: {len(empty):,} of {len(found):,} images have no box, such as {empty[0]!r}")  # noqa: T201
        return rows.assign(boxes=rows["row_id"].map({row_id: _packed(one) for row_id, one in found.items()}))

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """See Task; `y` is the number of boxes, by which folds are stratified."""
        if "boxes" not in rows.columns:
            raise PodiumError(f"{where}: task: boxes need a layout whose rows have images")
        known = rows[rows["boxes"].notna()]
        found = {row_id: _unpacked(text) for row_id, text in zip(known["row_id"], known["boxes"], strict=True)}
        y = rows["row_id"].map({row_id: float(len(one)) for row_id, one in found.items()}).astype("float64")
        return Encoded(pd.DataFrame({"y": y}), list(self.classes), partial(_write_targets, found))

    def require_classes(self, rows: pd.DataFrame, where: str) -> None:
        """See Task."""
        if not rows.loc[rows["split"] == "train", "y"].gt(0).any():
            raise PodiumError(f"{where}: task: not one image to train on has a box")

    def _annotated(
        self, written: Written, size: tuple[int, int] | None, turn: int, region: regions.Region, source: str
    ) -> Annotated:
        """Return a row's boxes in its own pixels; raises PodiumError naming the file and the box at fault."""
        if turn > 1 and self.exif is None:
            raise PodiumError(
                f"{source}: its EXIF orientation is {turn}; say task.exif: upright where boxes are for the turned"
                " picture, stored where they are for the pixels as they lie in the file"
            )
        stored = size if size is None or turn < _TURNED else size[::-1]
        of = stored if self.exif == "stored" else size
        if of and written.size and written.size != of:
            raise PodiumError(
                f"{written.where}: it is of an image of {written.size[0]} x {written.size[1]} pixels, and {source} has"
                f" {of[0]} x {of[1]}"
            )
        if self.annotations.is_normalised and of is None and written.lines:
            raise PodiumError(f"{written.where}: {source} cannot be read, so shares of its sides say nothing")
        scale = np.array([*of, *of]) if self.annotations.is_normalised and of else 1.0
        boxes, labels, seen = [], [], set()
        for line in written.lines:
            box = np.array(line.box) * scale
            if self.annotations.one_based:
                box[:2] -= 1
            mended = self._mended(box, line, of)
            if mended is None:
                continue
            code = self._label(line)
            key = (*mended.tolist(), code)
            if key in seen:
                if "duplicate" in self.mend:
                    continue
                raise PodiumError(f"{line.where}: {_shown(box)} is there twice; task.mend: [duplicate] leaves one out")
            seen.add(key)
            boxes.append(mended)
            labels.append(code)
        xyxy, label = np.array(boxes).reshape(-1, 4), np.array(labels, np.int64)
        if self.exif == "stored" and turn > 1 and stored:
            xyxy = _turned(xyxy, turn, stored)
        return self.inside(Annotated(xyxy.astype(np.float32), label), region)

    def _mended(self, box: np.ndarray, line: Line, size: tuple[int, int] | None) -> np.ndarray | None:
        """Return a box as it counts, None for one to leave out; raises PodiumError for one that breaks the rules."""
        if size is not None:
            most = np.array([*size, *size], np.float64)
            outside = (box < -_ROUNDING * most) | (box > most * (1 + _ROUNDING))
            if outside.any() and "clip" not in self.mend:
                raise PodiumError(
                    f"{line.where}: {_shown(box)} leads out of the image of {size[0]} x {size[1]} pixels;"
                    " task.mend: [clip] cuts such boxes"
                )
            box = box.clip(0, most)
        if not (box[0] < box[2] and box[1] < box[3]):
            if "empty" in self.mend:
                return None
            what = "is inverted" if box[0] > box[2] or box[1] > box[3] else "has no area"
            raise PodiumError(f"{line.where}: {_shown(box)} {what}; task.mend: [empty] leaves such boxes out")
        return box

    def _label(self, line: Line) -> int:
        name = self.aliases.get(line.label, line.label)
        if name not in self.classes:
            choices = ", ".join([*self.classes, *self.aliases])
            raise PodiumError(f"{line.where}: unknown class {line.label!r}; task.classes and aliases have: {choices}")
        return self.classes.index(name)

    def inside(self, true: Annotated, region: regions.Region) -> Annotated:
        """Return the boxes of which enough lies inside of a part of an image, cut to it, in its own pixels."""
        if not region.is_part:
            return true
        corner = np.array([region.x, region.y, region.x, region.y], np.float32)
        moved = true.xyxy - corner
        cut = moved.clip(0, np.array([region.width, region.height] * 2, np.float32))
        areas = [np.prod(boxes[:, 2:].astype(np.float64) - boxes[:, :2], axis=1) for boxes in (cut, moved)]
        kept = areas[0] >= self.min_visible * areas[1]
        return Annotated(cut[kept], true.label[kept])

    def truth(self, data: Dataset, row_ids: Iterable[str]) -> np.ndarray:
        """See Task; `(n,)` of `Annotated`."""
        path, ids = data.targets / _TARGETS, list(row_ids)
        known = set(data.rows.loc[data.rows["y"].notna(), "row_id"])
        if missing := [row_id for row_id in ids if row_id not in known]:
            raise PodiumError(f"{path}: no boxes for row_id {preview(missing)}; run `dvc repro`")
        return _by_row(TARGETS.read(path), ids)

    def write_solution(self, encoded: Encoded, rows: pd.DataFrame, folder: Path) -> None:
        """See Task; a row without boxes has a line without numbers."""
        assert encoded.files is not None
        known = rows.loc[rows["y"].notna(), "row_id"]
        encoded.files(known, folder)
        table = TARGETS.read(folder / _TARGETS).drop(columns="place")
        (folder / _TARGETS).unlink()
        table["label"] = [self.classes[code] for code in table["label"]]
        lines = pd.DataFrame({"row_id": sorted(known)}).merge(table, on="row_id", how="left", validate="one_to_many")
        csv_table.write(lines, folder / _SOLUTION)

    def read_solution(self, folder: Path) -> tuple[list[str], np.ndarray]:
        """See Task."""
        path = folder / _SOLUTION
        if not path.exists():
            raise PodiumError(f"{path}: there is no such file; run `dvc repro`")
        lines = csv_table.read(path.read_bytes(), str(path))
        csv_table.require(lines, ["row_id", *CORNERS, "label"], str(path))
        ids = list(dict.fromkeys(lines["row_id"]))
        boxes = lines.dropna(subset="label").astype(dict.fromkeys(CORNERS, "float32"))
        boxes = boxes.assign(label=[self.classes.index(name) for name in boxes["label"]])
        return ids, _by_row(boxes, ids)

    # Scores

    def score(self, metric: Metric, y: np.ndarray, p: Boxes, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return metric(y, p, weight)  # type: ignore[arg-type]  # such metrics take boxes

    def scorer(
        self, metric: Metric, y: np.ndarray, p: Boxes, weight: np.ndarray | None = None
    ) -> Callable[[np.ndarray], float]:
        """See Task; images are matched once."""
        if isinstance(metric.function, BoxScore):
            return metric.function.scorer(y, p, weight)
        return super().scorer(metric, y, p, weight)

    # Combining

    def stacked(self, members: Sequence[Boxes]) -> np.ndarray:
        """See Task; each member's boxes, packed as wide as all of a row's together are."""
        width = int(np.sum([np.diff(member.offset) for member in members], axis=0).max(initial=1))
        return np.stack([member.packed(max(width, 1)) for member in members])

    def score_stacked(self, metric: Metric, y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return self.score(metric, y, self._none(np.arange(len(y)).astype(str)).with_packed(p), weight)

    def blended(self, blend: Fitted, members: Sequence[Boxes]) -> Boxes:
        """See Task."""
        return members[0].with_packed(blend.predict(self.stacked(members)))

    # Submissions

    def _none(self, row_ids: Sequence[str] | np.ndarray) -> Boxes:
        """Return no boxes for some test rows."""
        empty = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
        return Boxes.of_parts(row_ids, "test", [empty] * len(row_ids), self.classes)

    def fallback(self, data: Dataset, row_ids: Iterable[str]) -> Boxes:  # noqa: ARG002
        """See Task; no boxes."""
        return self._none(list(row_ids))

    def submission(self, p: Boxes, data: Dataset, columns: list[str]) -> pd.DataFrame:
        """See Task; one cell holds all boxes of a row."""
        frames = self.frames(data, p.row_id)
        cells = [
            prediction_strings.write(self.prediction, p.of_row(n), self.classes, size) for n, size in enumerate(frames)
        ]
        return pd.DataFrame({"row_id": p.row_id, columns[0]: cells}, dtype="str")

    def cell_specs(self, data: Dataset, columns: list[str]) -> dict[str, CellSpec]:
        """See Task."""
        if len(columns) != 1:
            raise PodiumError(f"submission.columns: after the id there must be one for the boxes, not {len(columns)}")
        ids = data.rows.loc[data.rows["split"] == "test", "row_id"]
        sizes = dict(zip(ids, self.frames(data, ids), strict=True))
        return {columns[0]: BoxCells(template=self.prediction, classes=self.classes, sizes=sizes)}

    def read_submission(self, submission: pd.DataFrame, data: Dataset) -> Boxes:
        """See Task."""
        ids = submission.iloc[:, 0].to_numpy(object)
        sizes = self.frames(data, ids)
        parts = [
            prediction_strings.read(self.prediction, cell, self.classes, size)
            for cell, size in zip(submission.iloc[:, 1].fillna(""), sizes, strict=True)
        ]
        return Boxes.of_parts(ids, "test", parts, self.classes)

    def read_import(self, path: Path, data: Dataset) -> tuple[Boxes, np.ndarray | None]:
        """See Task; COCO's results JSON, or a CSV or Parquet table with a line a box."""
        return box_imports.read(path, data, self.classes, {**self.aliases, **{name: name for name in self.classes}})

    @staticmethod
    def frames(data: Dataset, row_ids: Iterable[str]) -> list[tuple[int, int] | None]:
        """Return width and height of each row's image; None where it could not be read."""
        by_row = frames(data.images)
        return [None if (one := by_row.get(row_id)) is None else (one.width, one.height) for row_id in row_ids]


def frames(images: pd.DataFrame) -> dict[str, regions.Region]:
    """Return the part of a photograph that each row shows: all that its images show together.

    Raises PodiumError for a row whose images are of several photographs: its boxes would have no picture.
    """
    found: dict[str, regions.Region] = {}
    for row_id, source, width, height in images[["row_id", "source", "width", "height"]].itertuples(index=False):
        part = regions.parse(source)
        part = part if part.is_part else regions.Region(source, 0, 0, width, height)
        if row_id in found:
            part = _joined(found[row_id], part, row_id)
        found[row_id] = part
    return found


def _joined(a: regions.Region, b: regions.Region, row_id: str) -> regions.Region:
    if a.whole != b.whole:
        raise PodiumError(f"task: row_id {row_id!r} has several images, {a.whole} and {b.whole}: boxes need one")
    x, y = min(a.x, b.x), min(a.y, b.y)
    right, bottom = max(a.x + a.width, b.x + b.width), max(a.y + a.height, b.y + b.height)
    return regions.Region(a.whole, x, y, right - x, bottom - y)


class _Images:
    """What the header of each row's image says, before any image is decoded; each file is read once."""

    def __init__(self, files: Raw, images: pd.DataFrame) -> None:
        self._files, self._known = files, {}  # type: Raw, dict[str, tuple[tuple[int, int] | None, int]]
        self._parts: dict[str, regions.Region] = {}
        for row_id, source in zip(images["row_id"], images["source"], strict=True):
            part = regions.parse(source)
            self._parts[row_id] = _joined(self._parts[row_id], part, row_id) if row_id in self._parts else part

    def of(self, row_id: str) -> tuple[tuple[int, int] | None, int, regions.Region, str]:
        """Return the upright size of the whole image, its EXIF orientation, the row's part of it, and its source."""
        part = self._parts[row_id]
        if part.whole not in self._known:
            self._known[part.whole] = self._read(part.whole)
        return *self._known[part.whole], part, part.whole

    def _read(self, source: str) -> tuple[tuple[int, int] | None, int]:
        try:
            data = self._files.read(source)
        except (FileNotFoundError, ValueError):
            return None, 1  # it will be quarantined
        size, turn = dimensions(data), orientation(data)
        return size[::-1] if size and turn >= _TURNED else size, turn


def _turned(xyxy: np.ndarray, turn: int, stored: tuple[int, int]) -> np.ndarray:
    """Return boxes for the upright picture, of boxes for the pixels as they are stored."""
    width, height = stored
    x, y = xyxy[:, [0, 2]], xyxy[:, [1, 3]]
    if turn in (5, 6, 7, 8):
        x, y, width, height = y, x, height, width
    if turn in (3, 4, 7, 8):
        y = height - y[:, ::-1]
    if turn in (2, 3, 6, 7):
        x = width - x[:, ::-1]
    return np.column_stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]])


def _packed(one: Annotated) -> str:
    return json.dumps([[*map(float, box), int(label)] for box, label in zip(one.xyxy, one.label, strict=True)])


def _unpacked(text: str) -> Annotated:
    table = np.array(json.loads(text), np.float64).reshape(-1, 5)
    return Annotated(table[:, :4].astype(np.float32), table[:, 4].astype(np.int64))


def _shown(box: np.ndarray) -> str:
    return "the box " + ", ".join(f"{value:g}" for value in box)


def _write_targets(found: Mapping[str, Annotated], row_ids: Iterable[str], folder: Path) -> None:
    ids = [row_id for row_id in dict.fromkeys(row_ids) if row_id in found]
    parts = [found[row_id] for row_id in ids]
    counts = [len(part) for part in parts]
    xyxy = np.concatenate([np.zeros((0, 4), np.float32), *(part.xyxy for part in parts)])
    table = pd.DataFrame({"row_id": np.repeat(np.array(ids, object), counts)}, dtype="str")
    table["place"] = np.concatenate([np.arange(0), *(np.arange(n) for n in counts)]).astype(np.int64)
    table[CORNERS] = xyxy
    table["label"] = np.concatenate([np.zeros(0, np.int64), *(part.label for part in parts)])
    TARGETS.write(table, folder / _TARGETS)


def _by_row(table: pd.DataFrame, row_ids: Sequence[str]) -> np.ndarray:
    """Return `(n,)` of `Annotated` from a table of a line a box."""
    groups = dict(iter(table.groupby("row_id", sort=False)))
    found = np.empty(len(row_ids), object)
    none = Annotated(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for n, row_id in enumerate(row_ids):
        part = groups.get(row_id)
        found[n] = (
            none if part is None else Annotated(part[CORNERS].to_numpy(np.float32), part["label"].to_numpy(np.int64))
        )
    return found
