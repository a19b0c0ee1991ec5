"""Stacking: a second model on the members' predictions (Wolpert 1992)."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from podium.contracts.blends import Blend, Complement, Stacked, stack_inputs
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Columns, Constant, Fill, Linear, Sigmoid, Softmax, Standardize, Trees
from podium.ensembles import Ensemble as Base
from podium.ensembles import EnsembleObjective


class Ensemble(Base):
    """Logistic regression (ridge for values) or small boosted trees on the members' logits."""

    needs_vectors: ClassVar[bool] = True

    model: Literal["logistic", "lightgbm"] = "logistic"
    """The second-level model."""
    C: float = Field(0.01, gt=0)
    """The inverse strength of its penalty."""
    trees: int = Field(100, ge=1)
    """The number of trees of `lightgbm`."""

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:
        """Return a blend without weights; of several labels, each is stacked by itself."""
        is_value = not np.issubdtype(y.dtype, np.integer)
        x = stack_inputs(members, is_value=is_value)
        scale = Standardize(x.mean(axis=0), 1 / np.maximum(x.std(axis=0), 1e-6))
        x = scale.predict(x)
        if is_value:
            model = self._values(x, y, loss.weight, seed)
        else:
            k = members.shape[2] if y.ndim == 1 else 1
            targets = y.reshape(len(y), -1).T
            model = Columns(tuple(self._classes(x, target, k, loss.weight, seed) for target in targets))
        limits = loss.limits if is_value else (0.0, 1.0)
        return Stacked(None, Chain((scale, model)), is_value, *limits)

    def _values(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, seed: int) -> Fitted:
        if self.model == "lightgbm":
            import lightgbm

            fitted = lightgbm.LGBMRegressor(**self._trees(seed)).fit(x, y, sample_weight=weight)
            return Trees(fitted.booster_.model_to_string())
        from sklearn.linear_model import Ridge

        ridge = Ridge(alpha=1 / self.C).fit(x, y, sample_weight=weight)
        return Linear(ridge.coef_.reshape(-1, 1), np.atleast_1d(ridge.intercept_))

    def _classes(self, x: np.ndarray, y: np.ndarray, k: int, weight: np.ndarray | None, seed: int) -> Fitted:
        """Return a model to `(n, k)` probabilities; `k` = 1 is the positive class of two.

        A class without a row in these folds gets probability 0, and a single class 1.
        """
        classes = np.unique(y)
        if len(classes) == 1:
            return Constant(np.array([float(classes[0])]) if k == 1 else np.eye(k)[classes[0]])
        model = self._classifier(x, y, len(classes), weight, seed)
        if k == 1:
            return model
        full = Chain((model, Complement())) if len(classes) == 2 else model  # noqa: PLR2004  # two classes
        return full if len(classes) == k else Chain((full, Fill(np.zeros(k), np.isin(np.arange(k), classes))))

    def _classifier(self, x: np.ndarray, y: np.ndarray, n_classes: int, weight: np.ndarray | None, seed: int) -> Fitted:
        """Return a model to the probability of the second of two classes, or of each of more."""
        if self.model == "lightgbm":
            import lightgbm

            fitted = lightgbm.LGBMClassifier(**self._trees(seed)).fit(x, y, sample_weight=weight)
            return Trees(fitted.booster_.model_to_string())
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=self.C, max_iter=1000).fit(x, y, sample_weight=weight)
        last = Sigmoid() if n_classes == 2 else Softmax()  # noqa: PLR2004  # two classes
        return Chain((Linear(np.ascontiguousarray(model.coef_.T), model.intercept_), last))

    def _trees(self, seed: int) -> dict[str, Any]:
        small = {"n_estimators": self.trees, "learning_rate": 0.05, "num_leaves": 7, "min_child_samples": 50}
        repeatable = {"deterministic": True, "force_row_wise": True, "n_jobs": 1, "random_state": seed, "verbose": -1}
        return {**small, **repeatable, "reg_lambda": 1 / self.C}
