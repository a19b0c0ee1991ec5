"""The gate before the upload: the sample's ids in the sample's order, its columns, and cells that mean something.

`podium check` and the submit stage share it. It reads the file's text itself, because a table reader forgives what a
competition's server may not: a byte-order mark, a blank line, `1_000`, a cell too many.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podium.contracts import rle
from podium.errors import PodiumError, preview
from podium.storage import csv_table

MOST_BYTES = 500 * 2**20  # far above any sample submission's; a bigger file is a mistake
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SHOWN = 80  # characters of a line that a message repeats


@dataclass(frozen=True)
class Runs:
    """The height and width of each line's image, by its id, and the number of the first pixel."""

    shapes: Mapping[str, tuple[int, int]]
    first: int = 1


@dataclass(frozen=True)
class CellSpec:
    """What the cells of one column may hold: numbers in [low, high], labels, text, or run-length codes.

    With `separator` a cell holds from `least` to `most` different labels; without, exactly one. Text is of `least` to
    `most` characters of `alphabet`.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    labels: tuple[str, ...] | None = None
    separator: str | None = None
    least: int = 0
    most: int | None = None
    alphabet: str | None = None
    runs: Runs | None = None

    def fault(self, cell: str, line_id: str = "") -> str | None:
        """Return what is wrong with a cell of the line with this id, or None."""
        if self.runs is not None:
            return rle.fault(cell, self.runs.shapes[line_id], self.runs.first)
        if self.alphabet is not None:
            return self._fault_of_text(cell)
        return self._fault_of_number(cell) if self.labels is None else self._fault_of_labels(cell)

    def _fault_of_number(self, cell: str) -> str | None:
        if not _NUMBER.fullmatch(cell):
            return "must be a number, such as 0.25 or 1e-05"
        value = float(cell)
        if not math.isfinite(value):
            return "must be finite"
        if not self.low <= value <= self.high:
            return f"must be in [{self.low:g}, {self.high:g}]"
        return "must be a whole number" if self.whole and value % 1 else None

    def _fault_of_text(self, cell: str) -> str | None:
        assert self.alphabet is not None
        if strange := [char for char in cell if char not in self.alphabet]:
            return f"holds {strange[0]!r}; the alphabet is {self.alphabet}"
        if self.least <= len(cell) <= (self.most or math.inf):
            return None
        asked = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"has {len(cell)} characters, not {asked}"

    def _fault_of_labels(self, cell: str) -> str | None:
        assert self.labels is not None
        if self.separator is None:
            return None if cell in self.labels else f"must be one of {preview(self.labels)}"
        named = cell.split(self.separator) if cell else []
        strange = [name for name in named if name not in self.labels]
        if strange:
            return f"{strange[0]!r} is no label; choose from {preview(self.labels)}"
        if len(set(named)) < len(named):
            return "must name a label once only"
        if len(named) < self.least:
            return f"must name at least {self.least} of {preview(self.labels)}"
        return f"must name at most {self.most} labels" if self.most is not None and len(named) > self.most else None


def read_sample(path: Path) -> pd.DataFrame:
    """Return the sample submission as text, its id column first."""
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `dvc repro prepare`")
    sample = csv_table.read(path.read_bytes(), str(path))
    id_column = sample.columns[0]
    twice = sample[id_column].duplicated() | sample[id_column].isna()
    if twice.any():
        first = int(twice.to_numpy().argmax())
        cells = sample.iloc[first].fillna("")
        raise _refusal(str(path), first + 2, cells, f"each {id_column} must be there, and once")
    return sample


def check(path: Path, sample: pd.DataFrame, cell_specs: Mapping[str, CellSpec], where: str) -> pd.DataFrame:
    """Return a submission file as text, or raise PodiumError: one line that shows the first line at fault.

    Args:
        path: the CSV.
        sample: the sample submission, by `read_sample`.
        cell_specs: what each column after the id may hold.
        where: what the error calls the file.
    """
    columns = list(sample.columns)
    lines = _lines(_text(path, where), where)
    _check_shape(lines, columns, where)
    _check_ids(lines[1:], list(sample.iloc[:, 0]), columns[0], where)
    for number, cells in lines[1:]:
        for name, cell in zip(columns[1:], cells[1:], strict=True):
            fault = cell_specs[name].fault(cell, cells[0])
            if fault:
                raise _refusal(where, number, cells, f"{name} {fault}")
    return pd.DataFrame([cells for _, cells in lines[1:]], columns=columns, dtype="str")


def _text(path: Path, where: str) -> str:
    """Return the whole file as text; raises PodiumError at the first thing that is no plain CSV text."""
    if not path.is_file():
        raise PodiumError(f"{where}: there is no such file")
    if path.stat().st_size > MOST_BYTES:
        raise PodiumError(f"{where}: {path.stat().st_size:,} bytes; a submission has at most {MOST_BYTES:,}")
    data = path.read_bytes()
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise PodiumError(f"{where}: line 1: it begins with a byte-order mark, which would become part of the header")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PodiumError(f"{where}: line {line}: not UTF-8 text (byte {data[error.start]:#04x})") from None
    text = text.replace("\r\n", "\n")
    odd = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise PodiumError(f"{where}: line {line}: it holds the control character {odd[0]!r}")
    if not text.endswith("\n"):
        last = text.rpartition("\n")[2]
        number = text.count("\n") + 1
        raise PodiumError(f"{where}: line {number}: {last[-_SHOWN:]!r}: does not end; the file is empty or cut short")
    return text


def _lines(text: str, where: str) -> list[tuple[int, list[str]]]:
    """Return the number of each line (its first, where quotes hold several) and its cells."""
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    lines: list[tuple[int, list[str]]] = []
    number = 1
    try:
        for cells in reader:
            lines.append((number, cells))
            number = reader.line_num + 1
    except csv.Error as error:
        raise PodiumError(f"{where}: line {number}: not a line of CSV ({error})") from None
    return lines


def _check_shape(lines: Sequence[tuple[int, list[str]]], columns: list[str], where: str) -> None:
    number, header = lines[0]
    if header != columns:
        raise _refusal(where, number, header, f"the header must be {','.join(columns)}")
    for number, cells in lines:
        if not cells:
            raise PodiumError(f"{where}: line {number}: it is empty")
        if len(cells) != len(columns):
            raise _refusal(where, number, cells, f"{len(cells)} cells, where the header has {len(columns)}")


def _check_ids(lines: Sequence[tuple[int, list[str]]], expected: list[str], name: str, where: str) -> None:
    known, seen = set(expected), set()
    for number, cells in lines:
        if cells[0] in seen:
            raise _refusal(where, number, cells, f"this {name} has a line already")
        if cells[0] not in known:
            raise _refusal(where, number, cells, f"this {name} is not in the sample submission")
        seen.add(cells[0])
    lacking = [given for given in expected if given not in seen]
    if lacking:
        last = lines[-1][0] if lines else 1
        raise PodiumError(f"{where}: line {last} is the last, and there is no line for {name} {preview(lacking)}")
    for (number, cells), given in zip(lines, expected, strict=True):
        if cells[0] != given:
            raise _refusal(where, number, cells, f"the sample submission has {given!r} here; keep its order")


def _refusal(where: str, number: int, cells: Iterable[str], reason: str) -> PodiumError:
    line = ",".join(cells)
    line = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    return PodiumError(f"{where}: line {number}: {line!r}: {reason}")
