"""submit: the ensemble's test predictions -> the checked CSV that goes to the competition."""

import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts.predictions import value_columns
from podium.contracts.submission import check, read_sample
from podium.contracts.tables import ROWS, by_id
from podium.errors import PodiumError
from podium.storage import csv_table
from podium.storage.files import atomic


def run(config: Config) -> None:
    """Clip, put into the competition's form, join to the sample's ids, and write only what passes the check."""
    name, task = config.params.competition, config.competition.task
    path, rows_file = paths.submission(name), paths.data(name, "rows.parquet")
    sample = read_sample(paths.data(name, "sample_submission.csv"))
    rows, ensemble = ROWS.read(rows_file), task.schema.read(paths.ensemble(name))
    columns = value_columns(ensemble)

    trained = rows[rows["split"] != "test"]
    prior = task.prior(task.targets(trained), trained["weight"].to_numpy())
    predictions = _filled(ensemble[ensemble["split"] == "test"], rows, columns, prior)
    predictions[columns] = config.params.submission.apply(predictions[columns].to_numpy())
    labels, asked = ensemble.attrs["labels"], list(sample.columns[1:])
    answer = task.submission(predictions, labels, asked)
    answer = by_id(answer, sample.iloc[:, 0], str(rows_file)).rename(columns={"row_id": sample.columns[0]})

    with atomic(path) as temporary:
        csv_table.write(answer, temporary)
        check(temporary, sample, task.cell_specs(labels, asked), str(path))
    print(f"{path}: {len(answer):,} lines, checked against the sample submission")  # noqa: T201  # its answer


def _filled(test: pd.DataFrame, rows: pd.DataFrame, columns: list[str], prior: np.ndarray) -> pd.DataFrame:
    """Return one prediction per test row: the prior where no image of the row could be read."""
    ids = rows.loc[rows["split"] == "test", ["row_id"]]
    strangers = set(test["row_id"]) - set(ids["row_id"])
    if strangers:
        raise PodiumError(f"the ensemble predicts rows that are no test rows: {min(strangers)!r}; run `dvc repro`")
    joined = ids.merge(test.drop(columns="split"), on="row_id", how="left", validate="one_to_one")
    return joined.fillna(dict(zip(columns, prior, strict=True)))
