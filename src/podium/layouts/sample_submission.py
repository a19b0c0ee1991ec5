"""The sample submission: the competition's own, or one that is made of its test rows."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal

import pandas as pd

from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.settings import Settings
from podium.storage import csv_table
from podium.storage.raw import Raw


class Sample(Settings):
    """The sample submission: a file of the raw data, or the columns (the id's first) of one that prepare makes."""

    kind: Literal["file", "code"] = "file"
    """What the competition takes: a `file`, by `podium upload`; or `code`, by `podium bundle` and `podium push`."""
    sample: str | None = None
    """The sample submission: a file or `archive#member` of the raw data; null: one is made."""
    columns: tuple[str, ...] = ("id", "label")
    """The columns of the sample that is made, the id's first."""

    def table(self, raw: Path, ids: Collection[str], cell: object = 0.5) -> pd.DataFrame:
        """Return the whole sample, as text, for the test rows `ids`; raises PodiumError where it has others.

        One that is made holds `cell`.
        """
        if self.sample is None:
            key, *columns = self.columns
            return pd.DataFrame({key: sorted(ids), **dict.fromkeys(columns, cell)})
        with Raw(raw) as files:
            sample = csv_table.read(files.require(self.sample), self.sample)
        named = sample.iloc[:, 0]
        by_id(pd.DataFrame({"row_id": list(ids)}), named, f"{self.sample}: test rows of the layout")
        more = sorted(set(ids) - set(named))
        if more:
            raise PodiumError(f"{self.sample}: it lacks these test rows of the layout: {preview(more)}")
        return sample
