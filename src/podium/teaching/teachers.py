"""The teachers of each fold: models that never saw it, and the weights that they learnt without it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from podium.contracts import models
from podium.contracts.averages import predict_views
from podium.contracts.models import of_fold
from podium.contracts.scores import Scores, stacked
from podium.ensembles import Blend
from podium.fitting.crossfit import cross_fit
from podium.fitting.fit_inputs import FitInputs
from podium.fitting.member import Member
from podium.splits.folds import Split, seed_of
from podium.tasks.vector import VectorTask
from podium.training.finetuning import Finetuning
from podium.training.progress import Progress


class Teacher(ABC):
    """One member of the bank, by its models of each fold."""

    @abstractmethod
    def of_others(self, split: Split, ids: np.ndarray) -> np.ndarray:
        """Return `(n, k)` float64 of rows without labels, by the model that did not see this fold."""

    def of_labelled(self, split: Split) -> Scores:
        """Return predictions of the fold's training rows, each by a model that saw neither the row nor the fold."""
        raise NotImplementedError


@dataclass(frozen=True)
class HeadTeacher(Teacher):
    """A head; of rows with labels it is fitted again, once for every two folds that are left out."""

    inputs: FitInputs
    task: VectorTask
    member: Member
    backbones: Sequence[str]  # those that its models take
    folder: Path
    seed: int

    def of_others(self, split: Split, ids: np.ndarray) -> np.ndarray:
        """See Teacher."""
        name = of_fold(split.repeat, split.fold)
        _, features = self.inputs.side_by_side(self.backbones, self.member.metadata)
        if self.member.head.views == "mean":
            features = features.merged()
        return predict_views(models.load(self.folder, name), features.of_model(name).of(ids))

    def of_labelled(self, split: Split) -> Scores:
        """See Teacher."""
        data, folds = self.inputs.data, self.inputs.folds
        train, predicted = self.inputs.side_by_side(self.backbones, self.member.metadata)
        rows = data.rows[data.rows["row_id"].isin(split.train)].reset_index(drop=True)
        within = folds.of(split.train)
        within = replace(within, table=within.table[within.table["repeat"] == split.repeat])
        head = self.member.head.model_copy(update={"refit": "folds"})
        seed = seed_of(self.seed, split.repeat, split.fold)
        return cross_fit(head, self.task, data.labels, rows, within, train, predicted, seed)


@dataclass(frozen=True)
class NetworkTeacher(Teacher):
    """A finetune, by its networks as they are kept."""

    finetuning: Finetuning
    views: Sequence[str]
    folder: Path

    def of_others(self, split: Split, ids: np.ndarray) -> np.ndarray:
        """See Teacher."""
        name = of_fold(split.repeat, split.fold)
        [model] = [model for model in self.finetuning.models if model.name == name]
        with Progress(f"teacher {name}") as progress:
            return model.asked(ids, self.views, progress, models.load(self.folder, name))


@dataclass(frozen=True)
class Teachers:
    """Several members, sorted by name, and how they are combined for each (repeat, fold)."""

    members: Mapping[str, Teacher]
    blends: Mapping[tuple[int, int], Blend]

    def of_others(self, split: Split, ids: np.ndarray) -> np.ndarray:
        """Return `(n, k)` float32 of rows without labels, by models and weights that did not see this fold."""
        said = [member.of_others(split, ids).astype(np.float32) for member in self.members.values()]
        return self.blends[split.repeat, split.fold].predict(np.stack(said))

    def of_labelled(self, split: Split) -> Scores:
        """Return predictions of the fold's training rows, each by models that saw neither the row nor the fold.

        The bank's own out-of-fold predictions would not do: the models behind them saw this fold's labels.
        """
        said = [member.of_labelled(split).of_split("train") for member in self.members.values()]
        return said[0].with_p(self.blends[split.repeat, split.fold].predict(stacked(said)))
