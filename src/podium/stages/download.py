"""download: a competition's files -> data/C/raw, whole or not at all."""

import shutil

from podium import paths
from podium.config import Config
from podium.sources import fetch
from podium.storage.files import atomic_folder


def run(config: Config) -> dict[str, int]:
    """Fetch what the competition's `source` names; only a source that resumes leaves anything behind on failure."""
    name = config.params.competition
    arriving = paths.data(name, ".arriving.tmp")  # beside data/C/raw, which DVC empties before each attempt
    with atomic_folder(paths.raw(name)) as folder:
        fetch(config.competition.source, folder, arriving)
    shutil.rmtree(arriving, ignore_errors=True)
    return {"files": sum(path.is_file() for path in paths.raw(name).rglob("*"))}
