"""Which rows the models of a teacher have seen, by what lies beside them."""

from pathlib import Path

import pandas as pd

from podium.contracts import models
from podium.contracts.folds import FoldTable
from podium.errors import PodiumError, preview
from podium.splits.folds import splits


def require_blind(folder: Path, folds: FoldTable, rows: pd.DataFrame, where: str) -> None:
    """Raise PodiumError opening with `where` unless a model for each fold is here that did not see that fold.

    The models say by which folds they were fitted; other folds hid other rows from them.
    """
    wanted = [models.of_fold(split.repeat, split.fold) for split in splits(folds, rows)]
    if missing := sorted(set(wanted) - set(models.names(folder))):
        raise PodiumError(
            f"{where}: {folder} has no models {preview(missing)}, so none that did not see these folds;"
            " choose another teacher, or run `dvc repro`"
        )
    if models.about(folder).get("folds") != folds.digest:
        raise PodiumError(
            f"{where}: the models in {folder} were fitted on other folds, so they may have seen the rows that each"
            " is to teach without; run `dvc repro`"
        )
