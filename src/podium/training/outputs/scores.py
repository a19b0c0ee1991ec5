"""A vector of scores: dropout and a dense layer on the encoder's pooled features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from podium.contracts.averages import mean_over_models
from podium.contracts.models import Fitted
from podium.contracts.scores import Scores
from podium.contracts.steps import Affine, Chain, Linear
from podium.fitting.lesson import Lesson
from podium.tasks.vector import VectorTask
from podium.training import Finetune, outputs
from podium.training.encoder import Encoder
from podium.training.model import Model
from podium.training.outputs import Lessons
from podium.training.outputs import Output as Base
from podium.training.trained import TrainedNetwork


@dataclass(frozen=True)
class Problem(outputs.Problem):
    """Classes, labels and values: any other head can be fitted on the same features."""

    has_features: ClassVar[bool] = True

    def lessons(self, row_ids: np.ndarray) -> Lessons:
        """See Problem; values are standardised by `mean` and `std`."""
        task, rows, labels = self.task, self.data.of(row_ids), self.data.labels
        y = task.targets(rows)
        task.require_all(y, labels, self.where)
        mean, std = (float(y.mean()), float(y.std()) or 1.0) if task.is_value else (0.0, 1.0)
        return Lessons(
            target=task.network_targets((y - mean) / std if task.is_value else y, len(labels)),
            weight=task.class_weights(y, self.encoder.spec.class_weight, labels, self.where),
            stratum=task.strata(y),
            inner=y,
            facts={"mean": mean, "std": std},
        )

    def taught(self, lesson: Lesson) -> Lessons:
        """See Problem; what depends on a class goes by the likeliest."""
        task, labels, spec = self.task, self.data.labels, self.encoder.spec
        y, target = task.decide(lesson.p), lesson.p
        task.require_all(y, labels, self.where)
        mean, std = (float(target.mean()), float(target.std()) or 1.0) if task.is_value else (0.0, 1.0)
        return Lessons(
            target=(target - mean) / std if task.is_value else target,
            weight=lesson.weight * task.class_weights(y, spec.class_weight, labels, self.where),
            stratum=task.strata(y),
            inner=target[:, 0] if task.is_value else y,
            facts={"mean": mean, "std": std},
        )

    def build(self, seed: int) -> Model:
        """See Problem."""
        return build(self.encoder, self.task, len(self.task.columns(self.data.labels)), seed)

    def kept(self, model: Model, images: np.ndarray) -> np.ndarray:
        """See Problem."""
        return model.features(images)

    def trained(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> TrainedNetwork:
        """See Problem."""
        steps: tuple[Fitted, ...] = (Linear(arrays["kernel"], arrays["bias"]),)
        if self.task.is_value:
            steps = (*steps, Affine(facts["std"], facts["mean"]))
        return TrainedNetwork(outputs.weights(arrays), Chain(steps), self.task.activation())

    def predictions(self, asked: Sequence[Any], networks: Sequence[Any]) -> Scores:
        """See Problem: means over a row's images and views, and over the networks."""
        columns, labels = self.task.columns(self.data.labels), self.data.labels
        parts = []
        for split in ("train", "test"):
            tables = [
                model.predict(plan[plan["split"] == split], network)
                for (model, plan), network in zip(asked, networks, strict=True)
            ]
            ids = np.unique(np.concatenate([table.index.to_numpy(object) for table in tables]))
            of_models = [(np.searchsorted(ids, table.index.to_numpy(object)), table.to_numpy()) for table in tables]
            p, _ = mean_over_models(len(ids), of_models)
            parts.append(
                Scores(ids, np.full(len(ids), split, object), p.astype(np.float32), tuple(columns), tuple(labels))
            )
        return Scores.concat(parts)


def build(encoder: Encoder, task: VectorTask, n_outputs: int, seed: int) -> Model:
    """Return a network that ends in scores, before it is trained; `seed` is its only source of randomness."""
    spec = encoder.spec
    return Model(encoder, lambda: Output(task, n_outputs, spec, seed), seed)


class Output(Base):
    """Logits, or standardised values, `(n, n_outputs)`; any other head can be fitted on the same features."""

    takes: ClassVar[str] = "features"

    def __init__(self, task: VectorTask, n_outputs: int, spec: Finetune, seed: int) -> None:
        import keras

        self._task, self._spec = task, spec
        # Never trained: it holds what `begin` finds.
        self._norm = keras.layers.BatchNormalization(center=False, scale=False, trainable=False, dtype="float32")
        self._dropout = keras.layers.Dropout(spec.dropout, seed=seed, dtype="float32")
        self._dense = keras.layers.Dense(n_outputs, dtype="float32", name="head")

    def connect(self, encoded: Any) -> Any:
        """See Output."""
        return self._dense(self._dropout(self._norm(encoded)))

    def loss(self) -> Any:
        """See Output."""
        return self._task.network_loss(self._spec.label_smoothing, self._spec.focal)

    def metric(self) -> Any:
        """See Output."""
        return self._task.network_metric()

    def layers(self) -> list[Any]:
        """See Output."""
        return [self._dense]

    def begin(self, model: Any, images: np.ndarray) -> None:
        """Standardise features for the dense layer: zero mean, variance 1/d, so that their expected squared norm is 1.

        Layers differ in scale; and a step of Adam moves the logits by the rate times the sum of all features, so that
        the same rate would be ten times too much for a thousand features of variance 1.
        """
        features = model.features(images)
        self._norm.set_weights([features.mean(axis=0), features.var(axis=0) * features.shape[1]])

    def final(self) -> Mapping[str, np.ndarray]:
        """Return `kernel (d, k)` and `bias (k,)` of the dense layer on the features as they are."""
        (kernel, bias), (mean, variance) = self._dense.get_weights(), self._norm.get_weights()
        kernel = kernel / np.sqrt(variance + self._norm.epsilon)[:, None]
        return {"kernel": kernel, "bias": bias - mean @ kernel}
