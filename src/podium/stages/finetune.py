"""finetune@name: a network trained once a fold -> predictions, features for any head, learning curves, a picture."""

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.storage import csv_table, uses
from podium.storage.files import atomic
from podium.training.finetuning import Finetuning, describe, fingerprint, square
from podium.training.progress import Progress

_SHOWN = 6  # images in the picture


def run(config: Config, name: str) -> dict[str, int]:
    """Train what the cache lacks, and write what members, fusions and the bank take; returns what it did."""
    competition, views = config.params.competition, config.params.views.test
    spec, where = config.params.finetunes[name], f"{paths.PARAMS}: finetunes.{name}"
    finetuning = Finetuning.read(competition, spec, config.competition.task, config.params.seed, where)
    uses.note(competition, [fingerprint(finetuning.encoder), square(finetuning.encoder)])
    with atomic(paths.finetune(competition, name, "png")) as temporary:
        temporary.write_bytes(finetuning.encoder.spec.augment.contact_sheet(finetuning.samples(_SHOWN), seed=0))
    n_trained = n_rows = 0
    for n, model in enumerate(finetuning.models):
        with Progress(f"{name} {n + 1}/{len(finetuning.models)}") as progress:
            n_rows += model.complete(finetuning.wanted(model, views), progress)
        n_trained += progress.has_moved
    facts = {"networks trained": n_trained, "rows computed": n_rows}
    print(f"finetune {name}: {n_trained} of {len(finetuning.models)} networks trained, {n_rows} rows computed")  # noqa: T201
    networks = finetuning.save(paths.models(competition, name))
    finetuning.predictions(views, networks).write(paths.predictions(competition, name))
    csv_table.write(finetuning.curves(), paths.finetune(competition, name, "csv"))
    features.write(
        paths.features(competition, name),
        finetuning.described[features.KEY],
        finetuning.feature_rows(),
        **finetuning.form(),
        attributes={
            **describe(finetuning.encoder),
            "backbone": name,
            "fingerprint": finetuning.fingerprint,
            "networks": " ".join(model.name for model in finetuning.models),
        },
    )
    return facts
