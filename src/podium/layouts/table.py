"""One line per image or row in a table: its id, its file and whatever else is known of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import model_validator

from podium.errors import PodiumError, preview
from podium.imaging.templates import expanded, fill, is_open, located
from podium.layouts import Layout as Base
from podium.layouts import Listing, listing, positions
from podium.settings import Settings
from podium.storage import csv_table
from podium.storage.raw import Raw


class Part(Settings):
    """One table of the raw data, and how its lines name ids and images.

    `table` is a source: a file or `archive#member`; `columns` names the columns of one without a header. `id` and
    `image` are templates over the columns (`train/{id}.jpg`, `{path.stem}`), or a column's name. An image is a source
    too, and may end in `.*`. Where a row has several images, either each line names several (`image` is a list, or
    has a `*` that stands for any text without a slash: `photos/{id}-*.jpg`), or several lines belong to one row (`row`
    is the template of its id, and `id` of the image's).
    """

    table: str
    """The source of the table: a file or `archive#member`."""
    separator: csv_table.Separator = "comma"
    """What stands between cells."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a table without a header."""
    id: str = "id"
    """The image's id: a template over the columns, or one of them."""
    image: str | tuple[str, ...] | None = None
    """The image's source, or several: templates over the columns; `*` stands for any text. Null: no images."""
    row: str | None = None
    """The template of the row's id where several lines belong to one row."""
    order: str | None = None
    """The column of numbers that a row's images are in order of, for heads that take each; null: of their ids."""


_INHERITED = ("id", "image", "row", "order", "separator")


class TestPart(Part):
    """A table of rows to predict; `id`, `image`, `row`, `order` and `separator`, left out, are those of the layout.

    A sample submission has made-up labels, so none are read unless `labelled`.
    """

    labelled: bool = False
    """Whether the table has the labels, which then are held out."""


class Layout(Base, Part):
    """A table of labelled images, and `test`: one of those to predict, where the competition has one."""

    test: TestPart | None = None
    """The table of the rows to predict, where the competition has one."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, read: Any) -> Any:
        """Give `test` what it leaves out."""
        if isinstance(read, Mapping) and isinstance(read.get("test"), Mapping):
            return {**read, "test": {key: read[key] for key in _INHERITED if key in read} | dict(read["test"])}
        return read

    @model_validator(mode="after")
    def _agree_on_images(self) -> Self:
        if not self.has_images and not self.metadata:
            raise ValueError("`image` is missing; where rows have none, name the columns to learn from in `metadata`")
        if self.test and (self.test.image is None) == self.has_images:
            raise ValueError("`image` must be in `test` too, or in neither")
        return self

    @property
    def has_images(self) -> bool:
        """See Layout."""
        return self.image is not None

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the file, the key and the columns that there are."""
        with Raw(folder) as raw:
            parts = [_read(raw, self, "train", "layout")]
            if self.test:
                found = _read(raw, self.test, "test", "layout.test")
                kept = ["row_id", "split", *self.metadata, *filter(None, (self.group, self.weight))]
                rows = found.rows if self.test.labelled else found.rows[found.rows.columns.intersection(kept)]
                parts.append(Listing(found.images, rows))
        return Listing.joined(parts)

    def images_key(self, split: str) -> str:
        """See Layout."""
        if split == "test" and self.test is not None:
            return f"layout.test.image: {self.test.image!r}"
        return f"layout.image: {self.image!r}"


def _read(raw: Raw, part: Part, split: str, key: str) -> Listing:
    if part.table not in raw:
        raise PodiumError(f"{key}.table: there is no {part.table}; there are: {preview(raw.sources())}")
    table = csv_table.read(raw.require(part.table), part.table, part.separator, part.columns)
    ids = fill(part.id, table, f"{part.table}: {key}.id")
    rows = fill(part.row, table, f"{part.table}: {key}.row") if part.row else ids
    templates = (part.image,) if isinstance(part.image, str) else part.image or ()
    several = len(templates) > 1
    if len(templates) == 1 and is_open(templates[0]):
        return listing(_open(raw, templates[0], table, ids, rows, f"{part.table}: {key}.image"), table, rows, split)
    images = [
        pd.DataFrame(
            {
                "image_id": [f"{name}/{place}" for name in ids] if several else ids,
                "row_id": rows,
                "source": located(fill(template, table, f"{part.table}: {key}.image"), raw),
            },
            dtype="str",
        )
        for place, template in enumerate(templates)
    ]
    if part.order:  # several images of one line follow each other
        given = positions(table, part.order, f"{part.table}: {key}")
        for place, frame in enumerate(images):
            frame["position"] = given.to_numpy() + place / len(images)
    none = pd.DataFrame(columns=["image_id", "row_id", "source"], dtype="str")
    return listing(pd.concat(images or [none], ignore_index=True), table, rows, split)


def _open(raw: Raw, template: str, table: pd.DataFrame, ids: list[str], rows: list[str], where: str) -> pd.DataFrame:
    """Return the images of a template that fits any number of them."""
    found = expanded(fill(template, table, where), raw, where)
    lines = [
        (f"{image_id}/{place}", row_id, source)
        for image_id, row_id, sources in zip(ids, rows, found, strict=True)
        for place, source in enumerate(sources)
    ]
    return pd.DataFrame(lines, columns=["image_id", "row_id", "source"], dtype="str")
