"""fuse@fusion: one head on several backbones' features, side by side -> its models, out-of-fold and test predictions.

`select: forward` takes only those of the backbones that help, one at a time, by the out-of-fold loss; the path is
written as a table and as a picture.
"""

import json
from pathlib import Path

import pandas as pd

from podium import paths
from podium.config import Config, vector_task
from podium.contracts.dataset import Dataset
from podium.contracts.scores import Scores
from podium.errors import PodiumError
from podium.fitting.fit_inputs import FitInputs, fit_member
from podium.fitting.selection import Step, forward
from podium.storage import csv_table
from podium.storage.files import atomic, digest
from podium.tasks.vector import VectorTask


def run(config: Config, name: str) -> dict[str, int]:
    """Cross-fit the fusion `name` on the feature files of its manifest, and say what each backbone adds."""
    competition, member, task = config.params.competition, config.params.fusions[name], vector_task(config)
    _check(config, name)
    inputs, seed = FitInputs.read(competition, member.backbones, config.params.views), config.params.seed
    steps, selected = [], member.backbones
    if member.select == "forward":

        def loss(backbones: tuple[str, ...]) -> float:
            return _loss(
                task, inputs.data, inputs.predict(task, member.head, backbones, seed, metadata=member.metadata)
            )

        steps = forward(member.backbones, loss)
        added = {step.added for step in steps}
        selected = tuple(backbone for backbone in member.backbones if backbone in added)
    predictions = fit_member(inputs, task, member, selected, seed, paths.models(competition, name))
    predictions.write(paths.predictions(competition, name))
    steps = steps or [Step(" + ".join(selected), _loss(task, inputs.data, predictions))]
    _write_path(steps, paths.fusion_path(competition, name, "csv"), paths.fusion_path(competition, name, "png"))
    return {"rows predicted": len(predictions), "backbones": len(selected)}


def _check(config: Config, name: str) -> None:
    competition = config.params.competition
    manifest = paths.fusion(competition, name)
    expected = json.loads(manifest.read_text(encoding="utf-8"))
    for backbone in config.params.fusions[name].backbones:
        path = paths.features(competition, backbone)
        if not path.exists() or digest(path) != expected.get(backbone):
            raise PodiumError(f"{path}: not the file that {manifest} lists; run `dvc repro`")


def _loss(task: VectorTask, data: Dataset, predictions: Scores) -> float:
    """Return log loss or RMSE, whatever the competition's metric: it is smooth, and a new metric refits nothing."""
    train = predictions.of_split("train")
    return task.score(task.smooth_metric, task.truth(data, train.row_id), train, data.weight(train.row_id))


def _write_path(steps: list[Step], table: Path, picture: Path) -> None:
    frame = pd.DataFrame({"added": [s.added for s in steps], "loss": [s.loss for s in steps]})
    frame["gain"] = -frame["loss"].diff()
    csv_table.write(frame, table)
    from matplotlib.figure import Figure

    figure = Figure((6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(frame["loss"], marker="o")
    axes.set_xticks(range(len(steps)), [f"{'+ ' if i else ''}{s.added}" for i, s in enumerate(steps)])
    axes.set_ylabel("out-of-fold loss")
    with atomic(picture) as temporary:
        figure.savefig(temporary)
