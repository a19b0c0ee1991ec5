"""`podium check FILE`: the submit stage's own gate, for any submission file."""

from pathlib import Path

from podium import paths
from podium.config import Competition, Config, load_competition
from podium.contracts import submission
from podium.contracts.dataset import Dataset


def run(config: Config, file: str | None = None) -> None:
    """Check a file (by default the competition's submission) and print what is in it; raises PodiumError."""
    path = Path(file) if file else paths.submission(config.params.competition)
    # submissions/X.csv belongs to competition X, whatever params.yaml is at now.
    name = path.stem if paths.competition(path.stem).exists() else config.params.competition
    competition = config.competition if name == config.params.competition else load_competition(name)
    print(f"{path}: {passed(path, name, competition):,} lines, as {name} wants them")  # noqa: T201  # the answer


def passed(path: Path, name: str, competition: Competition) -> int:
    """Return the number of lines of a file that passes the gate; raises PodiumError for one that does not.

    It is held against the whole sample submission: that of a run with `limit` lacks lines.
    """
    data = Dataset(paths.dataset(name))
    sample = submission.read_sample(data.folder / "sample_submission.csv")
    specs = competition.task.cell_specs(data, list(sample.columns[1:]))
    return len(submission.check(path, sample, specs, str(path)))
