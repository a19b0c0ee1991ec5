"""Tables as CSV. Of other people's, every cell is read as text, and an empty one is missing."""

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from podium.errors import PodiumError
from podium.storage.files import atomic

Separator = Literal["comma", "semicolon", "tab", "whitespace"]
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "whitespace": r"\s+"}


def read(data: bytes, where: str, separator: Separator = "comma", columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table of text, so that the id 007 stays 007; an empty cell is missing, and `NA` is a word.

    Args:
        data: the file's bytes, UTF-8 with or without a byte-order mark.
        where: the file's name, which opens an error.
        separator: what stands between two cells.
        columns: the names of the columns of a file that has no header.

    Raises PodiumError that names the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a line of too many cells would lose some
            frame = pd.read_csv(
                io.BytesIO(data),
                sep=_SEPARATORS[separator],
                names=list(columns) or None,
                header=None if columns else 0,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        raise PodiumError(f"{where}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise PodiumError(f"{where}: not a readable table ({str(error).strip()})") from None
    frame = frame.rename(columns=str.strip)
    require_distinct(frame, where)
    return frame


def require_distinct(frame: pd.DataFrame, where: str) -> None:
    """Raise PodiumError where two columns have one name, or a column has one that is no text."""
    for column in frame.columns:
        if not isinstance(column, str):
            raise PodiumError(f"{where}: the name of the column {column!r} is not text")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise PodiumError(f"{where}: the column {twice[0]!r} is there twice")


def require(frame: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Raise PodiumError naming `where` (file, and the key that asks) and the columns that there are."""
    for column in columns:
        if column not in frame.columns:
            raise PodiumError(
                f"{where}: there is no column {column!r}; it has: {', '.join(frame.columns)}{_hint(frame)}"
            )


def _hint(frame: pd.DataFrame) -> str:
    """Return what to try where all of a header landed in one cell."""
    header = str(frame.columns[0])
    for name, character in (("semicolon", ";"), ("tab", "\t"), ("comma", ","), ("whitespace", " ")):
        if len(frame.columns) == 1 and character in header:
            return f"; is the separator {name}?"
    return ""


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table whole or not at all: UTF-8, commas, line feeds, and decimals that read back the same."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
