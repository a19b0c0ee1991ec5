"""Columns of metadata, which are text, as the numbers that a model's first step takes: NaN where a cell is missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

Encoding = Literal["number", "date", "onehot", "ordinal", "target"]

NAME = "metadata"  # the backbone of a member that has no other features
PREFIX = "meta_"  # of metadata's columns in the Rows table
UNKNOWN = -1.0  # the code of a category that is not in the list

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


@dataclass(frozen=True)
class MetadataColumn:
    """One column: how a model uses it, and of categories their list, in their order.

    A category's number is its place in the list, a mere name; what a model learns of each category is in the model.
    """

    name: str
    encoding: Encoding
    categories: tuple[str, ...] = ()

    def numbers(self, cells: Iterable[Any]) -> np.ndarray:
        """Return `(n,)` float32 of cells that are text, or None or NaN where missing; what cannot be read is NaN."""
        if self.encoding in ("number", "date"):
            read = as_number if self.encoding == "number" else as_days
            return np.array([read(cell) for cell in cells], np.float32)
        places = {name: float(place) for place, name in enumerate(self.categories)}
        return np.array([np.nan if is_missing(cell) else places.get(str(cell), UNKNOWN) for cell in cells], np.float32)


def is_missing(cell: Any) -> bool:
    """Tell whether a cell holds nothing."""
    return cell is None or cell == "" or cell != cell  # noqa: PLR0124  # NaN is what differs from itself


def as_number(cell: Any) -> float:
    """Return a cell as a number that float32 can hold; NaN where it is none."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return np.nan
    return number if abs(number) <= np.finfo(np.float32).max else np.nan


def as_days(cell: Any) -> float:
    """Return an ISO date or time as days since 1970, UTC unless it says otherwise; NaN where it is none."""
    try:
        when = datetime.fromisoformat(cell)
    except (TypeError, ValueError):
        return np.nan
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - _EPOCH).total_seconds() / _DAY_S
