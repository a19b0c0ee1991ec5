"""Templates such as `train/{label}/{id}.jpg`: filled from a table's cells, or read backwards from file names."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import PurePosixPath
from string import Formatter

import pandas as pd

from podium.errors import PodiumError
from podium.imaging.images import SUFFIXES
from podium.storage import csv_table
from podium.storage.raw import Raw

_ANY_SUFFIX = ".*"


class Cell(str):
    """A cell's text, of which a template may ask for a part of the path: `{path.stem}`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The last part of a path."""
        return PurePosixPath(self).name

    @property
    def stem(self) -> str:
        """The last part of a path, without its extension."""
        return PurePosixPath(self).stem


def fill(template: str, table: pd.DataFrame, where: str) -> list[str]:
    """Return the template, filled with each line's cells; a text without braces is a column's name."""
    is_column = "{" not in template
    names = [template] if is_column else [name for _, name, _, _ in Formatter().parse(template) if name]
    columns = names if is_column else sorted({name.partition(".")[0] for name in names})
    csv_table.require(table, columns, where)
    empty = table.index[table[columns].isna().any(axis=1)]
    if len(empty):
        raise PodiumError(f"{where}: line {empty[0] + 1} of the table has no {' or '.join(columns)}")
    if is_column:
        return list(table[template])
    try:
        return [
            template.format_map(dict(zip(columns, map(Cell, cells), strict=True)))
            for cells in table[columns].itertuples(index=False)
        ]
    except AttributeError:
        raise PodiumError(f"{where}: {template!r}: of a cell, only .name and .stem can be taken") from None


def located(sources: Iterable[str], raw: Raw) -> list[str]:
    """Return the sources as they are really called: `.*` stands for an image's extension, and case does not count.

    One that is not there, or could be two, stays as it is: it will be quarantined as missing.
    """
    asked = list(sources)
    if all(source in raw for source in asked):
        return asked
    known: dict[str, list[str]] = {}
    for source in raw.sources():
        if source.lower().endswith(SUFFIXES):
            known.setdefault(source.casefold(), []).append(source)
            known.setdefault(source[: source.rindex(".")].casefold() + _ANY_SUFFIX, []).append(source)
    return [
        source if source in raw or len(found := known.get(source.casefold(), [])) != 1 else found[0] for source in asked
    ]


def is_open(template: str) -> bool:
    """Tell whether a template may fit any number of images: it has a `*` beside that of the extension."""
    return "*" in template.removesuffix(_ANY_SUFFIX)


def expanded(sources: Iterable[str], raw: Raw, where: str) -> list[list[str]]:
    """Return the images that each source with a `*` stands for, sorted; `*` takes no slash or `#`.

    A source that fits none stays as it is: it will be quarantined as missing. Raises PodiumError where two of them
    fit one image.
    """
    images = sorted(source for source in raw.sources() if source.lower().endswith(SUFFIXES))
    found, owner = [], dict[str, str]()
    for source in sources:
        before, _, after = source.partition("*")
        pattern = re.compile(f"[^/#]*?{'[^/#]*?'.join(map(re.escape, after.split('*')))}", re.IGNORECASE)
        own = []
        for image in images[bisect_left(images, before) :]:
            if not image.startswith(before):
                break
            if pattern.fullmatch(image, len(before)):
                own.append(image)
        for image in own:
            if owner.setdefault(image, source) != source:
                raise PodiumError(f"{where}: both {owner[image]} and {source} fit {image}; name the images one by one")
        found.append(own or [source])
    return found


def matched(template: str, raw: Raw, where: str, suffixes: tuple[str, ...] = SUFFIXES) -> pd.DataFrame:
    """Return one line per image whose source fits the template: the parts of its name, and `path`, the source.

    A part in braces or `*` takes any text without a slash or `#`, as little as fits; case does not count. Other files
    than images are found by their `suffixes`.
    """
    tokens = re.split(r"(\{[^{}]*\}|\*)", template)
    names = [token[1:-1] for token in tokens if token.startswith("{")]
    odd = [name for name in names if not name.isidentifier() or names.count(name) > 1 or name == "path"]
    if odd:
        raise PodiumError(f"{where}: {{{odd[0]}}} must be a word of its own, and not path")
    parts = {"*": "[^/#]*?"} | {f"{{{name}}}": f"(?P<{name}>[^/#]+?)" for name in names}
    pattern = re.compile("".join(parts.get(token, re.escape(token)) for token in tokens), re.IGNORECASE)
    found = [
        match.groupdict() | {"path": source}
        for source in raw.sources()
        if source.lower().endswith(suffixes) and (match := pattern.fullmatch(source))
    ]
    if not found:
        files = [source for source in raw.sources() if source.lower().endswith(suffixes)]
        example = f"; one of them is {files[0]!r}" if files else ""
        what = "images" if suffixes is SUFFIXES else "files of this kind"
        raise PodiumError(f"{where}: {template!r} fits none of {len(files)} {what}{example}")
    return pd.DataFrame(found, dtype="str")
