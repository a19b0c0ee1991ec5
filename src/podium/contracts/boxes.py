"""Boxes: any number of scored boxes a row, in the pixels of the row's own image, in one Parquet file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from podium.contracts.predictions import Predictions
from podium.contracts.table import Column, Table
from podium.errors import PodiumError, preview

# A row without boxes has one line, whose label is NONE: else it would be lost.
TABLE = Table(
    "boxes",
    (
        Column("row_id", "text"),
        Column("split", "text", choices=("train", "test")),
        Column("place", "int", low=0),  # within the row, the highest score first
        *(Column(name, "float32") for name in ("x1", "y1", "x2", "y2")),
        Column("score", "float32", low=0.0, high=1.0),
        Column("label", "int", low=-1),
    ),
    key=("row_id", "place"),
)
CORNERS = ["x1", "y1", "x2", "y2"]
NONE = -1  # the label of no box
NUMBERS = 6  # of a box among `packed`: corners, score, label

_FILE = "boxes.parquet"


@dataclass(frozen=True, eq=False)
class Annotated:
    """The true boxes of a row: `xyxy (b, 4)` float32 in pixels, as in `Boxes`, and `label (b,)` int64."""

    xyxy: np.ndarray
    label: np.ndarray

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Annotated)
            and np.array_equal(self.xyxy, other.xyxy)
            and np.array_equal(self.label, other.label)
        )

    def __hash__(self) -> int:
        return hash((self.xyxy.tobytes(), self.label.tobytes()))

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.label)


@dataclass(frozen=True)
class Boxes(Predictions):
    """Boxes of `n` rows: row `i` has boxes `offset[i]` to `offset[i + 1]`, the highest score first.

    `xyxy (b, 4)` float32 are corners in pixels of the row's image, measured at the edges of pixels: one that covers an
    image of w x h pixels is 0, 0, w, h. `score (b,)` float32 is in [0, 1], and `label (b,)` int64 a place in `labels`.
    """

    kind: ClassVar[str] = "boxes"

    row_id: np.ndarray
    split: np.ndarray
    xyxy: np.ndarray
    score: np.ndarray
    label: np.ndarray
    offset: np.ndarray  # (n + 1,) int64
    labels: tuple[str, ...]

    @classmethod
    def of_parts(
        cls,
        row_id: Sequence[str] | np.ndarray,
        split: str | np.ndarray,
        parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        labels: Iterable[str],
    ) -> Self:
        """Return the boxes of rows whose corners, scores and labels are given row by row, in any order."""
        n = len(row_id)
        ordered = []
        for xyxy, score, label in parts:
            order = np.argsort(-np.asarray(score), kind="stable")
            ordered.append((np.asarray(xyxy).reshape(-1, 4)[order], np.asarray(score)[order], np.asarray(label)[order]))
        counts = [len(score) for _, score, _ in ordered]
        empty = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
        xyxy, score, label = (np.concatenate(some) for some in zip(*ordered, empty, strict=True))
        return cls(
            row_id=np.asarray(row_id, dtype=object),
            split=np.full(n, split, object) if isinstance(split, str) else split,
            xyxy=xyxy.astype(np.float32),
            score=score.astype(np.float32),
            label=label.astype(np.int64),
            offset=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            labels=tuple(labels),
        )

    @property
    def row(self) -> np.ndarray:
        """Return `(b,)` int64: the position of each box's row."""
        return np.repeat(np.arange(len(self)), np.diff(self.offset))

    def of_row(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return corners, scores and labels of one row's boxes."""
        part = slice(self.offset[position], self.offset[position + 1])
        return self.xyxy[part], self.score[part], self.label[part]

    def chosen(self, mask: np.ndarray) -> Self:
        """Return the rows with those of their boxes for which `mask (b,)` is true."""
        counts = np.bincount(self.row[mask], minlength=len(self))
        offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return replace(self, xyxy=self.xyxy[mask], score=self.score[mask], label=self.label[mask], offset=offset)

    def packed(self, width: int) -> np.ndarray:
        """Return `(n, width * 6)` float32: each row's boxes as corners, score, label; `NONE` fills up the rest."""
        table = np.zeros((len(self), width, NUMBERS), np.float32)
        table[..., 5] = NONE
        place = np.arange(len(self.score)) - self.offset[self.row]
        values = np.column_stack([self.xyxy, self.score, self.label]).astype(np.float32)
        table[self.row, place] = values
        return table.reshape(len(self), -1)

    def with_packed(self, packed: np.ndarray) -> Self:
        """Return the rows with the boxes of such an array `(n, width * 6)`."""
        table = packed.reshape(len(self), -1, NUMBERS)
        is_box = table[..., 5] != NONE
        rank = np.argsort(np.where(is_box, -table[..., 4], np.inf), axis=1, kind="stable")
        table = np.take_along_axis(table, rank[..., None], axis=1)
        flat = table[np.take_along_axis(is_box, rank, axis=1)]
        offset = np.concatenate([[0], np.cumsum(is_box.sum(axis=1))]).astype(np.int64)
        return replace(self, xyxy=flat[:, :4], score=flat[:, 4], label=flat[:, 5].astype(np.int64), offset=offset)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """See Predictions."""
        path = folder / _FILE
        table = TABLE.read(path)
        first = table["place"].to_numpy() == 0
        is_box = table["label"].to_numpy() != NONE
        row = np.cumsum(first) - 1
        found = cls(
            row_id=table["row_id"].to_numpy(object)[first],
            split=table["split"].to_numpy(object)[first],
            xyxy=table[CORNERS].to_numpy(np.float32)[is_box],
            score=table["score"].to_numpy(np.float32)[is_box],
            label=table["label"].to_numpy(np.int64)[is_box],
            offset=np.concatenate([[0], np.cumsum(np.bincount(row[is_box], minlength=first.sum()))]).astype(np.int64),
            labels=tuple(table.attrs["labels"]),
        )
        found.check(str(path))
        return found

    def write(self, folder: Path) -> None:
        """See Predictions."""
        path = folder / _FILE
        self.check(str(path))
        TABLE.write(self.table(), path, {"labels": list(self.labels)})

    def table(self) -> pd.DataFrame:
        """Return a line a box, or one without a box, with the columns of `TABLE`."""
        counts = np.diff(self.offset)
        lines = np.maximum(counts, 1)
        row = np.repeat(np.arange(len(self)), lines)
        place = np.arange(lines.sum()) - np.repeat(np.cumsum(lines) - lines, lines)
        is_box = place < counts[row]
        values = np.zeros((len(row), NUMBERS))
        values[:, 5] = NONE
        values[is_box] = np.column_stack([self.xyxy, self.score, self.label])
        table = pd.DataFrame({"row_id": self.row_id[row], "split": self.split[row], "place": place})
        table = table.astype({"row_id": "str", "split": "str"})
        table[[*CORNERS, "score"]] = values[:, :5].astype(np.float32)
        table["label"] = values[:, 5].astype(np.int64)
        return table

    def check(self, where: str) -> None:
        """Raise PodiumError opening with `where` and naming the first rows that break the rules above."""
        ids = self.row_id.astype(str)
        unique, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            raise PodiumError(
                f"{where}: row_id must be unique; these come twice: {preview(unique[counts > 1].tolist())}"
            )
        x1, y1, x2, y2 = self.xyxy.T
        score = self.score
        for reason, wrong in (
            ("must be finite", ~np.isfinite(self.xyxy).all(axis=1)),
            ("must have an area: x1 < x2 and y1 < y2", ~((x1 < x2) & (y1 < y2))),
            ("must have a score in [0, 1]", ~((score >= 0) & (score <= 1))),
            ("must have a label that is named", ~((self.label >= 0) & (self.label < len(self.labels)))),
        ):
            if wrong.any():
                box = ", ".join(f"{value:g}" for value in self.xyxy[wrong.argmax()])
                raise PodiumError(f"{where}: boxes {reason}: {box} of row_id {ids[self.row[wrong.argmax()]]!r}")

    def take(self, indices: np.ndarray) -> Self:
        """See Predictions."""
        counts = np.diff(self.offset)[indices]
        own = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = np.repeat(self.offset[:-1][indices] - own[:-1], counts) + np.arange(own[-1])
        return replace(
            self,
            row_id=self.row_id[indices],
            split=self.split[indices],
            xyxy=self.xyxy[flat],
            score=self.score[flat],
            label=self.label[flat],
            offset=own,
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """See Predictions."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("row_id", "split", "xyxy", "score", "label")
        }
        counts = np.concatenate([np.diff(part.offset) for part in parts])
        return replace(parts[0], **joined, offset=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
