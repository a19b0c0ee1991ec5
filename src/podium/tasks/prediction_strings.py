"""Boxes as a submission's cell: `0.9 10 20 30 40 0.8 ...`, by a declared template."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from podium.contracts.submission import CellSpec
from podium.errors import preview
from podium.settings import Settings

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # corners, scores, labels
FIELDS = ("class", "code", "score", "x1", "y1", "x2", "y2", "w", "h", "cx", "cy")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SLACK = 1e-6  # of a coordinate that was rounded beside the edge


class Template(Settings):
    """What stands for one box, and for none."""

    fields: tuple[str, ...] = ("class", "score", "x1", "y1", "x2", "y2")
    """In their order: class, code (the class's number from 0), score, x1, y1, x2, y2, w, h, cx, cy."""
    normalised: bool = False
    """Whether numbers are shares of the image's sides, not pixels."""
    digits: int = Field(2, ge=0, le=9)
    """Decimals of coordinates; scores have 4."""
    none: str = ""
    """The cell of an image without a box."""
    most: int | None = Field(None, ge=1)
    """The most boxes of a cell: those of the highest scores; null: any number."""

    @model_validator(mode="after")
    def _tells_a_box(self) -> "Template":
        if strange := [name for name in self.fields if name not in FIELDS]:
            raise ValueError(f"`fields`: unknown {preview(strange)}; choose from: {', '.join(FIELDS)}")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("`fields`: one is named twice")
        for axis, low, high, length, centre in (("x", "x1", "x2", "w", "cx"), ("y", "y1", "y2", "h", "cy")):
            if len({low, high, length, centre} & set(self.fields)) != 2:  # noqa: PLR2004  # two numbers tell a side
                raise ValueError(f"`fields`: along {axis} a box takes two of {low}, {high}, {length}, {centre}")
        return self


def write(template: Template, parts: Parts, classes: Sequence[str], size: tuple[int, int] | None) -> str:
    """Return the cell of one row's boxes, of which the highest score comes first."""
    xyxy, score, label = parts
    if not len(score):
        return template.none
    sides = np.array(size or (1, 1), np.float64)
    corners = xyxy.astype(np.float64) / np.tile(sides, 2) if template.normalised else xyxy.astype(np.float64)
    corners = corners.round(template.digits)  # before they are subtracted: a corner and a side add up inside
    values: dict[str, Any] = dict(zip(("x1", "y1", "x2", "y2"), corners.T, strict=True))
    values |= {"w": values["x2"] - values["x1"], "h": values["y2"] - values["y1"]}
    values |= {"cx": (values["x1"] + values["x2"]) / 2, "cy": (values["y1"] + values["y2"]) / 2}
    digits = template.digits + 1 if {"cx", "cy"} & set(template.fields) else template.digits
    texts = {name: [f"{value:.{digits}f}" for value in column] for name, column in values.items()}
    texts |= {"class": [classes[code] for code in label], "code": [str(code) for code in label]}
    texts["score"] = [f"{value:.4f}" for value in score]
    is_seen = (values["w"] > 0) & (values["h"] > 0)  # one may be rounded away
    boxes = [" ".join(texts[name][n] for name in template.fields) for n in np.flatnonzero(is_seen)[: template.most]]
    return " ".join(boxes) or template.none


def read(template: Template, cell: str, classes: Sequence[str], size: tuple[int, int] | None) -> Parts:
    """Return the boxes of a cell that `fault` finds nothing wrong with."""
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    if cell.strip() == template.none:
        return empty
    columns = dict(
        zip(template.fields, np.array(cell.split(), object).reshape(-1, len(template.fields)).T, strict=True)
    )
    numbers = {name: texts.astype(np.float64) for name, texts in columns.items() if name not in ("class", "code")}
    sides = []
    for low, high, length, centre in (("x1", "x2", "w", "cx"), ("y1", "y2", "h", "cy")):
        sides.append(_ends(*(numbers.get(name) for name in (low, high, length, centre))))
    xyxy = np.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], axis=1)
    if template.normalised and size is not None:
        xyxy *= np.tile(size, 2)
    n = len(xyxy)
    code = columns.get("code")
    if "class" in columns:
        label = np.array([classes.index(name) for name in columns["class"]], np.int64)
    else:
        label = np.zeros(n, np.int64) if code is None else code.astype(np.int64)
    return xyxy.astype(np.float32), numbers.get("score", np.ones(n)).astype(np.float32), label


def _ends(
    low: np.ndarray | None, high: np.ndarray | None, length: np.ndarray | None, centre: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if length is None:  # the other two of three
        if centre is not None:
            length = 2 * (centre - low if low is not None else _known(high) - centre)
        else:
            length = _known(high) - _known(low)
    if low is None:
        low = centre - length / 2 if centre is not None else _known(high) - length
    return low, low + length


def _known(numbers: np.ndarray | None) -> np.ndarray:
    assert numbers is not None, "Template asks for two numbers of a side"
    return numbers


@dataclass(frozen=True)
class BoxCells(CellSpec):
    """Cells of boxes: inside of the row's image, finite, not inverted, of known classes, at most so many."""

    template: Template = field(default_factory=lambda: Template.model_validate({}))
    classes: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)

    def fault(self, cell: str, line_id: str = "") -> str | None:
        """See CellSpec."""
        template = self.template
        if cell == template.none:
            return None
        tokens = cell.split()
        if len(tokens) % len(template.fields):
            return f"has {len(tokens)} parts; a box takes {len(template.fields)}: {' '.join(template.fields)}"
        n = len(tokens) // len(template.fields)
        if template.most is not None and n > template.most:
            return f"has {n} boxes; at most {template.most} are allowed"
        faults = (self._fault_of_token(template.fields[k % len(template.fields)], one) for k, one in enumerate(tokens))
        if fault := next(filter(None, faults), None):
            return fault
        return self._fault_of_boxes(line_id, cell)

    def _fault_of_boxes(self, row_id: str, cell: str) -> str | None:
        size, template = self.sizes.get(row_id), self.template
        xyxy, _, _ = read(template, cell, self.classes, size)
        for box in xyxy.astype(np.float64):
            shown = ", ".join(f"{value:g}" for value in box)
            if not (box[0] < box[2] and box[1] < box[3]):
                return f"has a box that is inverted or has no area: {shown}"
            if size is not None and ((box < 0) | (box > np.tile(size, 2) * (1 + _SLACK))).any():
                return f"has a box that leads out of the image of {size[0]} x {size[1]} pixels: {shown}"
        return None

    def _fault_of_token(self, name: str, token: str) -> str | None:
        if name == "class":
            return None if token in self.classes else f"{token!r} is no class; choose from {preview(self.classes)}"
        if name == "code":
            known = token.isdecimal() and int(token) < len(self.classes)
            return None if known else f"{token!r} is no class; they are numbered from 0 to {len(self.classes) - 1}"
        if not _NUMBER.fullmatch(token) or not math.isfinite(float(token)):
            return f"{name} must be a finite number, not {token!r}"
        return "score must be in [0, 1]" if name == "score" and not 0 <= float(token) <= 1 else None
