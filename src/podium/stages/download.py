"""download: a competition's files -> data/C/raw, whole or not at all."""

from podium import paths
from podium.config import Config
from podium.storage import archives
from podium.storage.files import atomic_folder


def run(config: Config) -> None:
    """Fetch what the competition's `source` names; only a source that resumes leaves anything behind on failure."""
    name, source = config.params.competition, config.competition.source
    with atomic_folder(paths.raw(name)) as folder:
        if source.resumes:
            # Beside data/C/raw, which DVC empties before each attempt.
            arriving = paths.data(name, ".arriving.tmp")
            arriving.mkdir(exist_ok=True)
            source.download(arriving)
            for path in arriving.iterdir():
                path.rename(folder / path.name)
            arriving.rmdir()
        else:
            source.download(folder)
        archives.repack(folder)
