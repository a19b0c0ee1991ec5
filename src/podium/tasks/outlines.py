"""Masks as outlines: an SVG's polygons and straight paths, labelme's JSON, GeoJSON, or a JSON list of polygons.

A pixel is inside where its middle is. Rings of one outline that lie in each other are holes (even-odd).
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element  # only a type; podium.storage.xml_file reads

import numpy as np

from podium.errors import preview
from podium.storage import xml_file

SUFFIXES = (".svg", ".json")
_TOKEN = re.compile(r"([A-Za-z])|([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_SILENT = {"svg", "g", "defs", "title", "desc", "metadata", "style"}  # elements that draw nothing by themselves
_BEYOND = 1.0  # px that an outline may lead out of its image, as tools round


class Outline(NamedTuple):
    """Rings of points `(n, 2)` x, y in pixels from the upper left corner, and the class where the file says it."""

    rings: list[np.ndarray]
    label: str | None = None


class Drawing(NamedTuple):
    """What a file holds; `size` is the width and height that it was drawn for, where it says them."""

    size: tuple[float, float] | None
    outlines: list[Outline]


def read(data: bytes, source: str, shape: tuple[int, int], labels: Sequence[str], *, is_named: bool) -> np.ndarray:
    """Return `(c, h, w)` bool of an image of this height and width; raises ValueError for what is no outline of it.

    With `is_named` the file's outlines name their classes, which are `labels`; else all are of the one label.
    """
    height, width = shape
    try:
        drawing = _svg(data) if source.lower().endswith(".svg") else _json(data)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if drawing.size not in (None, (width, height)):
        drawn = " x ".join(f"{side:g}" for side in drawing.size or ())
        raise ValueError(f"is drawn for {drawn} pixels, and its image has {width} x {height}")
    masks = np.zeros((len(labels), height, width), bool)
    for outline in drawing.outlines:
        if is_named and outline.label not in labels:
            raise ValueError(f"has an outline of {outline.label!r}; task.labels are {preview(labels)}")
        masks[labels.index(str(outline.label)) if is_named else 0] |= _filled(outline.rings, shape)
    return masks


def _filled(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    from skimage.draw import polygon2mask

    inside = np.zeros(shape, bool)
    for ring in rings:
        beyond = (ring < -_BEYOND) | (ring > np.array(shape[::-1]) + _BEYOND)
        if not np.isfinite(ring).all() or beyond.any():
            x, y = ring[(~np.isfinite(ring) | beyond).any(axis=1)][0]
            raise ValueError(f"has a point at {x:g}, {y:g}, and its image {shape[1]} x {shape[0]} pixels")
        inside ^= polygon2mask(shape, ring[:, ::-1] - 0.5)  # type: ignore[no-untyped-call]  # scikit-image has none
    return inside


def _json(data: bytes) -> Drawing:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ValueError(f"is no JSON ({error})") from None
    try:
        if isinstance(content, dict) and "shapes" in content:
            size = (float(content["imageWidth"]), float(content["imageHeight"]))
            return Drawing(size, [_labelme(shape) for shape in content["shapes"]])
        if isinstance(content, dict):
            content = content["features"]
        return Drawing(None, [one for item in content for one in _of_item(item)])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("is neither labelme's JSON, nor GeoJSON, nor a list of polygons of [x, y]") from None


def _labelme(shape: Any) -> Outline:
    kind, points = shape.get("shape_type", "polygon"), shape["points"]
    if kind == "rectangle":  # two corners, in any order
        if len(points) != 2:  # noqa: PLR2004
            raise ValueError("has a rectangle that is not of two corners")
        (x, y), (to_x, to_y) = points
        points = [[x, y], [to_x, y], [to_x, to_y], [x, to_y]]
    elif kind != "polygon":
        raise ValueError(f"has a {kind}; outlines are polygons and rectangles")
    return Outline([_ring(points)], str(shape["label"]))


def _of_item(item: Any) -> Iterator[Outline]:
    """Yield the outlines of a bare polygon, or of one of GeoJSON's features."""
    if not isinstance(item, dict):
        yield Outline([_ring(item)])
        return
    geometry = item["geometry"]
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"has a {kind}; outlines are of type Polygon or MultiPolygon")
    known = (item.get("properties") or {}).get("classification") or {}
    for rings in [coordinates] if kind == "Polygon" else coordinates:
        yield Outline([_ring(points) for points in rings], known.get("name"))


