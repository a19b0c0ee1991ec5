"""score: the submission and the held-out labels -> the local leaderboard. Only this stage reads the solution."""

from podium import paths
from podium.config import Config, all_metrics
from podium.contracts.dataset import Dataset
from podium.contracts.tables import by_id
from podium.errors import PodiumError
from podium.fitting.scoring import Scoring, Submission
from podium.storage import csv_table
from podium.storage.files import write_json


def run(config: Config) -> None:
    """Score the submission file itself by every metric; nothing where the competition keeps its labels."""
    name = config.params.competition
    scoring = Scoring(config.competition.task, all_metrics(config), Submission())
    data, solution, path = Dataset(paths.dataset(name)), paths.data(name, "solution"), paths.submission(name)
    ids, y = scoring.task.read_solution(solution)
    if not ids:
        write_json({}, paths.METRICS_HELDOUT)
        print(f"{solution}: the competition keeps the test labels, so there is no held-out score")  # noqa: T201
        return
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `dvc repro`")
    submission = csv_table.read(path.read_bytes(), str(path))
    submission = by_id(submission, scoring.task.line_ids(ids), str(path), key=submission.columns[0])
    p = scoring.task.read_submission(submission, data)
    scores = scoring.scores(y, p, data.weight(ids))
    write_json(scores, paths.METRICS_HELDOUT)
    print("held-out " + ", ".join(f"{metric} {score:.4f}" for metric, score in scores.items()))  # noqa: T201
