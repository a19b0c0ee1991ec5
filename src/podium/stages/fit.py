"""fit@member: one head on one backbone's features -> out-of-fold and test predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.fitting.crossfit import Block, block, cross_fit, fused, tabular
from podium.heads import Head


@dataclass(frozen=True)
class Given:
    """All that heads are fitted on, by backbone: features to learn from, and features to predict from."""

    rows: pd.DataFrame
    dealt: pd.DataFrame
    learn: dict[str, Block]
    ask: dict[str, Block]

    def predict(self, config: Config, head: Head, backbones: Sequence[str], *, metadata: bool = False) -> pd.DataFrame:
        """Return one head's predictions from several backbones' features, and the rows' metadata, side by side."""
        learn, ask = (fused([blocks[name] for name in backbones]) for blocks in (self.learn, self.ask))
        if metadata:
            learn, ask = (fused([images, tabular(self.rows, images)]) for images in (learn, ask))
        task, labels = config.competition.task, self.rows.attrs["labels"]
        return cross_fit(head, task, labels, self.rows, self.dealt, learn=learn, ask=ask, seed=config.params.seed)


def run(config: Config, name: str) -> None:
    """Cross-fit the member `name` on the features of its backbone."""
    member = config.params.members[name]
    given = read(config, member.backbones)
    write(config, name, given.predict(config, member.head, member.backbones, metadata=member.metadata))


def read(config: Config, backbones: Sequence[str], asked: Sequence[str] = ("train", "test")) -> Given:
    """Return what heads on these backbones are fitted on; `asked` are the splits to predict."""
    name, views = config.params.competition, config.params.views
    images = IMAGES.read(paths.data(name, "images.parquet"))
    known, wanted = images[images["split"].isin(["train", "extra"])], images[images["split"].isin(asked)]
    learn, ask = {}, {}
    for backbone in backbones:
        path = paths.features(name, backbone)
        found = features.read(path)
        learn[backbone] = block(found, known, views.train, str(path))
        ask[backbone] = block(found, wanted, views.test, str(path))
    rows, dealt = ROWS.read(paths.data(name, "rows.parquet")), FOLDS.read(paths.data(name, "folds.parquet"))
    return Given(rows, dealt, learn, ask)


def write(config: Config, name: str, predictions: pd.DataFrame) -> None:
    """Write a member's predictions, with the labels of their columns."""
    competition, task = config.params.competition, config.competition.task
    labels = ROWS.read(paths.data(competition, "rows.parquet")).attrs["labels"]
    task.schema.write(predictions, paths.predictions(competition, name), {"labels": labels, "task": task.kind})
