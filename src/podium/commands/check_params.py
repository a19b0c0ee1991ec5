"""What `podium check-params` looks at beyond the YAML: all that would otherwise fail in the middle of a run."""

import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.config import scoring as scoring_of
from podium.contracts.folds import FoldTable
from podium.contracts.scores import Scores
from podium.errors import PodiumError, preview
from podium.features.extraction import resolve_auto
from podium.splits import folds
from podium.stages import prepare
from podium.stages.prepare import Listed
from podium.storage import killed
from podium.storage.raw import Raw
from podium.tasks.vector import ExclusiveTask, VectorTask
from podium.training.encoder import find
from podium.training.prefix import frozen_engine


def run(config: Config, data: bool = False) -> None:  # noqa: FBT001, FBT002  # the flag --data
    """Raise PodiumError for the first thing that is missing: an engine's precision, weights, or a folds file.

    With `data` the raw files are looked at too, once they are here. Mends what a killed DVC left, which would stop the
    next one.
    """
    for file in killed.mend():
        print(f"{file}: a killed run left it broken; it is removed")  # noqa: T201
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
    if data:
        _check_data(config)


def _check_data(config: Config) -> None:
    """Raise PodiumError for what the files would only say in the middle of a run; nothing is opened but tables."""
    name = config.params.competition
    if not paths.raw(name).exists():
        print(f"{paths.raw(name)}: the data are not here yet; they are checked once they are")  # noqa: T201
        return
    found = prepare.listed(config)
    rows = found.rows
    rows.attrs |= {"labels": found.encoded.labels, "has_files": found.encoded.files is not None}
    n_images = _check_images(config, found)
    train = rows[rows["split"] == "train"]
    dealt = None
    if config.params.folds.file is None:
        spec = config.params.folds
        dealt = folds.make(rows, spec.scheme, spec.k, repeats=spec.repeats, seed=config.params.seed, time=spec.time)
        folds.check(dealt, rows, spec.k, str(paths.PARAMS))
        _check_batches(config, dealt, rows)
    if isinstance(config.competition.task, VectorTask):
        _check_answers(config, config.competition.task, found, train)
    counts = rows["split"].value_counts().to_dict()
    print(  # noqa: T201  # the answer to the command
        f"data/{name}: {counts.get('train', 0):,} rows to train on, {counts.get('test', 0):,} to predict,"
        f" {n_images:,} images" + (f", {len(found.encoded.labels)} labels" if found.encoded.labels else "")
    )
    if dealt is not None and isinstance(config.competition.task, ExclusiveTask):
        _say_classes(train, dealt, found.encoded.labels)


def _check_images(config: Config, found: Listed) -> int:
    """Return the number of images; raises PodiumError where more of them are missing than prepare lets pass."""
    layout, wanted = config.competition.layout, found.listing.images
    wanted = wanted[wanted["row_id"].isin(found.rows["row_id"])]
    with Raw(paths.raw(config.params.competition)) as raw:
        there = set(raw.sources())
    is_lacking = ~(wanted["source"].isin(there) | wanted["source"].str.rpartition("#")[0].isin(there))
    if len(wanted) and is_lacking.mean() > layout.max_unreadable:
        split = found.rows.set_index("row_id")["split"][wanted.loc[is_lacking, "row_id"].iloc[0]]
        raise PodiumError(
            f"{paths.competition(config.params.competition)}: {layout.images_key(str(split))}: {is_lacking.sum():,} of"
            f" {len(wanted):,} images are not there, such as {preview(wanted.loc[is_lacking, 'source'], most=3)}"
        )
    return len(wanted)


def _check_batches(config: Config, dealt: FoldTable, rows: pd.DataFrame) -> None:
    """Raise PodiumError where a fold has fewer rows to train on than a finetune's batch."""
    least = min(len(split.train) for split in folds.splits(dealt, rows))
    for name, finetune in config.params.finetunes.items():
        if finetune.batch > least:
            raise PodiumError(
                f"{paths.PARAMS}: finetunes.{name}.batch: {finetune.batch} is more than the {least} rows of a fold"
            )


def _check_answers(config: Config, task: VectorTask, found: Listed, train: pd.DataFrame) -> None:
    """Raise PodiumError where a metric cannot score the best constant, or the sample has no place for the answers."""
    where, labels = paths.competition(config.params.competition), found.encoded.labels
    y, ids = task.targets(train), train["row_id"].to_numpy(object)
    p = np.tile(task.prior(y).astype(np.float32), (len(train), 1))
    constant = Scores(ids, np.full(len(ids), "train", object), p, tuple(task.columns(labels)), tuple(labels))
    scoring = scoring_of(config)
    for metric in scoring.metrics:
        try:
            score = task.score(metric, y, scoring.finished(constant), train["weight"].to_numpy())
        except PodiumError as error:
            raise PodiumError(f"{where}: metric: {metric.name}: {error}") from None
        if not np.isfinite(score):
            raise PodiumError(f"{where}: metric: {metric.name} of a constant prediction is {score}: it does not suit")
    columns = list(found.sample.columns[1:])
    try:
        task.specs(labels, columns)
        task.cells(constant.take(np.arange(1)).table(), labels, columns)
    except PodiumError as error:
        raise PodiumError(f"{where}: submission: {error}") from None


def _say_classes(train: pd.DataFrame, dealt: FoldTable, labels: list[str]) -> None:
    """Print how many rows the classes have, and which of them are scored in no fold."""
    counts = train["y"].astype(int).value_counts()
    rarest, most = int(counts.index[-1]), int(counts.index[0])
    print(  # noqa: T201  # the answer to the command
        f"classes: {counts.iloc[0]:,} rows of {labels[most]!r} to {counts.iloc[-1]:,} of {labels[rarest]!r}"
    )
    scored = set(train.loc[train["row_id"].isin(dealt.assigned["row_id"]), "y"].astype(int))
    if alone := [labels[code] for code in sorted(set(counts.index) - scored)]:
        print(f"classes of one row or group, trained on in every fold and scored in none: {preview(alone)}")  # noqa: T201
