"""bank: the predictions that params.yaml names -> a manifest of their digests."""

from podium import paths
from podium.config import Config
from podium.contracts.predictions import write_manifest


def run(config: Config) -> dict[str, int]:
    """Name every member, fusion, finetune, student and import, and nothing else that lies in the folders."""
    params = config.params
    write_manifest(params.bank(), params.predictions, paths.data(params.competition, "bank.json"))
    return {"members": len(params.bank())}
