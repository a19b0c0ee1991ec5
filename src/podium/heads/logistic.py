"""Logistic regression on standardised features."""

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Clip, Fill, Linear, Sigmoid, Softmax
from podium.heads import Range, Training
from podium.heads.lbfgs import Logits, path
from podium.heads.shared import reduce
from podium.splits import folds

Strength = Annotated[float, Field(gt=0)]


class Head(heads.Head):
    """L2-regularised, with scikit-learn's `C`: 0.003 suits 1,280 standardised features.

    Of several values of `C` the best on `inner` folds of the training rows is taken; a grid costs little more than
    its weakest strength.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel")
    space: ClassVar[dict[str, Range]] = {"C": Range(1e-6, 10.0)}
    is_linear: ClassVar[bool] = True

    C: Strength | Annotated[tuple[Strength, ...], Field(min_length=1)] = 0.003
    """The inverse strength of the penalty, or a list of which the best on inner folds is taken."""
    inner: int = Field(4, ge=2)
    """Inner folds to choose among several values of `C`."""
    pca: int | None = Field(None, ge=1)
    """Principal components to fit on; null: all features."""
    tolerance: float = Field(1e-4, gt=0)
    """How far above its least the objective may stay, as a share of it."""

    def fit(self, data: Training) -> Fitted:
        """Fit all classes, or all labels, at once; nothing but the inner folds is random."""
        scale = reduce(data.x, self.pca)
        data = replace(data, x=scale.predict(data.x))
        truth = _indicators(data)
        varies = (truth != truth[0]).any(axis=0)  # a label that all or none have is predicted so
        strengths = self.C if isinstance(self.C, tuple) else (self.C,)
        best = strengths[0] if len(strengths) == 1 else self._best(data, truth[:, varies], strengths)
        model = self._path(data, truth[:, varies], [C for C in strengths if best >= C])[best]
        steps = (scale, Linear(model.weights, model.offsets), Softmax() if model.is_softmax else Sigmoid())
        return Chain((*steps, Clip() if varies.all() else Fill(truth[0], varies)))

    def _path(self, data: Training, truth: np.ndarray, strengths: list[float]) -> dict[float, Logits]:
        is_softmax = data.task == "multiclass"
        return dict(path(data.x, truth, data.weight, strengths, is_softmax=is_softmax, tolerance=self.tolerance))

    def _best(self, data: Training, truth: np.ndarray, strengths: tuple[float, ...]) -> float:
        """Return the strength of least log loss on rows of inner folds that its models did not see."""
        part = folds.inner(data.y, data.group, self.inner, data.seed, is_value=False)
        loss = dict.fromkeys(strengths, 0.0)
        for i in range(self.inner):
            unseen = part == i
            for C, model in self._path(data.of(~unseen), truth[~unseen], list(strengths)).items():
                p = np.clip(model(data.x[unseen]), 1e-15, 1)
                rows = _log_loss(p, truth[unseen], is_softmax=model.is_softmax)
                loss[C] += float(data.weight[unseen] @ rows)
        return min(strengths, key=lambda C: (loss[C], C))


def _indicators(data: Training) -> np.ndarray:
    if data.task == "multiclass":
        return np.asarray(data.y[:, None] == np.arange(data.n_outputs)).astype(np.float32)
    return data.y.reshape(len(data.y), -1).astype(np.float32)


def _log_loss(p: np.ndarray, truth: np.ndarray, *, is_softmax: bool) -> np.ndarray:
    rest = 0.0 if is_softmax else (1 - truth) * np.log(np.maximum(1 - p, 1e-15))
    return np.asarray(-(truth * np.log(p) + rest).sum(axis=1))
