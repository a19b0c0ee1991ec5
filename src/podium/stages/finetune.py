"""finetune@name: a network trained once a fold -> predictions, features for any head, learning curves, a picture."""

from collections.abc import Sequence
from functools import partial

from podium import paths, pool
from podium.config import Config
from podium.contracts import features
from podium.storage import cache_users, csv_table
from podium.storage.files import atomic
from podium.training.finetuning import Finetuning, describe, fingerprint, resizing
from podium.training.progress import Progress

_SHOWN = 6  # images in the picture


def run(config: Config, name: str) -> dict[str, int]:
    """Train what the cache lacks, and write what members, fusions and the bank take; returns what it did."""
    pool.limit_threads()
    competition, views = config.params.competition, config.params.views.test
    finetuning = _read(config, name)
    cache_users.note(competition, [fingerprint(finetuning.encoder), resizing(finetuning.encoder)])
    with atomic(paths.finetune(competition, name, "png")) as temporary:
        temporary.write_bytes(finetuning.encoder.spec.augment.contact_sheet(finetuning.samples(_SHOWN), seed=0))
    n_models = len(finetuning.networks)
    n_trained = n_rows = 0
    context = partial(_read, config, name) if pool.n_workers() > 1 else lambda: finetuning
    for has_trained, n_computed in pool.run(context, partial(_complete, name=name, views=views), range(n_models)):
        n_trained += has_trained
        n_rows += n_computed
    facts = {"networks trained": n_trained, "rows computed": n_rows}
    print(f"finetune {name}: {n_trained} of {n_models} networks trained, {n_rows} rows computed")  # noqa: T201
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


def _read(config: Config, name: str) -> Finetuning:
    spec, where = config.params.finetunes[name], f"{paths.PARAMS}: finetunes.{name}"
    return Finetuning.read(config.params.competition, spec, config.competition.task, config.params.seed, where)


def _complete(finetuning: Finetuning, n: int, name: str, views: Sequence[str]) -> tuple[bool, int]:
    """Return whether a model had to be trained, and the number of rows that were computed."""
    model = finetuning.networks[n]
    with Progress(f"{name} {n + 1}/{len(finetuning.networks)}") as progress:
        n_rows = model.complete(finetuning.wanted(model, views), progress)
    return progress.has_moved, n_rows
