"""A table that comes with scikit-learn: no download, and no account."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.storage import csv_table
from podium.storage.files import digest


class Source(Base):
    """A data set of `sklearn.datasets`, as a CSV with the columns `id`, its features by name, and `target`."""

    dataset: Literal["breast_cancer", "diabetes", "iris", "wine"]
    """Its name: the file is `DATASET.csv`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The SHA-256 of the CSV."""

    def download(self, folder: Path) -> None:
        """Write the table; raises PodiumError where the installed one is not what `sha256` promises."""
        from sklearn import datasets

        options = {"scaled": False} if self.dataset == "diabetes" else {}
        loaded = getattr(datasets, f"load_{self.dataset}")(as_frame=True, **options)
        table = loaded.frame
        if hasattr(loaded, "target_names"):
            table["target"] = loaded.target_names[table["target"]]
        width = len(str(len(table)))
        table.insert(0, "id", [f"{place:0{width}d}" for place in range(1, len(table) + 1)])
        file = folder / f"{self.dataset}.csv"
        csv_table.write(table, file)
        if (found := digest(file)) != self.sha256:
            raise PodiumError(f"source.sha256: {file.name} has SHA-256 {found}, not {self.sha256}; nothing was kept")
