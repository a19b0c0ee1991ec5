"""Sheets: files whose every row of pixels is a square image of its own, or IDX, and one list of labels for them all."""

import json
from pathlib import Path, PurePosixPath

import pandas as pd

from podium.errors import PodiumError, preview
from podium.imaging import idx
from podium.layouts import Layout as Base
from podium.layouts import Listing
from podium.settings import Settings
from podium.storage.raw import Raw


class Part(Settings):
    """Sheets of equal height (sources: `file` or `archive#member`), and a list with one label per row of them."""

    sheets: tuple[str, ...]
    """The sheets' sources."""
    labels: str
    """The source of a list with one label per row of the sheets, as JSON or IDX."""


class Layout(Base):
    """Labelled sheets to train on, and sheets to predict; ids are the sheet's name and the row's number.

    `classes` gives names to labels that are numbers from 0. The labels are in the column `label`.
    """

    train: Part
    """The sheets to train on."""
    test: Part | None = None
    """The sheets to predict."""
    classes: tuple[str, ...] = ()
    """Names of the labels 0, 1, ..."""

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the file, the key and what there is."""
        with Raw(folder) as raw:
            parts = [self._read(raw, self.train, "train")]
            if self.test:
                parts.append(self._read(raw, self.test, "test"))
        rows = pd.concat(parts, ignore_index=True)
        images = rows[["row_id", "source"]].assign(image_id=rows["row_id"])
        return Listing(images, rows.drop(columns="source"))

    def _read(self, raw: Raw, part: Part, split: str) -> pd.DataFrame:
        for source in (*part.sheets, part.labels):
            if source not in raw:
                raise PodiumError(f"layout.{split}: there is no {source}; there are: {preview(raw.sources())}")
        labels = _labels(raw.require(part.labels), f"{part.labels}: layout.{split}.labels", self.classes)
        n_rows, rest = divmod(len(labels), len(part.sheets))
        if rest:
            raise PodiumError(
                f"layout.{split}: {len(labels)} labels cannot be those of {len(part.sheets)} equal sheets"
            )
        places = [(sheet, row) for sheet in part.sheets for row in range(n_rows)]
        return pd.DataFrame(
            {
                # Five digits at least, so that the order of ids is the order of rows.
                "row_id": [f"{PurePosixPath(sheet).stem}_{row:05d}" for sheet, row in places],
                "split": split,
                "source": [f"{sheet}#{row}" for sheet, row in places],
                "label": labels,
            }
        )


def _labels(data: bytes, where: str, classes: tuple[str, ...]) -> list[str]:
    """Return a list as text, or as names where its numbers have some."""
    kind = "IDX" if idx.is_idx(data) else "JSON"
    try:
        labels = idx.read(data).tolist() if kind == "IDX" else json.loads(data)
    except ValueError as error:
        raise PodiumError(f"{where}: not valid {kind} ({error})") from None
    if not isinstance(labels, list) or any(isinstance(label, list) for label in labels):
        raise PodiumError(f"{where}: must be a list with one label per image")
    if not classes:
        return [str(label) for label in labels]
    strange = sorted({str(label) for label in labels if label not in range(len(classes))})
    if strange:
        raise PodiumError(f"{where}: layout.classes names labels 0 to {len(classes) - 1}, and not: {preview(strange)}")
    return [classes[label] for label in labels]
