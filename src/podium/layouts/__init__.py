"""How a competition's files say which image has which label. One module per kind: `class Layout`."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podium.frozen import Frozen


@dataclass(frozen=True)
class Listing:
    """What a layout finds, before any image is opened.

    `images` has text columns image_id, row_id, source. `rows` has text columns row_id, split and the
    competition's own columns (labels and metadata) as text; labels of test rows are missing. A column of the
    competition that is called row_id or split itself gets an underscore behind its name.
    """

    images: pd.DataFrame
    rows: pd.DataFrame


class Layout(Frozen):
    """Reads the tables and file names of the raw data.

    `group`, `weight` and `metadata` name columns: rows of one group share a fold, weights are positive numbers, and
    metadata stay with the rows beside their targets.
    """

    group: str | None = None
    weight: str | None = None
    metadata: tuple[str, ...] = ()

    def read(self, folder: Path) -> Listing:
        """Return the listing of the raw data in `folder`; raises PodiumError naming file and column."""
        raise NotImplementedError
