"""fit@member: one head on one backbone's features -> out-of-fold and test predictions."""

from collections.abc import Sequence

from podium import paths
from podium.config import Config, Member
from podium.contracts import features
from podium.contracts.features import Features
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.crossfit import block, cross_fit, fused


def run(config: Config, name: str) -> None:
    """Cross-fit the member `name` on the features of its backbone."""
    member = config.params.members[name]
    path = paths.features(config.params.competition, member.backbones[0])
    write(config, name, member, [features.read(path)])


def write(config: Config, name: str, member: Member, read: Sequence[Features]) -> None:
    """Cross-fit a member on its backbones' features, side by side, and write its predictions."""
    competition, views, task = config.params.competition, config.params.views, config.competition.task
    rows = ROWS.read(paths.data(competition, "rows.parquet"))
    dealt = FOLDS.read(paths.data(competition, "folds.parquet"))
    images = IMAGES.read(paths.data(competition, "images.parquet"))
    learnt, asked = (images[images["split"].isin(splits)] for splits in (("train", "extra"), ("train", "test")))
    files = [str(paths.features(competition, backbone)) for backbone in member.backbones]
    predictions = cross_fit(
        member.head,
        task,
        rows.attrs["labels"],
        rows,
        dealt,
        learn=fused([block(one, learnt, views.train, file) for one, file in zip(read, files, strict=True)]),
        ask=fused([block(one, asked, views.test, file) for one, file in zip(read, files, strict=True)]),
        seed=config.params.seed,
    )
    metadata = {"labels": rows.attrs["labels"], "task": task.kind}
    task.schema.write(predictions, paths.predictions(competition, name), metadata)
