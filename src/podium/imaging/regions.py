"""Parts of an image by name: `file@x,y,w,h`, or `archive#member@x,y,w,h`, in whole pixels from the top left corner."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_PART = re.compile(r"(.+)@(\d{1,9}),(\d{1,9}),([1-9]\d{0,8}),([1-9]\d{0,8})")


class Region(NamedTuple):
    """A part of the image `whole`; without `is_part` it is all of it, and nobody knows yet how large that is."""

    whole: str
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    @property
    def is_part(self) -> bool:
        """Return whether it is less than the whole image."""
        return self.width > 0

    @property
    def source(self) -> str:
        """Return the part's name."""
        return f"{self.whole}@{self.x},{self.y},{self.width},{self.height}" if self.is_part else self.whole


def parse(source: str) -> Region:
    """Return the part of an image that a source names."""
    found = _PART.fullmatch(source)
    return Region(found[1], *map(int, found.groups()[1:])) if found else Region(source)


def blocks(length: int, about: int) -> list[tuple[int, int]]:
    """Return the starts and lengths of disjoint blocks that cover a side, as equal as can be, of `about` pixels."""
    n = max(round(length / about), 1)
    ends = [round(length * k / n) for k in range(n + 1)]
    return [(start, stop - start) for start, stop in pairwise(ends)]


def tiles(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Return the starts and lengths of tiles that cover a side: neighbours share `overlap` pixels or more."""
    if length <= tile:
        return [(0, length)]
    n = -(-(length - overlap) // (tile - overlap))
    return [(round((length - tile) * k / (n - 1)), tile) for k in range(n)]


def grid(whole: str, across: list[tuple[int, int]], down: list[tuple[int, int]]) -> Iterator[tuple[str, Region]]:
    """Yield `row-column` and the part, for each pair of a stretch down and one across."""
    for row, (y, height) in enumerate(down):
        for column, (x, width) in enumerate(across):
            yield f"{row}-{column}", Region(whole, x, y, width, height)
