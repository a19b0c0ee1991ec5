"""One line per image in a table: its id, its file and whatever else is known of it."""

from pathlib import Path
from string import Formatter

import pandas as pd

from podium.contracts import csv_table
from podium.contracts.raw import Raw
from podium.errors import PodiumError, shown
from podium.frozen import Frozen
from podium.layouts import Layout as Base
from podium.layouts import Listing


class Cell(str):
    """A cell's text, of which a template may ask for a part of the path: `{path.stem}`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The last part of a path."""
        return Path(self).name

    @property
    def stem(self) -> str:
        """The last part of a path, without its extension."""
        return Path(self).stem


class Part(Frozen):
    """One table of the raw data, and how its lines name ids and images.

    `table` is a source: a file or `archive#member`. `id` and `image` are templates over the table's columns
    (`train/{id}.jpg`, `{path.stem}`), or a column's name; an image is a source too. `columns` names the columns of a
    table without a header.
    """

    table: str
    separator: csv_table.Separator = "comma"
    columns: tuple[str, ...] = ()
    id: str = "id"
    image: str


class Layout(Base, Part):
    """A table of labelled images, and `test`: one of those to predict, where the competition has one."""

    test: Part | None = None

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the file, the key and the columns that there are."""
        with Raw(folder) as raw:
            parts = [_read(raw, self, "train", "layout")]
            if self.test:
                parts.append(_read(raw, self.test, "test", "layout.test"))
        return Listing(
            images=pd.concat([part.images for part in parts], ignore_index=True),
            rows=pd.concat([part.rows for part in parts], ignore_index=True),
        )


def _read(raw: Raw, part: Part, split: str, key: str) -> Listing:
    if part.table not in raw:
        raise PodiumError(f"{key}.table: there is no {part.table}; there are: {shown(raw.sources())}")
    table = csv_table.read(raw.read(part.table), part.table, part.separator, part.columns)
    ids = _fill(part.id, table, f"{part.table}: {key}.id")
    sources = _fill(part.image, table, f"{part.table}: {key}.image")
    return Listing(
        images=pd.DataFrame({"image_id": ids, "row_id": ids, "source": sources}, dtype="str"),
        rows=table.rename(columns={"row_id": "row_id_", "split": "split_"}).assign(row_id=ids, split=split),
    )


def _fill(template: str, table: pd.DataFrame, where: str) -> list[str]:
    """Return the template, filled with each line's cells."""
    is_column = "{" not in template
    fields = [template] if is_column else [name for _, name, _, _ in Formatter().parse(template) if name]
    columns = fields if is_column else sorted({name.partition(".")[0] for name in fields})
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
