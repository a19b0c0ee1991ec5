"""The bank's members as teachers: their models, checked, and the weights that each fold's ensemble has without it."""

from collections.abc import Mapping
from dataclasses import dataclass

from podium import paths, plugins
from podium.contracts import models
from podium.contracts.blends import Blend
from podium.contracts.predictions import Bank, read_bank
from podium.contracts.scores import Scores, stacked
from podium.fitting.fit_inputs import FitInputs
from podium.fitting.member import Member
from podium.fitting.scoring import Scoring, Submission
from podium.imaging.views import Views
from podium.tasks.vector import VectorTask
from podium.teaching import Student
from podium.teaching.lineage import require_blind
from podium.teaching.teachers import HeadTeacher, NetworkTeacher, Teacher, Teachers
from podium.training import Finetune
from podium.training.finetuning import Finetuning


@dataclass(frozen=True)
class Members:
    """The members of a competition's bank that are fitted here, by name."""

    competition: str
    heads: Mapping[str, Member]  # members and fusions
    finetunes: Mapping[str, Finetune]
    task: VectorTask
    views: Views
    seed: int

    def inputs(self, student: Student) -> FitInputs:
        """Return the features of all rows, in the views to train on and in those to predict from."""
        learns_test = student.member is not None and "test" in student.splits
        trained = ("train", "extra", "test") if learns_test else ("train", "extra")
        backbones = student.backbones(self.heads, self.finetunes)
        return FitInputs.read(self.competition, backbones, self.views, ("train", "extra", "test"), trained)

    def read(self, name: str, student: Student, inputs: FitInputs) -> Teachers:
        """Return the teachers of the student of this name; raises PodiumError for one that may have seen a fold."""
        where = f"{paths.PARAMS}: students.{name}.teachers"
        bank = read_bank(paths.teachers(self.competition, name, "predictions"), Scores)
        readable = inputs.data.rows[inputs.data.rows["row_id"].isin(bank.train_ids)]
        for teacher in bank.names:
            require_blind(paths.models(self.competition, teacher), inputs.folds, readable, f"{where}: {teacher}")
        members = {teacher: self._teacher(teacher, inputs) for teacher in bank.names}
        return Teachers(members, self._blends(bank, inputs, student.blend))

    def finetuning(self, spec: Finetune, where: str) -> Finetuning:
        """Return what a network is trained on."""
        return Finetuning.read(self.competition, spec, self.task, self.seed, where)

    def _teacher(self, name: str, inputs: FitInputs) -> Teacher:
        folder = paths.models(self.competition, name)
        if name in self.heads:
            return HeadTeacher(inputs, self.task, self.heads[name], self._taken(name), folder, self.seed)
        finetuning = self.finetuning(self.finetunes[name], f"{paths.PARAMS}: finetunes.{name}")
        return NetworkTeacher(finetuning, self.views.test, folder)

    def _taken(self, name: str) -> list[str]:
        """Return the backbones that a member's models take: of a fusion, perhaps not all that it names."""
        return list(models.about(paths.models(self.competition, name))["backbones"])

    def _blends(self, bank: Bank[Scores], inputs: FitInputs, method: str) -> Mapping[tuple[int, int], Blend]:
        """Return the weights of each (repeat, fold), learnt on the other folds by log loss or squared error."""
        ids, data = bank.train_ids, inputs.data
        scoring = Scoring(self.task, (self.task.smooth_metric,), Submission())
        y, folds, weight = self.task.truth(data, ids), inputs.folds.matrix(ids), data.weight(ids)
        ensemble = plugins.make("ensembles", method, {}, "students", "blend")
        fitted: dict[tuple[int, int], Blend] = ensemble.fit_folds(
            stacked(bank.train), y, folds, loss=scoring.objective(weight), seed=self.seed
        )
        return fitted
