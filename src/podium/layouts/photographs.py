"""Large photographs, whose objects are to be found: disjoint blocks are rows to train on, whole ones are to predict."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Self

import pandas as pd
from pydantic import Field, model_validator

from podium.errors import PodiumError, preview
from podium.imaging import regions
from podium.imaging.pixels import dimensions
from podium.imaging.regions import Region
from podium.layouts import Layout as Base
from podium.layouts import Listing
from podium.storage.raw import Raw


class Layout(Base):
    """Photographs by their sources. A row's columns are `photograph` (its name) and `path` (its source).

    A photograph to train on becomes disjoint blocks, a row each, so that folds can hold blocks of one photograph. One
    to predict is one row, seen in overlapping tiles, each of which is an image of it.
    """

    images: tuple[str, ...] = Field(min_length=1)
    """The sources of the photographs to train on."""
    test: tuple[str, ...] = ()
    """The sources of those to predict."""
    block: int = Field(400, ge=16)
    """About the side of a block, in pixels: a photograph is cut into blocks as equal as can be."""
    tile: int = Field(400, ge=16)
    """The side of a tile, in pixels."""
    overlap: int = Field(100, ge=0)
    """The least pixels that neighbouring tiles share."""

    @model_validator(mode="after")
    def _tiles_move_on(self) -> Self:
        if self.overlap >= self.tile:
            raise ValueError(f"`overlap`: {self.overlap} must be less than `tile`: {self.tile}")
        return self

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the key and a photograph that is not there."""
        with Raw(folder) as raw:
            train = [self._blocks(source, _size(raw, source, "images")) for source in self.images]
            test = [self._tiles(source, _size(raw, source, "test")) for source in self.test]
        listing = Listing.joined([*train, *test])
        twice = listing.images["image_id"].duplicated()
        if twice.any():
            raise PodiumError(f"layout.images: two photographs are called {preview(listing.rows['photograph'][twice])}")
        return listing

    def parts(self, source: str, size: tuple[int, int]) -> list[str]:
        """See Layout; tiles."""
        return [part.source for _, part in self._grid(source, size)]

    def images_key(self, split: str) -> str:
        """See Layout."""
        return f"layout.{'test' if split == 'test' else 'images'}"

    def _blocks(self, source: str, size: tuple[int, int]) -> Listing:
        across, down = (regions.blocks(side, self.block) for side in size)
        parts = [(f"{_name(source)}_{at}", part) for at, part in regions.grid(source, across, down)]
        ids = [name for name, _ in parts]
        return _listing(source, ids, ids, [part for _, part in parts], "train")

    def _tiles(self, source: str, size: tuple[int, int]) -> Listing:
        parts, name = self._grid(source, size), _name(source)
        ids = [f"{name}_{at}" for at, _ in parts]
        return _listing(source, ids, [name] * len(ids), [part for _, part in parts], "test")

    def _grid(self, source: str, size: tuple[int, int]) -> list[tuple[str, Region]]:
        across, down = (regions.tiles(side, self.tile, self.overlap) for side in size)
        return list(regions.grid(source, across, down))


def _listing(source: str, ids: Sequence[str], rows: Sequence[str], parts: Sequence[Region], split: str) -> Listing:
    images = pd.DataFrame({"image_id": ids, "row_id": rows, "source": [part.source for part in parts]}, dtype="str")
    table = pd.DataFrame({"row_id": list(dict.fromkeys(rows)), "split": split}, dtype="str")
    return Listing(images, table.assign(photograph=_name(source), path=source).astype("str"))


def _name(source: str) -> str:
    return PurePosixPath(source.rpartition("#")[2]).stem


def _size(raw: Raw, source: str, key: str) -> tuple[int, int]:
    if source not in raw:
        raise PodiumError(f"layout.{key}: there is no {source}; there are: {preview(raw.sources())}")
    size = dimensions(raw.require(source))
    if size is None:
        raise PodiumError(f"layout.{key}: {source}: it is damaged, or no image")
    return size
