"""How a competition's files say which image has which label. One module per kind: `class Layout`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from pydantic import Field

from podium.errors import PodiumError, preview
from podium.imaging.images import MAX_MEGAPIXELS
from podium.settings import Settings


@dataclass(frozen=True)
class Listing:
    """What a layout finds, before any image is opened.

    `images` has text columns image_id, row_id, source, and perhaps numbers in `position`. `rows` has text columns
    row_id, split and the competition's own columns (labels and metadata) as text; labels of test rows are missing.
    Where a row has several images it may have as many lines, which agree in what is used of them. A column of the
    competition that is called row_id or split itself gets an underscore behind its name.
    """

    images: pd.DataFrame
    rows: pd.DataFrame

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return one listing of several, such as train and test."""
        return cls(
            images=pd.concat([part.images for part in parts], ignore_index=True),
            rows=pd.concat([part.rows for part in parts], ignore_index=True),
        )


def listing(images: pd.DataFrame, table: pd.DataFrame, rows: Sequence[str], split: str) -> Listing:
    """Return a listing of one split from the competition's `table` and the row id of each of its lines."""
    own = table.rename(columns={"row_id": "row_id_", "split": "split_"})
    return Listing(images, own.assign(row_id=list(rows), split=split))


def positions(table: pd.DataFrame, order: str, where: str) -> pd.Series:
    """Return the numbers of the column `order`, the images' places within their rows."""
    if order not in table.columns:
        raise PodiumError(f"{where}.order: no column {order!r}; choose one of: {', '.join(map(str, table.columns))}")
    found = pd.to_numeric(table[order], errors="coerce")
    if found.isna().any():
        raise PodiumError(f"{where}.order: {order}: no number in {preview(table.loc[found.isna(), order])}")
    return found.astype("float64")


class Layout(Settings):
    """Reads the tables and file names of the raw data.

    `group`, `weight` and `metadata` name columns: rows of one group share a fold, weights are positive numbers, and
    metadata stay with the rows beside their targets.
    """

    group: str | None = None
    """A column: rows of one group share a fold; null: each row is a group of its own."""
    weight: str | None = None
    """A column of positive weights of rows; null: all weigh the same."""
    metadata: tuple[str, ...] = ()
    """Columns that stay with the rows beside their targets."""
    unlabelled: Literal["drop", "extra"] = "drop"
    """Rows to train on that have no label are left out, or kept for `students` to learn from."""
    max_unreadable: float = Field(0.01, ge=0, le=1)
    """The greatest share of images, of those to train on and of those to predict, that may be missing or damaged."""
    max_megapixels: float = Field(MAX_MEGAPIXELS, gt=0)
    """The largest image that is decoded; one whose header says more is quarantined, since its memory follows that."""

    @property
    def has_images(self) -> bool:
        """Tell whether rows have images; where not, metadata are all that a model can learn from."""
        return True

    def read(self, folder: Path) -> Listing:
        """Return the listing of the raw data in `folder`; raises PodiumError naming file and column."""
        raise NotImplementedError

    def parts(self, source: str, size: tuple[int, int]) -> list[str]:  # noqa: ARG002  # for layouts of large pictures
        """Return the sources of the images that a picture to predict, of this width and height, is seen as."""
        return [source]

    def images_key(self, split: str) -> str:  # noqa: ARG002  # for layouts with a key for each
        """Return the key, and its value, that says which files the images of train or test are."""
        return "layout"
