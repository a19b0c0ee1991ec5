"""How a competition's files say which image has which label. One module per kind: `class Layout`."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podium.frozen import Frozen


@dataclass(frozen=True)
class Listing:
    """What a layout finds, before any image is opened.

    `images` has text columns image_id, row_id, source. `rows` has text columns row_id, split and the
    competition's own columns (labels and metadata) as text; labels of test rows are missing.
    """

    images: pd.DataFrame
    rows: pd.DataFrame


class Layout(Frozen):
    """Reads the tables and file names of the raw data."""

    def read(self, folder: Path) -> Listing:
        """Return the listing of the raw data in `folder`; raises PodiumError naming file and column."""
        raise NotImplementedError
