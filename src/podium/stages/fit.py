"""fit@member: one head on one backbone's features -> out-of-fold and test predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.fitting.crossfit import RowFeatures, cross_fit, fused, row_features, tabular
from podium.heads import Head


@dataclass(frozen=True)
class FitInputs:
    """All that heads are fitted on, by backbone: features to train_features from, and features to predict from."""

    rows: pd.DataFrame
    dealt: pd.DataFrame
    train_features: dict[str, RowFeatures]
    predict_features: dict[str, RowFeatures]

    def predict(self, config: Config, head: Head, backbones: Sequence[str], *, metadata: bool = False) -> pd.DataFrame:
        """Return one head's predictions from several backbones' features, and the rows' metadata, side by side."""
        train_features, predict_features = (
            fused([blocks[name] for name in backbones]) for blocks in (self.train_features, self.predict_features)
        )
        if metadata:
            train_features, predict_features = (
                fused([images, tabular(self.rows, images)]) for images in (train_features, predict_features)
            )
        task, labels = config.competition.task, self.rows.attrs["labels"]
        return cross_fit(
            head,
            task,
            labels,
            self.rows,
            self.dealt,
            train_features=train_features,
            predict_features=predict_features,
            seed=config.params.seed,
        )


def run(config: Config, name: str) -> None:
    """Cross-fit the member `name` on the features of its backbone."""
    member = config.params.members[name]
    given = read(config, member.backbones)
    write(config, name, given.predict(config, member.head, member.backbones, metadata=member.metadata))


def read(config: Config, backbones: Sequence[str], asked: Sequence[str] = ("train", "test")) -> FitInputs:
    """Return what heads on these backbones are fitted on; `asked` are the splits to predict."""
    name, views = config.params.competition, config.params.views
    images = IMAGES.read(paths.data(name, "images.parquet"))
    known, wanted = images[images["split"].isin(["train", "extra"])], images[images["split"].isin(asked)]
    train_features, predict_features = {}, {}
    for backbone in backbones:
        path = paths.features(name, backbone)
        found = features.read(path)
        train_features[backbone] = row_features(found, known, views.train, str(path))
        predict_features[backbone] = row_features(found, wanted, views.test, str(path))
    rows, dealt = ROWS.read(paths.data(name, "rows.parquet")), FOLDS.read(paths.data(name, "folds.parquet"))
    return FitInputs(rows, dealt, train_features, predict_features)


def write(config: Config, name: str, predictions: pd.DataFrame) -> None:
    """Write a member's predictions, with the labels of their columns."""
    competition, task = config.params.competition, config.competition.task
    labels = ROWS.read(paths.data(competition, "rows.parquet")).attrs["labels"]
    task.schema.write(predictions, paths.predictions(competition, name), {"labels": labels, "task": task.kind})
