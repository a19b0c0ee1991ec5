"""Metadata columns as features: those that a member takes, and the step that encodes them, learnt on training rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from podium.contracts.metadata import PREFIX, Encoding, MetadataColumn, as_days, as_number
from podium.contracts.models import Fitted
from podium.contracts.steps import CategoryMeans, DateParts, EncodeMetadata, Impute, OneHot, Ordinal
from podium.errors import PodiumError, preview
from podium.splits import folds

Choice = bool | tuple[str, ...] | dict[str, Encoding | tuple[str, ...]]

_MOST_ONE_HOT = 50  # categories; a column of more is encoded by its mean target
_PARTS = 5  # inner folds of the mean target
_PRIOR_ROWS = 10  # how many rows of the mean target of all a category's own rows are held against
_YEAR_DAYS, _WEEK_DAYS, _DAY = 365.2425, 7.0, 1.0


@dataclass(frozen=True)
class Training:
    """The rows that an encoder learns from: `targets (n, k)`, and `y`, `group` and `weight` as heads take them."""

    y: np.ndarray
    targets: np.ndarray
    group: np.ndarray
    weight: np.ndarray
    seed: int
    is_value: bool


def names(rows: pd.DataFrame) -> list[str]:
    """Return the names of the metadata columns of the Rows table."""
    return [column.removeprefix(PREFIX) for column in rows.columns if column.startswith(PREFIX)]


def columns_of(rows: pd.DataFrame, choice: Choice) -> tuple[MetadataColumn, ...]:
    """Return the chosen columns of the Rows table with their encodings; test rows have no say in any.

    A column without an encoding holds numbers or ISO dates where all its cells do, else categories: one-hot up to 50 of
    them, above that by their mean target. Raises PodiumError where a column is not what was said of it.
    """
    trained = rows[rows["split"] != "test"]
    chosen: Mapping[str, Encoding | tuple[str, ...] | None]
    if isinstance(choice, Mapping):
        chosen = choice
    else:
        chosen = dict.fromkeys(names(rows) if isinstance(choice, bool) else choice)
    return tuple(_column(trained, name, said) for name, said in chosen.items())


def matrix(rows: pd.DataFrame, columns: Sequence[MetadataColumn]) -> np.ndarray:
    """Return `(n, m)` float32 of rows of the Rows table: what `EncodeMetadata` takes behind the features."""
    cells = [column.numbers(rows[PREFIX + column.name]) for column in columns]
    return np.stack(cells, axis=1) if cells else np.empty((len(rows), 0), np.float32)


def fit_encoder(
    columns: Sequence[MetadataColumn], n_features: int, cells: np.ndarray, data: Training
) -> tuple[EncodeMetadata, np.ndarray]:
    """Return the step, and what it makes of the training rows' cells `(n, m)`: `(n, e)` float32.

    The two differ for mean targets alone: a training row's come from inner folds without its group, or the head would
    read the row's own target.
    """
    steps: list[Fitted] = []
    encoded: list[np.ndarray] = []
    for column, own in zip(columns, cells.T[:, :, None].astype(np.float64), strict=True):
        if column.encoding == "target":
            step: Fitted = _means(own, data.targets, data.weight)
            encoded.append(_unseen_means(own, data))
        else:
            step = _fitted(column, own)
            encoded.append(step.predict(own))
        steps.append(step)
    return EncodeMetadata(n_features, tuple(steps)), np.hstack(encoded).astype(np.float32)


def _column(rows: pd.DataFrame, name: str, said: Encoding | tuple[str, ...] | None) -> MetadataColumn:
    if PREFIX + name not in rows.columns:
        choices = ", ".join(names(rows)) or "none: the competition's layout.metadata names no columns"
        raise PodiumError(f"metadata: no column {name!r}; choose from: {choices}")
    cells = rows[PREFIX + name].dropna()
    known = sorted(set(cells), key=_in_order(cells))
    if isinstance(said, tuple):
        if unknown := sorted(set(known) - set(said)):
            raise PodiumError(f"metadata.{name}: the list has no {preview(unknown)}, which rows have")
        return MetadataColumn(name, "ordinal", said)
    encoding = said or _guessed(cells, len(known))
    if encoding in ("number", "date"):
        wrong = rows.loc[cells.index[cells.map(as_number if encoding == "number" else as_days).isna()], "row_id"]
        if len(wrong):
            what = "a number" if encoding == "number" else "an ISO date"
            raise PodiumError(f"layout.metadata: {name!r} must be {what}: row_id {preview(wrong)}")
        return MetadataColumn(name, encoding)
    return MetadataColumn(name, encoding, tuple(known))


def _guessed(cells: pd.Series, n_categories: int) -> Encoding:
    if cells.map(as_number).notna().all():
        return "number"
    if cells.map(as_days).notna().all():
        return "date"
    return "onehot" if n_categories <= _MOST_ONE_HOT else "target"


def _in_order(cells: pd.Series) -> type[float] | type[str]:
    """Return the key that sorts categories: as numbers where all are."""
    return float if cells.map(as_number).notna().all() else str


def _fitted(column: MetadataColumn, cells: np.ndarray) -> Fitted:
    missing = np.isnan(cells[:, 0])
    seen = cells[~missing, 0]
    if column.encoding == "number":
        return Impute(float(np.median(seen)) if len(seen) else 0.0, bool(missing.any()))
    if column.encoding == "date":
        has_time = bool((seen % _DAY != 0).any())
        periods = np.array([_YEAR_DAYS, _WEEK_DAYS, *([_DAY] if has_time else [])])
        return DateParts(float(np.median(seen)) if len(seen) else 0.0, periods)
    return OneHot(_codes(cells)) if column.encoding == "onehot" else Ordinal(np.unique(seen))


def _codes(cells: np.ndarray) -> np.ndarray:
    """Return the codes that training rows have, rising; NaN, where cells are missing, is the last."""
    return np.unique(cells)


def _means(cells: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> CategoryMeans:
    """Return each category's mean target, drawn to the mean of all by `_PRIOR_ROWS` rows (Micci-Barreca 2001)."""
    codes = _codes(cells)
    place = np.searchsorted(codes, cells[:, 0])
    prior = np.average(targets, axis=0, weights=weight)
    total, count = np.zeros((len(codes), targets.shape[1])), np.zeros((len(codes), 1))
    np.add.at(total, place, targets * weight[:, None])
    np.add.at(count, place, weight[:, None])
    return CategoryMeans(codes, (total + _PRIOR_ROWS * prior) / (count + _PRIOR_ROWS), prior)


def _unseen_means(cells: np.ndarray, data: Training) -> np.ndarray:
    """Return `(n, k)`: each row's mean target, learnt on inner folds that hold none of its group."""
    part = folds.inner(data.y, data.group, _PARTS, data.seed, is_value=data.is_value)
    encoded = np.empty(data.targets.shape)
    for own in np.unique(part):
        rest = part != own
        step = _means(cells[rest], data.targets[rest], data.weight[rest]) if rest.any() else None
        encoded[~rest] = step.predict(cells[~rest]) if step else data.targets.mean(axis=0)
    return encoded
