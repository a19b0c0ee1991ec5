"""What is to be predicted: image files, folders of them, zip archives, a video's frames; as rows of pictures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from podium.errors import PodiumError, preview
from podium.imaging.images import SUFFIXES, UnreadableImageError
from podium.layouts.templates import fill
from podium.serving.runtime import Picture, Row, of_bytes
from podium.storage import csv_table
from podium.storage.archives import ZIPS
from podium.storage.raw import Raw

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class Found:
    """A source by name, and how its rows come; a video's come one after the other, and are read as they do."""

    name: str
    pictures: Callable[[], Iterator[Picture]]
    count: int


def find(given: Sequence[str]) -> list[Found]:
    """Return what PATHs hold, in their order; raises PodiumError for one that is not there or holds no image."""
    found: list[Found] = []
    for text in given:
        path = Path(text)
        if not path.exists():
            raise PodiumError(f"{text}: there is no such file or folder")
        if path.is_dir():
            inside = [
                one
                for file in sorted(path.rglob("*"))
                if file.is_file() and file.suffix.lower() in (*SUFFIXES, *ZIPS, *VIDEOS)
                for one in _of_file(file)
            ]
            if not inside:
                raise PodiumError(f"{text}: no image in this folder; it looks for {', '.join((*SUFFIXES, *ZIPS))}")
            found += inside
        else:
            found += _of_file(path)
    names = pd.Series([one.name for one in found])
    if names.duplicated().any():
        raise PodiumError(f"PATH: named twice: {preview(names[names.duplicated()].tolist())}")
    return found


def rows_of(found: Sequence[Found], template: str | None) -> Iterator[Row]:
    """Yield a row for each picture, in order; or for each that `template` names, such as `{path.stem}`.

    Several pictures of one name are one row. Raises PodiumError for a template that names no part of a path.
    """
    if template is None:
        for one in found:
            yield from (Row(picture.name, (picture,)) for picture in one.pictures())
        return
    if template == "path" or "{path" not in template:
        raise PodiumError(f"--rows: {template!r} is no CSV, and no template such as '{{path.stem}}' or '{{path.name}}'")
    if films := [one.name for one in found if Path(one.name).suffix.lower() in VIDEOS]:
        raise PodiumError(f"--rows: {films[0]}: a video's frames are rows of their own; leave the template out")
    pictures = [picture for one in found for picture in one.pictures()]
    # A member of an archive is named by its own path.
    names = [picture.name.rpartition("#")[2] for picture in pictures]
    ids = fill(template, pd.DataFrame({"path": names}, dtype="str"), "--rows")
    yield from _grouped(ids, pictures)


def rows_of_table(table: Path, given: Sequence[str]) -> list[Row]:
    """Return the rows of a CSV with columns row_id and image; a line is one image.

    An image is a path from PATH, the one folder or archive that holds them all.
    """
    if len(given) != 1:
        raise PodiumError("PATH: with a table of rows, give one folder or archive that holds its images")
    frame = csv_table.read(table.read_bytes(), str(table))
    csv_table.require(frame, ["row_id", "image"], str(table))
    if frame[["row_id", "image"]].isna().any(axis=None):
        raise PodiumError(f"{table}: a line has no row_id or no image")
    where = Path(given[0])
    inside = {one.name.removeprefix(f"{where}/").removeprefix(f"{where}#"): one for one in find(given)}
    return list(_grouped(frame["row_id"], [_named(inside, name) for name in frame["image"]]))


def _named(inside: dict[str, Found], name: str) -> Picture:
    if name in inside:
        return next(inside[name].pictures())

    def missing() -> np.ndarray:
        raise UnreadableImageError("there is no such file")

    return Picture(name, missing)


def _grouped(ids: Iterable[str], pictures: Iterable[Picture]) -> Iterator[Row]:
    """Yield rows, sorted, their pictures sorted by name: as a row's images are averaged everywhere."""
    by_row: dict[str, list[Picture]] = {}
    for row_id, picture in zip(ids, pictures, strict=True):
        by_row.setdefault(row_id, []).append(picture)
    for row_id in sorted(by_row):
        yield Row(row_id, tuple(sorted(by_row[row_id], key=lambda one: one.name)))


def _of_file(path: Path) -> list[Found]:
    suffix = path.suffix.lower()
    if suffix in ZIPS:
        raw = Raw(path.parent)
        members = [name for name in raw.members(path.name) if name.lower().endswith(SUFFIXES)]
        if not members:
            raise PodiumError(f"{path}: no image in this archive")
        return [_one(f"{path.parent / name}", partial(raw.read, name)) for name in members]
    if suffix in VIDEOS:
        return [_video(path)]
    return [_one(str(path), path.read_bytes)]


def _one(name: str, read: Callable[[], bytes]) -> Found:
    def safely() -> bytes:
        try:
            return read()
        except (OSError, ValueError) as error:
            raise UnreadableImageError(str(error)) from None

    return Found(name, lambda: iter((of_bytes(name, safely),)), 1)


def _video(path: Path) -> Found:
    """Return a video's frames, `PATH#0`, `PATH#1` ...; their pixels are decoded in order and once."""
    import cv2

    film = cv2.VideoCapture(str(path))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT)) if film.isOpened() else 0
    film.release()
    if count <= 0:
        raise PodiumError(f"{path}: OpenCV cannot read this video")

    def frames() -> Iterator[Picture]:
        film, number = cv2.VideoCapture(str(path)), 0
        while (answer := film.read())[0]:
            pixels = cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB)
            yield Picture(f"{path}#{number}", partial(np.asarray, pixels))
            number += 1
        film.release()

    return Found(str(path), frames, count)
