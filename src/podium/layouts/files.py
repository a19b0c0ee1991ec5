"""Labels in file names or folders: `train/{label}/{id}.*`, `train.zip#train/{label}.{number}.jpg`."""

from pathlib import Path

import pandas as pd

from podium.errors import PodiumError, preview
from podium.imaging.templates import fill, matched
from podium.layouts import Layout as Base
from podium.layouts import Listing, listing, positions
from podium.settings import Settings
from podium.storage.raw import Raw


class Part(Settings):
    """`images` is the pattern of the sources; its parts in braces are columns, and `path` is the whole.

    `id` is a template over them, or one of them. Where a row has several images, `row` is the template of its id.
    """

    images: str
    """The pattern of the sources; its parts in braces are columns, and `path` is the whole."""
    id: str = "id"
    """The image's id: a template over the columns, or one of them."""
    row: str | None = None
    """The template of the row's id where a row has several images; null: each image is a row."""
    only: tuple[str, ...] = ()
    """The ids of the images that belong here; none: all that fit the pattern."""
    order: str | None = None
    """The column of numbers that a row's images are in order of, for heads that take each; null: of their ids."""


class Layout(Base, Part):
    """Files whose names tell their labels, and `test`: those to predict, where the competition has some."""

    test: Part | None = None
    """The images to predict, where the competition has some."""

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the key and an image that does not fit."""
        with Raw(folder) as raw:
            parts = [read_part(raw, self, "train", "layout")]
            if self.test:
                test = self.test.model_copy(update={"order": self.test.order or self.order})
                parts.append(read_part(raw, test, "test", "layout.test"))
        return Listing.joined(parts)


def read_part(raw: Raw, part: Part, split: str, key: str) -> Listing:
    """Return the images that fit a part's pattern; raises PodiumError that opens with `key`."""
    table = matched(part.images, raw, f"{key}.images")
    ids = fill(part.id, table, f"{key}.id")
    if part.only:
        if unknown := sorted(set(part.only) - set(ids)):
            raise PodiumError(f"{key}.only: {part.images!r} fits no image of id {preview(unknown)}")
        table = table[[one in part.only for one in ids]].reset_index(drop=True)
        ids = fill(part.id, table, f"{key}.id")
    rows = fill(part.row, table, f"{key}.row") if part.row else ids
    images = pd.DataFrame({"image_id": ids, "row_id": rows, "source": table["path"]}, dtype="str")
    if part.order:
        images["position"] = positions(table, part.order, key)
    return listing(images, table, rows, split)
