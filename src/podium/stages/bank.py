"""bank: the predictions that params.yaml names -> a manifest of their digests."""

from functools import partial

from podium import paths
from podium.config import Config
from podium.contracts.predictions import write_manifest


def run(config: Config) -> None:
    """Name every member, fusion, finetune and import, and nothing else that lies in the folder."""
    competition = config.params.competition
    folder = partial(paths.predictions, competition)
    write_manifest(config.params.bank(), folder, paths.data(competition, "bank.json"))
