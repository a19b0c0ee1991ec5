"""Masks as a competition's files hold them: images of the pictures' size, outlines, or tables of run-length codes."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium.contracts import rle
from podium.errors import PodiumError, preview
from podium.imaging.images import SUFFIXES
from podium.imaging.pixels import dimensions
from podium.imaging.templates import fill, matched
from podium.settings import Settings
from podium.storage import csv_table
from podium.storage.raw import Raw
from podium.tasks import outlines

_DEPTHS = {"1": 1, "L": 255, "I;16": 65535, "I;16B": 65535, "I": 65535}  # a gray image's white, by Pillow's mode


class MaskImage(Settings):
    """A mask image for each row, or for each row and class where `source` holds `{label}`; or a file of outlines."""

    source: str
    """A template over the row's columns: `masks/{id}.png`, or `.svg` or `.json`; `{label}` is each class in turn."""
    grays: dict[str, tuple[int, ...]] | None = None
    """Class -> the gray values, or palette's numbers, of its pixels; null: all that is lighter than middle gray."""
    background: tuple[int, ...] = (0,)
    """The values of pixels of no class, beside `grays`: any other is a mistake."""

    @property
    def has_outlines(self) -> bool:
        """Return whether the files hold outlines, and no pixels."""
        return self.source.lower().endswith(outlines.SUFFIXES)

    def check(self, labels: Sequence[str]) -> None:
        """Raise ValueError where this cannot tell the classes apart."""
        if self.has_outlines and self.grays is not None:
            raise ValueError("`image.grays`: outlines have no gray values; they name their classes")
        if self.grays is None and len(labels) > 1 and "{label}" not in self.source and not self.has_outlines:
            raise ValueError("`image.grays`: with several `labels` in one image it must say which gray values each has")
        if self.grays is not None and set(self.grays) != set(labels):
            raise ValueError(f"`image.grays`: its keys must be `labels`: {', '.join(labels)}")


class MaskTable(Settings):
    """A table of run-length codes, a line for each row, or for each row and class."""

    source: str
    """A file or `archive#member`."""
    id: str = "id"
    """The row's id: a template over the table's columns, or one of them."""
    runs: str = "rle_mask"
    """The column of the run-length codes."""
    label: str | None = None
    """The column of the class; null: there is one class."""


def with_masks(task: Any, rows: pd.DataFrame, images: pd.DataFrame, folder: Path, where: str) -> pd.DataFrame:
    """Return `rows`, once each, with `mask_shape` and a column of runs for each class; missing where nothing is known.

    Raises PodiumError naming the first row, and its file, that breaks what `task` says.
    """
    if images["row_id"].duplicated().any():
        twice = images["row_id"][images["row_id"].duplicated()]
        raise PodiumError(f"{where}: task: a mask is of one image, and there are several of row_id {preview(twice)}")
    rows = rows.drop_duplicates("row_id", ignore_index=True)
    with Raw(folder) as raw:
        shapes = _shapes(images, raw)
        read = _of_images if task.image is not None else _of_table
        wanted = rows if task.test else rows[rows["split"] != "test"]
        found = read(task, wanted.reset_index(drop=True), rows, shapes, raw, where)
    lacking = [row_id for row_id in wanted["row_id"] if row_id in shapes and row_id not in found]
    if lacking and task.absent == "error":
        raise PodiumError(
            f"{where}: task.absent: there is no mask for row_id {preview(lacking)}; if that means that nothing is"
            " there, set it to empty"
        )
    found |= dict.fromkeys(lacking, [""] * len(task.labels))
    table = pd.DataFrame(
        [found.get(row_id, [None] * len(task.labels)) for row_id in rows["row_id"]],
        columns=[f"mask_{place}" for place in range(len(task.labels))],
        index=rows.index,
        dtype="str",
    )
    shape = [" ".join(map(str, shapes[row_id])) if row_id in shapes else None for row_id in rows["row_id"]]
    return rows.assign(mask_shape=pd.Series(shape, rows.index, dtype="str")).join(table)


def _shapes(images: pd.DataFrame, raw: Raw) -> dict[str, tuple[int, int]]:
    """Return the height and width of each row's image by its header; rows whose image cannot be read are left out."""
    found = {}
    for row_id, source in zip(images["row_id"], images["source"], strict=True):
        try:
            size = dimensions(raw.read(source))
        except (FileNotFoundError, ValueError):
            size = None
        if size is not None:
            found[row_id] = size[::-1]
    return found


