"""Where the true boxes of images are written: VOC XML, COCO JSON, YOLO text files, CSV lines.

A file may come from anybody: XML is read without its document type, so that no entity is expanded.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from xml.etree.ElementTree import Element  # only a type; podium.storage.xml_file reads

import pandas as pd

from podium.errors import PodiumError, preview
from podium.imaging.templates import fill
from podium.settings import Settings
from podium.storage import csv_table, xml_file
from podium.storage.raw import Raw

Box = tuple[float, float, float, float]


class Line(NamedTuple):
    """One box as it is written: `where` names the file and the box."""

    box: Box
    label: str
    where: str


class Written(NamedTuple):
    """What is written of a row: its boxes, as shares of the image's sides if `normalised`, and the image's size."""

    lines: list[Line]
    size: tuple[int, int] | None
    where: str


class Annotations(Settings):
    """The files of true boxes. `source` is a template over the row's columns, or one file for all rows."""

    format: Literal["voc", "coco", "yolo", "csv"]
    """`voc` XML and `yolo` text have a file for each image, `coco` JSON and `csv` one for all."""
    source: str
    """A source of the raw data: `archive#member` or a file, with `{column}` or `{path.stem}` in it."""
    image: str = ""
    """Of csv and coco: a column, or a template such as `{file_name.stem}`, that names the image there."""
    row: str = "row_id"
    """Of csv and coco: a column of our rows, or a template over them, that names the image here."""
    box: tuple[str, ...] = ("x1", "y1", "x2", "y2")
    """Of csv: four columns, or one that holds four numbers such as `[834.0, 222.0, 56.0, 36.0]`."""
    form: Literal["corners", "extent", "centre"] = "corners"
    """Of csv: two corners, or a corner with width and height, or a centre with width and height."""
    normalised: bool = False
    """Of csv: whether numbers are shares of the image's sides."""
    label: str | None = None
    """Of csv: the column of the class; null: there is one class."""
    one_based: bool = False
    """Whether the first pixel is 1 and the last one belongs to the box, as Pascal VOC itself counts."""
    absent: Literal["error", "none"] = "error"
    """What it means that nothing is written of a row to train on: a mistake, or that it has no box."""

    def read(self, raw: Raw, rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Written]:
        """Return what is written of each row, by row_id; rows of which nothing is written are left out.

        Raises PodiumError naming the file, the key and the box, also for rows to train on that must have boxes.
        """
        readers: Mapping[str, Callable[..., dict[str, Written]]] = {
            "voc": self._voc,
            "yolo": self._yolo,
            "coco": self._coco,
            "csv": self._csv,
        }
        found = readers[self.format](raw, rows, classes)
        missing = rows.loc[(rows["split"] != "test") & ~rows["row_id"].isin(found), "row_id"]
        if len(missing) and self.absent == "error":
            raise PodiumError(
                f"task.annotations: {self.source}: nothing is written of row_id {preview(missing)}; if that means that"
                " there is no box, say absent: none"
            )
        return found | {row_id: Written([], None, self.source) for row_id in missing}

    def _files(self, raw: Raw, rows: pd.DataFrame) -> Iterator[tuple[str, str, bytes]]:
        for row_id, source in zip(rows["row_id"], fill(self.source, rows, "task.annotations.source"), strict=True):
            if source in raw:
                yield row_id, source, raw.require(source)

    def _voc(self, raw: Raw, rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Written]:  # noqa: ARG002
        found = {}
        for row_id, source, data in self._files(raw, rows):
            tree, lines = _xml(data, source), []
            for n, item in enumerate(tree.iter("object"), start=1):
                where = f"{source}: object {n}"
                corners = [_number(item.findtext(f"bndbox/{name}"), where, name) for name in _VOC]
                lines.append(Line(_box(corners), (item.findtext("name") or "").strip(), where))
            sides = [tree.findtext(f"size/{name}") for name in ("width", "height")]
            size = None
            if all(sides):
                width, height = (int(_number(side, source, "size")) for side in sides)
                size = (width, height) if width and height else None  # some tools write 0 where they do not know
            found[row_id] = Written(lines, size, source)
        return found

    def _yolo(self, raw: Raw, rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Written]:
        found = {}
        for row_id, source, data in self._files(raw, rows):
            lines = []
            for n, text in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
                if not (cells := text.split()):
                    continue
                where = f"{source}: line {n}"
                if len(cells) != _YOLO_CELLS:
                    raise PodiumError(f"{where}: {text!r}: must be a class and four numbers")
                code = cells[0]
                if not code.isdecimal() or int(code) >= len(classes):
                    raise PodiumError(f"{where}: class {code!r}: task.classes has {len(classes)}, from 0 on")
                numbers = [_number(cell, where, "box") for cell in cells[1:]]
                lines.append(Line(_of_centre(numbers), classes[int(code)], where))
            found[row_id] = Written(lines, None, source)
        return found

    def _coco(self, raw: Raw, rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Written]:  # noqa: ARG002
        try:
            content = json.loads(raw.require(self.source))
            names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
            table = pd.DataFrame(content["images"]).astype({"file_name": "str"})
            ids = fill(self.image or "{file_name.stem}", table, "task.annotations.image")
            row_of = dict(zip(table["id"], ids, strict=True))
            sizes = [(image.get("width"), image.get("height")) for image in content["images"]]
            found = {
                row_id: Written([], size if all(size) else None, f"{self.source}: image {row_id!r}")
                for row_id, size in zip(ids, sizes, strict=True)
            }
            for entry in content["annotations"]:
                where = f"{self.source}: annotation {entry.get('id')}"
                if entry["image_id"] not in row_of:
                    raise PodiumError(f"{where}: there is no image {entry['image_id']!r} in the file")
                numbers = [_number(value, where, "bbox") for value in entry["bbox"]]
                line = Line(_of_extent(numbers), names.get(entry["category_id"], str(entry["category_id"])), where)
                found[row_of[entry["image_id"]]].lines.append(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PodiumError(f"{self.source}: not COCO's JSON ({type(error).__name__}: {error})") from None
        return self._by_row(found, rows)

    def _csv(self, raw: Raw, rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Written]:
        table = csv_table.read(raw.require(self.source), self.source)
        ids = fill(self.image or "image_id", table, f"{self.source}: task.annotations.image")
        csv_table.require(table, [*self.box, *([self.label] if self.label else [])], f"{self.source}: task.annotations")
        shaped = {"corners": _box, "extent": _of_extent, "centre": _of_centre}[self.form]
        labels = table[self.label] if self.label else [classes[0]] * len(table)
        found: dict[str, Written] = {}
        cells = table[list(self.box)].itertuples(index=False, name=None)
        for n, (row_id, given, label) in enumerate(zip(ids, cells, labels, strict=True), start=2):
            written = found.setdefault(row_id, Written([], None, self.source))
            if all(pd.isna(cell) for cell in given):
                continue  # a line without numbers says that there is no box
            where = f"{self.source}: line {n}"
            parts = given[0].strip("[]() ").replace(",", " ").split() if len(given) == 1 else given
            if len(parts) != len(_VOC):
                raise PodiumError(f"{where}: {given[0]!r}: must hold four numbers")
            written.lines.append(Line(shaped([_number(cell, where, "box") for cell in parts]), str(label), where))
        return self._by_row(found, rows)

    def _by_row(self, found: Mapping[str, Written], rows: pd.DataFrame) -> dict[str, Written]:
        names = fill(self.row, rows, "task.annotations.row")
        if unknown := sorted(set(found) - set(names)):
            raise PodiumError(f"{self.source}: boxes of images that are not there: {preview(unknown)}")
        return {row_id: found[name] for row_id, name in zip(rows["row_id"], names, strict=True) if name in found}

    @property
    def is_normalised(self) -> bool:
        """Return whether numbers are shares of the image's sides."""
        return self.format == "yolo" or (self.format == "csv" and self.normalised)


_VOC = ("xmin", "ymin", "xmax", "ymax")
_YOLO_CELLS = 5


def _box(numbers: list[float]) -> Box:
    x1, y1, x2, y2 = numbers
    return x1, y1, x2, y2


def _of_extent(numbers: list[float]) -> Box:
    x, y, width, height = numbers
    return x, y, x + width, y + height


def _of_centre(numbers: list[float]) -> Box:
    x, y, width, height = numbers
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _number(value: Any, where: str, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PodiumError(f"{where}: {name}: {value!r} is no number") from None
    if not math.isfinite(number):
        raise PodiumError(f"{where}: {name}: {value!r} is not finite")
    return number


def _xml(data: bytes, where: str) -> Element:
    try:
        return xml_file.read(data)
    except ValueError as error:
        raise PodiumError(f"{where}: {error}") from None
