"""What `podium check-params` looks at beyond the YAML: all that would otherwise fail in the middle of a run."""

from podium import paths
from podium.config import Config
from podium.errors import PodiumError
from podium.features.extraction import resolve_auto
from podium.storage import rwlock
from podium.training.encoder import find
from podium.training.prefix import frozen_engine


def run(config: Config) -> None:
    """Raise PodiumError for the first thing that is missing: an engine's precision, weights, or a folds file.

    Mends what a killed DVC left, which would stop the next one.
    """
    if rwlock.mend():
        print(f"{paths.DVC_TMP / 'rwlock'}: a killed run left it broken; it is removed")  # noqa: T201
    params = config.params
    for name, backbone in params.backbones.items():
        where = f"{paths.PARAMS}: backbones.{name}"
        extraction = resolve_auto(backbone, where)
        extraction.network.require_weights(f"{where}.network", extraction.pooling)
    for place, finetune in params.networks().items():
        where = f"{paths.PARAMS}: {place}"
        encoder = find(finetune, where)
        encoder.require_weights(where)
        frozen_engine(encoder, where)
    if params.folds.file is not None and not params.folds.file.exists():
        raise PodiumError(f"{paths.PARAMS}: folds.file: there is no {params.folds.file}")
    print(  # noqa: T201  # the answer to the command
        f"{paths.PARAMS}: {config.competition.title}; {len(params.backbones)} backbones,"
        f" {len(params.finetunes)} finetunes, {len(params.models())} members,"
        + (f" {len(params.students)} students," if params.students else "")
        + f" {params.folds.k} folds, {params.folds.repeats} repeats"
    )