def _of_images(
    task: Any, rows: pd.DataFrame, everyone: pd.DataFrame, shapes: Mapping[str, tuple[int, int]], raw: Raw, where: str
) -> dict[str, list[str]]:
    spec: MaskImage = task.image
    by_label = "{label}" in spec.source
    key = f"{where}: task.image.source"
    parts = task.labels if by_label else ("",)
    sources = {part: fill(spec.source, rows.assign(label=part), key) for part in parts}
    of_all = {source for part in parts for source in fill(spec.source, everyone.assign(label=part), key)}
    _require_owner(spec.source, of_all, raw, key)
    found = {}
    for place, row_id in enumerate(rows["row_id"]):
        named = {part: some[place] for part, some in sources.items()}
        there = {part: source for part, source in named.items() if source in raw}
        if row_id not in shapes or not there:
            continue
        if len(there) < len(named) and task.absent == "error":
            missing = next(source for source in named.values() if source not in raw)
            raise PodiumError(f"{key}: row_id {row_id!r}: there is no {missing}; if that means empty, see task.absent")
        masks = []
        for part, source in named.items():
            if part not in there:
                masks.append(np.zeros((1, *shapes[row_id]), bool))
                continue
            try:
                own = (part,) if by_label else task.labels
                if spec.has_outlines:
                    named_in_file = len(task.labels) > 1 and not by_label
                    masks.append(outlines.read(raw.read(source), source, shapes[row_id], own, is_named=named_in_file))
                else:
                    masks.append(_read(raw.read(source), spec, own))
            except ValueError as error:
                raise PodiumError(f"{key}: row_id {row_id!r}: {source}: {error}") from None
            if masks[-1].shape[1:] != shapes[row_id]:
                (height, width), (high, wide) = masks[-1].shape[1:], shapes[row_id]
                raise PodiumError(
                    f"{key}: row_id {row_id!r}: {source} has {width} x {height} pixels, and its image {wide} x {high}"
                )
        found[row_id] = [rle.encode(mask) for mask in np.concatenate(masks)]
    return found


def _require_owner(template: str, used: set[str], raw: Raw, key: str) -> None:
    """Raise PodiumError for a mask of no row."""
    pattern = re.sub(r"\{[^{}]*\}", "*", template)
    suffixes = outlines.SUFFIXES if template.lower().endswith(outlines.SUFFIXES) else SUFFIXES
    if pattern != template and (extra := sorted(set(matched(pattern, raw, key, suffixes)["path"]) - used)):
        raise PodiumError(f"{key}: {extra[0]} is the mask of no image ({len(extra)} such files)")


def _read(data: bytes, spec: MaskImage, labels: Sequence[str]) -> np.ndarray:
    """Return `(c, h, w)` bool; raises ValueError for what is no mask as `spec` says."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            mode, pixels = image.mode, np.asarray(image)
    except Exception as error:  # whatever a damaged file makes a decoder raise
        raise ValueError(f"cannot be read ({error})") from error
    if pixels.ndim == 3:  # noqa: PLR2004  # with colours
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise ValueError("has colours, and a mask is gray or has a palette")
        mode, pixels = "L", pixels[..., 0]
    if spec.grays is None:
        if mode not in _DEPTHS:
            what = "a palette" if mode == "P" else f"pixels of Pillow's mode {mode}"
            raise ValueError(f"has {what}; say in task.image.grays which numbers each class has")
        return (pixels > _DEPTHS[mode] // 2)[None]
    known = [*spec.background, *(value for some in spec.grays.values() for value in some)]
    strange = np.setdiff1d(pixels, known)
    if len(strange):
        raise ValueError(f"has pixels of {preview(strange.tolist())}, which is no class in task.image.grays")
    return np.stack([np.isin(pixels, spec.grays[label]) for label in labels])


def _of_table(
    task: Any, rows: pd.DataFrame, everyone: pd.DataFrame, shapes: Mapping[str, tuple[int, int]], raw: Raw, where: str
) -> dict[str, list[str]]:
    spec: MaskTable = task.table
    at = f"{where}: task.table"
    if spec.source not in raw:
        raise PodiumError(f"{at}.source: there is no {spec.source}; there are: {preview(raw.sources())}")
    table = csv_table.read(raw.require(spec.source), spec.source)
    csv_table.require(table, [spec.runs, *([spec.label] if spec.label else [])], f"{at}: {spec.source}")
    table = pd.DataFrame(
        {
            "row_id": fill(spec.id, table, f"{at}.id"),
            "label": table[spec.label] if spec.label else task.labels[0],
            "runs": table[spec.runs],
        }
    )
    where = f"{at}: {spec.source}"
    strange = table[~table["label"].isin(task.labels)]
    if len(strange):
        line = strange.iloc[0]
        raise PodiumError(f"{where}: row_id {line['row_id']!r}: {line['label']!r} is not in task.labels")
    twice = table[table.duplicated(["row_id", "label"])]
    if len(twice):
        raise PodiumError(f"{where}: row_id {twice.iloc[0]['row_id']!r} has two lines of one class")
    wanted = set(rows["row_id"])
    strangers = sorted(set(table["row_id"]) - set(everyone["row_id"]))
    if strangers:
        raise PodiumError(f"{where}: there is no image for row_id {preview(strangers)}")
    found: dict[str, list[str]] = {}
    for row_id, label, runs in table.itertuples(index=False, name=None):
        if row_id not in wanted or row_id not in shapes:
            continue
        masks = found.setdefault(row_id, [""] * len(task.labels))
        if not isinstance(runs, str) or runs.strip() in ("", "-1"):  # how competitions write an empty mask
            continue
        try:
            mask = rle.decode(runs, shapes[row_id], task.runs.order, task.runs.first)
        except ValueError as error:
            raise PodiumError(f"{where}: row_id {row_id!r}: {error}") from None
        masks[task.labels.index(label)] = rle.encode(mask)
    return found
