"""teach@student: what teachers say of rows without labels, by fold -> a student's models and predictions."""

import json

from podium import paths
from podium.config import Config, vector_task
from podium.contracts.tables import TARGETS
from podium.errors import PodiumError
from podium.storage import cache_users
from podium.storage.files import digest
from podium.teaching.bank import Members
from podium.teaching.students import HeadStudent, NetworkStudent, lessons, others
from podium.training.finetuning import fingerprint, resizing


def run(config: Config, name: str) -> None:
    """Fit the student `name` once a fold, each by its own fold's teachers, and keep what they taught."""
    params, competition, task = config.params, config.params.competition, vector_task(config)
    student = params.students[name]
    members = Members(competition, params.models(), params.finetunes, task, params.views, params.seed)
    _check(competition, name)
    inputs = members.inputs(student)
    teachers = members.read(name, student, inputs)
    learner: HeadStudent | NetworkStudent
    if student.member is not None:
        learner = HeadStudent(inputs, task, student.member, params.seed)
    else:
        assert student.finetune is not None
        finetuning = members.finetuning(student.finetune, f"{paths.PARAMS}: students.{name}.finetune")
        cache_users.note(competition, [fingerprint(finetuning.encoder), resizing(finetuning.encoder)])
        learner = NetworkStudent(finetuning, params.views.test, name)
    data = inputs.data
    ids = others(student, data)
    taught = lessons(student, learner, task, data, ids, teachers)
    predictions = learner.fit(taught, paths.student(competition, name, "models"))
    predictions.write(paths.student(competition, name, "predictions"))
    table = taught.table()
    TARGETS.write(table, paths.student(competition, name, "targets.parquet"))
    n_used = table["row_id"].isin(ids).groupby([table["repeat"], table["fold"]]).sum().mean()
    print(f"teach {name}: of {len(ids)} rows without labels {n_used:.0f} a fold, by {', '.join(teachers.members)}")  # noqa: T201


def _check(competition: str, name: str) -> None:
    """Raise PodiumError where a features file is not the one that was enlisted."""
    manifest = paths.teachers(competition, name, "features")
    if not manifest.exists():
        raise PodiumError(f"{manifest}: there is no such file; run `dvc repro`")
    for backbone, expected in json.loads(manifest.read_text(encoding="utf-8")).items():
        path = paths.features(competition, backbone)
        if not path.exists() or digest(path) != expected:
            raise PodiumError(f"{path}: not the file that {manifest} lists; run `dvc repro`")
