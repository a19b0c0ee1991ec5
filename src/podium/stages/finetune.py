"""finetune@name: a network trained once a fold -> predictions, features for any head, learning curves, a picture."""

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.contracts.tables import FOLDS, IMAGES, ROWS, VIEWS
from podium.imaging.images import Reader
from podium.storage import csv_table
from podium.storage.files import atomic
from podium.storage.rowcache import row_key
from podium.training.encoder import find
from podium.training.finetuning import Finetuning, decoded, describe
from podium.training.progress import Progress

_SHOWN = 6  # images in the picture
_FOLD = "a train row's features are from the network that did not see it, others' from one chosen by the digest"


def run(config: Config, name: str) -> dict[str, int]:
    """Train what the cache lacks, and write what members, fusions and the bank take; returns what it did."""
    competition, views = config.params.competition, config.params.views.test
    given = read(config, name)
    every = len(given.pixels) // _SHOWN + 1
    with atomic(paths.finetune(competition, name, "png")) as temporary:
        temporary.write_bytes(given.encoder.spec.augment.contact_sheet(given.pixels[::every], seed=0))
    n_trained = n_rows = 0
    for n, model in enumerate(given.models):
        with Progress(f"{name} {n + 1}/{len(given.models)}") as progress:
            n_rows += model.complete(given.wanted(model, views), progress)
        n_trained += progress.has_moved
    facts = {"networks trained": n_trained, "rows computed": n_rows}
    print(f"finetune {name}: {n_trained} of {len(given.models)} networks trained, {n_rows} rows computed")  # noqa: T201
    task, labels = given.task, {"labels": given.labels, "task": given.task.kind}
    task.schema.write(given.predictions(views), paths.predictions(competition, name), labels)
    csv_table.write(given.curves(), paths.finetune(competition, name, "csv"))
    features.write(
        paths.features(competition, name),
        given.plan[features.KEY],
        given.features(),
        **features.form(given.shapes()),
        attributes={**describe(given.encoder), "backbone": name, "fingerprint": given.fingerprint, "fold": _FOLD},
    )
    return facts


def read(config: Config, name: str) -> Finetuning:
    """Return what a finetune is trained on and asked for; its images are decoded, if no run has done so before."""
    competition, where = config.params.competition, f"{paths.PARAMS}: finetunes.{name}"
    encoder = find(config.params.finetunes[name], where)
    encoder.require_weights(where)
    images = IMAGES.read(paths.data(competition, "images.parquet")).sort_values("image_id", ignore_index=True)
    images["place"] = images.index
    rows = ROWS.read(paths.data(competition, "rows.parquet"))
    plan = VIEWS.read(paths.data(competition, "views.parquet")).sort_values(features.KEY, ignore_index=True)
    plan = plan.merge(images.drop(columns=["width", "height", "source"]), on="image_id", validate="many_to_one")
    plan["key"] = list(map(row_key, plan["digest"], plan["operation"], plan["parameters"]))
    with Reader(paths.raw(competition)) as reader:
        pixels = decoded(images, encoder, reader, paths.cache() / "decoded")
    return Finetuning(
        encoder=encoder,
        task=config.competition.task,
        labels=rows.attrs["labels"],
        rows=rows,
        dealt=FOLDS.read(paths.data(competition, "folds.parquet")),
        images=images,
        plan=plan,
        pixels=pixels,
        seed=config.params.seed,
        cache=paths.cache() / "finetunes",
        where=where,
    )
