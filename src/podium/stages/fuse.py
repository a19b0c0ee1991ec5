"""fuse@fusion: one head on several backbones' features, side by side -> out-of-fold and test predictions.

`select: forward` takes only those of the backbones that help, one at a time, by the out-of-fold loss; the path is
written as a table and as a picture.
"""

import json
from pathlib import Path

import pandas as pd

from podium import metrics, paths
from podium.config import Config
from podium.contracts.tables import by_id
from podium.errors import PodiumError
from podium.fitting.selection import Step, forward
from podium.stages import fit
from podium.storage import csv_table
from podium.storage.files import atomic, digest


def run(config: Config, name: str) -> None:
    """Cross-fit the fusion `name` on the feature files of its manifest, and say what each backbone adds."""
    competition, member = config.params.competition, config.params.fusions[name]
    _check(config, name)
    given = fit.read(config, member.backbones)
    tried: dict[tuple[str, ...], pd.DataFrame] = {}

    def loss(backbones: tuple[str, ...]) -> float:
        tried[backbones] = given.predict(config, member.head, backbones, metadata=member.metadata)
        return _loss(config, given.rows, tried[backbones])

    if member.select == "forward":
        steps = forward(member.backbones, loss)
    else:
        steps = [Step(" + ".join(member.backbones), loss(member.backbones))]
    added = {step.added for step in steps}
    chosen = tuple(b for b in member.backbones if b in added) if member.select == "forward" else member.backbones
    fit.write(config, name, tried[chosen])
    _write_path(steps, paths.fusion_path(competition, name, "csv"), paths.fusion_path(competition, name, "png"))


def _check(config: Config, name: str) -> None:
    competition = config.params.competition
    manifest = paths.fusion(competition, name)
    expected = json.loads(manifest.read_text(encoding="utf-8"))
    for backbone in config.params.fusions[name].backbones:
        path = paths.features(competition, backbone)
        if not path.exists() or digest(path) != expected.get(backbone):
            raise PodiumError(f"{path}: not the file that {manifest} lists; run `dvc repro`")


def _loss(config: Config, rows: pd.DataFrame, predictions: pd.DataFrame) -> float:
    """Return log loss or RMSE, whatever the competition's metric: it is smooth, and a new metric refits nothing."""
    task = config.competition.task
    train = predictions[predictions["split"] == "train"]
    truth = by_id(rows, train["row_id"], "rows")
    metric = metrics.METRICS["rmse" if task.kind == "regression" else "log_loss"]
    p = train[task.columns(rows.attrs["labels"])].to_numpy()
    return metric.loss(task.targets(truth), p, task)


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
