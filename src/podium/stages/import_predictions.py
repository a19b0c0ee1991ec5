"""import_predictions@name: predictions made elsewhere -> a member of the bank like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts import imports
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.errors import PodiumError, preview


def run(config: Config, name: str) -> dict[str, int]:
    """Check ids, numbers and (where the file says them) folds, and write the predictions: one for each row."""
    competition, task = config.params.competition, config.competition.task
    path = config.params.imports.predictions[name]
    data = Dataset(paths.dataset(competition))
    predictions, folds = task.read_import(path, data)
    rows = data.rows.set_index("row_id", drop=False)
    has_image = rows["row_id"].isin(data.images["row_id"])
    dealt = FoldTable.read(data.folder)
    # A class of one row is in training always: no member here predicts it, so a team-mate's cannot be compared.
    always = set(dealt.table["row_id"]) - set(dealt.assigned["row_id"])
    is_asked = rows["split"].isin(["train", "test"]) & has_image & ~rows["row_id"].isin(always)
    is_kept = ~np.isin(predictions.row_id, [*rows.index[~has_image], *always])
    ids = pd.Series(predictions.row_id[is_kept], name="row_id")
    imports.check_ids(ids, rows.loc[is_asked, "row_id"], str(path))
    if folds is not None:
        known = pd.DataFrame({"row_id": ids, "fold": folds[is_kept]})
        _check_folds(known[known["fold"] != "nan"], dealt, path)  # test rows have no fold
    kept = predictions.take(np.flatnonzero(is_kept))
    replace(kept, split=rows.loc[kept.row_id, "split"].to_numpy(object)).write(paths.predictions(competition, name))
    return {"rows predicted": len(kept)}


def _check_folds(table: pd.DataFrame, folds: FoldTable, path: Path) -> None:
    """Raise PodiumError where rows of one fold here are of several folds there: those models saw rows that ours hid."""
    first = folds.assigned.query("repeat == 0").merge(
        table[["row_id", "fold"]].rename(columns={"fold": "theirs"}), on="row_id", validate="one_to_one"
    )
    pairs = first[["fold", "theirs"]].drop_duplicates()
    if pairs["fold"].duplicated().any() or pairs["theirs"].duplicated().any():
        common = first.groupby("fold")["theirs"].agg(lambda theirs: theirs.value_counts().index[0])
        strangers = first.loc[first["theirs"] != first["fold"].map(common), "row_id"]
        raise PodiumError(
            f"{path}: its folds are not those of this competition, for row_id {preview(strangers)};"
            " predict on these, or give theirs as folds.file in params.yaml"
        )
