"""fuse@fusion: one head on several backbones' features, side by side -> out-of-fold and test predictions."""

import json

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.contracts.files import digest
from podium.errors import PodiumError
from podium.stages import fit


def run(config: Config, name: str) -> None:
    """Cross-fit the fusion `name` on the feature files of its manifest."""
    competition, member = config.params.competition, config.params.fusions[name]
    manifest = paths.fusion(competition, name)
    expected = json.loads(manifest.read_text(encoding="utf-8"))
    files = {backbone: paths.features(competition, backbone) for backbone in member.backbones}
    for backbone, path in files.items():
        if not path.exists() or digest(path) != expected.get(backbone):
            raise PodiumError(f"{path}: not the file that {manifest} lists; run `dvc repro`")
    fit.write(config, name, member, [features.read(path) for path in files.values()])
