"""score: the submission and the held-out labels -> the local leader board. Only this stage reads solution.csv."""

from pathlib import Path

import pandas as pd

from podium import metrics, paths
from podium.config import Config
from podium.contracts.tables import ROWS, by_id
from podium.errors import PodiumError
from podium.storage import csv_table
from podium.storage.files import write_json


def run(config: Config) -> None:
    """Score the submission file itself by every metric; nothing where the competition keeps its labels."""
    name, task = config.params.competition, config.competition.task
    solution_file, submission_file = paths.data(name, "solution.csv"), paths.submission(name)
    solution = _read(solution_file)
    csv_table.require(solution, ["row_id"], str(solution_file))
    if not len(solution):
        write_json({}, paths.METRICS_HELDOUT)
        print(f"{solution_file}: the competition keeps the test labels, so there is no held-out score")  # noqa: T201
        return
    submission = _read(submission_file)
    submission = by_id(submission, solution["row_id"], str(submission_file), key=submission.columns[0])
    labels = ROWS.read(paths.data(name, "rows.parquet")).attrs["labels"]
    p = task.read_submission(submission, labels)
    y = task.targets(solution.astype({column: "float64" for column in solution.columns if column != "row_id"}))
    where = f"{paths.competition(name)}: metric"
    scores = {
        metric.name: round(metric.score(y, p, task), 6)
        for metric in (metrics.find(name, where) for name in config.competition.all_metrics())
    }
    write_json(scores, paths.METRICS_HELDOUT)
    print("held-out " + ", ".join(f"{metric} {score:.4f}" for metric, score in scores.items()))  # noqa: T201


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `dvc repro`")
    return csv_table.read(path.read_bytes(), str(path))
