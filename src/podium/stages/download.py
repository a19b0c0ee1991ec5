"""download: a competition's files -> data/C/raw, whole or not at all."""

from podium import paths
from podium.config import Config
from podium.contracts import archives
from podium.contracts.files import atomic_folder


def run(config: Config) -> None:
    """Fetch what the competition's `source` names; a failed or refused download leaves nothing behind."""
    with atomic_folder(paths.raw(config.params.competition)) as folder:
        config.competition.source.download(folder)
        archives.settle(folder)
