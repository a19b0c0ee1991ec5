"""submit: the ensemble's test predictions -> the checked CSV that goes to the competition."""

from typing import Any

from podium import paths
from podium.config import Config
from podium.contracts.dataset import Dataset
from podium.contracts.submission import check, read_sample
from podium.contracts.tables import by_id
from podium.errors import PodiumError
from podium.fitting.scoring import Scoring
from podium.storage import csv_table
from podium.storage.files import atomic


def run(config: Config) -> None:
    """Put predictions into the competition's form, join them to the sample's ids, write only what passes the check."""
    name = config.params.competition
    scoring = Scoring(config.competition.task, (), config.params.submission)  # nothing is scored here
    path, data, task = paths.submission(name), Dataset(paths.dataset(name)), scoring.task
    sample = read_sample(data.folder / "sample_submission.csv")
    if config.params.limit is not None:
        sample = sample[
            sample.iloc[:, 0].isin(task.line_ids(data.rows["row_id"]))
        ]  # a trial: `podium check` wants all of them
    predictions = _filled(task.predictions.read(paths.ensemble(name)).of_split("test"), data, scoring)
    columns = list(sample.columns[1:])
    submission = task.submission(predictions, data, columns)
    submission = by_id(submission, sample.iloc[:, 0], str(data.folder / "rows.parquet"))
    submission = submission.rename(columns={"row_id": sample.columns[0]})

    with atomic(path) as temporary:
        csv_table.write(submission, temporary)
        check(temporary, sample, task.cell_specs(data, columns), str(path))
    print(f"{path}: {len(submission):,} lines, checked against the sample submission")  # noqa: T201  # its answer


def _filled(test: Any, data: Dataset, scoring: Scoring) -> Any:
    """Return one prediction per test row: the best constant one where no image of the row could be read."""
    ids = data.rows.loc[data.rows["split"] == "test", "row_id"]
    if unknown := set(test.row_id) - set(ids):
        raise PodiumError(f"the ensemble predicts rows that are no test rows: {min(unknown)!r}; run `dvc repro`")
    missing = sorted(set(ids) - set(test.row_id))
    if not missing:
        return test
    return type(test).concat([test, scoring.finished(scoring.task.fallback(data, missing))])
