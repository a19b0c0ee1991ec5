"""gather@fusion: the names and digests of exactly the feature files that a fusion names.

DVC cannot take a list of dependencies from params, and the whole folder is stale for every fusion when any
backbone changes: the fusion depends on this manifest instead.
"""

from podium import paths
from podium.config import Config
from podium.errors import PodiumError
from podium.storage.files import digest, write_json


def run(config: Config, name: str) -> dict[str, int]:
    """Write the manifest of fusion `name`; its names come from params, never from what lies in the folder."""
    competition = config.params.competition
    manifest = {}
    for backbone in sorted(config.params.fusions[name].backbones):
        path = paths.features(competition, backbone)
        if not path.exists():
            raise PodiumError(f"{path}: there is no such file, and the fusion {name} needs it; run `dvc repro`")
        manifest[backbone] = digest(path)
    write_json(manifest, paths.fusion(competition, name))
    return {"feature files": len(manifest)}
