"""What heads are fitted on: the rows, the folds and the features of some backbones."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from podium import paths
from podium.contracts import features, models
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.metadata import NAME
from podium.contracts.models import ABOUT, Fitted
from podium.contracts.scores import Scores
from podium.fitting.crossfit import Keep, Lessons, cross_fit, in_memory
from podium.fitting.member import Member
from podium.fitting.metadata import Choice, columns_of
from podium.fitting.row_features import AnyFeatures, blank, fused, read_features, with_metadata
from podium.heads import Head
from podium.imaging.views import Views
from podium.storage.files import atomic_folder, write_json
from podium.tasks.vector import VectorTask


@dataclass(frozen=True)
class FitInputs:
    """All that heads are fitted on; features by backbone, in the views to train on and in those to predict from.

    `metadata` among the backbones is of rows that have images, or of all where no row has any.
    """

    data: Dataset
    folds: FoldTable
    train_features: dict[str, AnyFeatures]
    predict_features: dict[str, AnyFeatures]

    @classmethod
    def read(
        cls,
        competition: str,
        backbones: Sequence[str],
        views: Views,
        splits: Sequence[str] = ("train", "test"),
        trained: Sequence[str] = ("train", "extra"),
        *,
        each: bool = False,
    ) -> "FitInputs":
        """Return the inputs of heads on these backbones; `splits` are those to predict, `trained` those to fit on.

        With `each`, a row's images are kept apart.
        """
        data = Dataset(paths.dataset(competition))
        is_train, is_predicted = (data.images["split"].isin(names) for names in (trained, splits))
        train_features: dict[str, AnyFeatures] = {}
        predict_features: dict[str, AnyFeatures] = {}
        for backbone in backbones:
            if backbone == NAME:
                train_features[NAME] = blank(_row_ids(data, trained))
                predict_features[NAME] = blank(_row_ids(data, splits))
                continue
            path = paths.features(competition, backbone)
            table = features.read(path)
            for found, images, chosen in (
                (train_features, data.images[is_train], views.train),
                (predict_features, data.images[is_predicted], views.test),
            ):
                found[backbone] = read_features(table, images, chosen, str(path), each=each)
        return cls(data, FoldTable.read(data.folder), train_features, predict_features)

    def predict(
        self,
        task: VectorTask,
        head: Head,
        backbones: Sequence[str],
        seed: int,
        *,
        metadata: Choice = False,
        keep: Keep = in_memory,
        lessons: Lessons | None = None,
    ) -> Scores:
        """Return one head's predictions from several backbones' features, and the rows' metadata, side by side."""
        train, predicted = self.side_by_side(backbones, metadata)
        rows, labels = self.data.rows, self.data.labels
        return cross_fit(head, task, labels, rows, self.folds, train, predicted, seed, keep, lessons)

    def side_by_side(self, backbones: Sequence[str], metadata: Choice) -> tuple[AnyFeatures, AnyFeatures]:
        """Return the features to train on and those to predict from, of several backbones, and the metadata."""
        pictured = [name for name in backbones if name != NAME] or [NAME]
        train, predicted = (
            fused([side[name] for name in pictured]) for side in (self.train_features, self.predict_features)
        )
        if metadata or NAME in backbones:
            columns = columns_of(self.data.rows, metadata or True)
            train, predicted = (with_metadata(side, self.data.rows, columns) for side in (train, predicted))
        return train, predicted


def fit_member(
    inputs: FitInputs,
    task: VectorTask,
    member: Member,
    backbones: Sequence[str],
    seed: int,
    folder: Path,
    lessons: Lessons | None = None,
) -> Scores:
    """Fit a member, write its models into `folder`, and return what the saved models predict."""
    with atomic_folder(folder) as temporary:

        def keep(name: str, model: Fitted) -> Fitted:
            models.save(model, temporary, name)
            saved: Fitted = models.load(temporary, name)
            return saved

        predictions = inputs.predict(
            task, member.head, backbones, seed, metadata=member.metadata, keep=keep, lessons=lessons
        )
        has_metadata = member.metadata or NAME in backbones
        columns = columns_of(inputs.data.rows, member.metadata or True) if has_metadata else ()
        facts = {
            "backbones": list(backbones),
            "metadata": [dataclasses.asdict(column) for column in columns],
            "views": member.head.views,
            "folds": inputs.folds.digest,
        }
        write_json(facts, temporary / ABOUT)
    return predictions


def _row_ids(data: Dataset, splits: Sequence[str]) -> np.ndarray:
    rows = data.rows[data.rows["split"].isin(splits)]
    if len(data.images):
        rows = rows[rows["row_id"].isin(data.images["row_id"])]
    return rows["row_id"].to_numpy(object)
