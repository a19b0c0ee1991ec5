"""enlist@student: the names and digests of exactly the predictions and features that a student's teachers need.

DVC cannot take a list of dependencies from params; the student depends on this manifest instead, and on no folder that
changes with every new member.
"""

from functools import partial

from podium import paths
from podium.config import Config
from podium.contracts.predictions import write_manifest
from podium.errors import PodiumError
from podium.storage.files import digest, write_json


def run(config: Config, name: str) -> None:
    """Write the manifests of the student `name`; its names come from params, never from what lies in the folders."""
    params, competition = config.params, config.params.competition
    student, heads, finetunes = params.students[name], params.models(), params.finetunes
    folder = partial(paths.predictions, competition)
    write_manifest(student.named(heads, finetunes), folder, paths.teachers(competition, name, "predictions"))
    manifest = {}
    for backbone in student.backbones(heads, finetunes):
        path = paths.features(competition, backbone)
        if not path.exists():
            raise PodiumError(f"{path}: there is no such file, and the student {name} needs it; run `dvc repro`")
        manifest[backbone] = digest(path)
    write_json(manifest, paths.teachers(competition, name, "features"))