def _ring(points: Any) -> np.ndarray:
    try:
        ring = np.array(points, np.float64)
    except (TypeError, ValueError):
        raise ValueError("has a polygon whose points are no numbers") from None
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:  # noqa: PLR2004  # x, y of three corners
        raise ValueError("has a polygon of fewer than three points [x, y]")
    return ring


def _svg(data: bytes) -> Drawing:
    root = xml_file.read(data)
    return Drawing(_size(root), list(_drawn(root, None)))


def _size(root: Element) -> tuple[float, float] | None:
    box = root.get("viewBox")
    if box is not None:
        left, top, width, height = _numbers(box, 4)
        if (left, top) != (0, 0):
            raise ValueError(f"has the viewBox {box!r}, which does not begin at 0 0")
        return width, height
    sides = [root.get(side) for side in ("width", "height")]
    if None in sides or any(str(side).endswith("%") for side in sides):
        return None
    width, height = (_numbers(str(side).removesuffix("px"), 1)[0] for side in sides)
    return width, height


def _drawn(element: Element, label: str | None) -> Iterator[Outline]:
    """Yield the outlines of an element and what is in it; the class is its own, or that of the group around it."""
    kind, label = str(element.tag).rpartition(":")[2], element.get("class", label)
    if element.get("transform"):
        raise ValueError(f"has a {kind} with a transform; save it with plain coordinates")
    if kind in ("polygon", "polyline"):
        numbers = _numbers(element.get("points", ""))
        if len(numbers) % 2:
            raise ValueError(f"has a {kind} with an odd number of coordinates")
        yield Outline([_ring(np.reshape(numbers, (-1, 2)))], label)
    elif kind == "rect":
        x, y, width, height = (_numbers(element.get(key, "0"), 1)[0] for key in ("x", "y", "width", "height"))
        yield Outline([_ring([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])], label)
    elif kind == "path":
        yield Outline([_ring(points) for points in _subpaths(element.get("d", ""))], label)
    elif kind not in _SILENT:
        raise ValueError(f"has a <{kind}>; outlines are polygons, rectangles and paths of straight lines")
    if kind != "defs":
        for child in element:
            yield from _drawn(child, label)


def _subpaths(path: str) -> Iterator[list[tuple[float, float]]]:
    """Yield the points of each closed line of a path (SVG 1.1, section 8.3) of moves and straight lines."""
    points: list[tuple[float, float]] = []
    command, waiting = "M", list[float]()
    x = y = 0.0
    for letter, number in _TOKEN.findall(path):
        if letter:
            if letter not in "MmLlHhVvZz":
                raise ValueError(f"has a curve ({letter}) in a path; outlines have straight lines")
            command = letter
            if letter in "MmZz" and points:
                yield points
                x, y = points[0] if letter in "Zz" else (x, y)
                points = []
            continue
        waiting.append(float(number))
        if command in "HhVv":
            step = waiting.pop()
            x = step if command == "H" else x + step if command == "h" else x
            y = step if command == "V" else y + step if command == "v" else y
        elif len(waiting) == 2:  # noqa: PLR2004  # x and y
            x, y = (waiting[0] + x * command.islower(), waiting[1] + y * command.islower())
            waiting.clear()
        else:
            continue
        points.append((x, y))
        command = {"M": "L", "m": "l"}.get(command, command)  # further pairs of a move are lines
    if points:
        yield points


def _numbers(text: str, count: int | None = None) -> list[float]:
    parts = text.replace(",", " ").split()
    try:
        found = [float(part) for part in parts]
    except ValueError:
        raise ValueError(f"has {preview(parts)} where numbers belong") from None
    if (count is not None and len(found) != count) or not all(map(math.isfinite, found)):
        raise ValueError(f"has {text!r} where {count or 'finite'} numbers belong")
    return found
