"""Stacking: a second model on the members' predictions (Wolpert 1992)."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from pydantic import Field

from podium.ensembles import Blend, EnsembleObjective
from podium.ensembles import Ensemble as Base

_EDGE = 1e-4  # probabilities nearer to 0 or 1 count as this sure: their logits would drown all others


class Ensemble(Base):
    """Logistic regression (ridge for values) or small boosted trees on the members' logits.

    `C` is the inverse strength of the regularisation; `trees` the number of them.
    """

    model: Literal["logistic", "lightgbm"] = "logistic"
    C: float = Field(0.01, gt=0)
    trees: int = Field(100, ge=1)

    def fit(self, members: np.ndarray, y: np.ndarray, *, loss: EnsembleObjective, seed: int) -> Blend:
        """Return a blend without weights; of several labels, each is stacked by itself."""
        values = not np.issubdtype(y.dtype, np.integer)
        x = _inputs(members, values=values)
        mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        x = (x - mean) / spread
        if values:
            predicts = [self._regressor(seed).fit(x, y).predict]
        else:
            k = members.shape[2] if y.ndim == 1 else 1
            predicts = [_classify(self._classifier(seed), x, target, k) for target in y.reshape(len(y), -1).T]

        def combine(members: np.ndarray) -> np.ndarray:
            x = (_inputs(members, values=values) - mean) / spread
            p = np.column_stack([predict(x) for predict in predicts])
            return p.clip(*loss.limits).astype(np.float32) if values else p.astype(np.float32)

        return Blend(combine)

    def _classifier(self, seed: int) -> Any:
        if self.model == "lightgbm":
            import lightgbm

            return lightgbm.LGBMClassifier(**self._trees(seed))
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.C, max_iter=1000)

    def _regressor(self, seed: int) -> Any:
        if self.model == "lightgbm":
            import lightgbm

            return lightgbm.LGBMRegressor(**self._trees(seed))
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1 / self.C)

    def _trees(self, seed: int) -> dict[str, Any]:
        small = {"n_estimators": self.trees, "learning_rate": 0.05, "num_leaves": 7, "min_child_samples": 50}
        repeatable = {"deterministic": True, "force_row_wise": True, "n_jobs": 1, "random_state": seed, "verbose": -1}
        return {**small, **repeatable, "reg_lambda": 1 / self.C}


def _inputs(members: np.ndarray, *, values: bool) -> np.ndarray:
    """Return `(n, m * k)` logits, or the values themselves."""
    flat = np.moveaxis(members, 0, 1).reshape(members.shape[1], -1).astype(np.float64)
    if values:
        return flat
    p = flat.clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(p / (1 - p)))


def _classify(model: Any, x: np.ndarray, y: np.ndarray, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """Fit, and return a function to `(n, k)` probabilities; `k` = 1 is the positive class of two.

    A class without a row in these folds gets probability 0, and a single class 1.
    """
    classes = np.unique(y)
    if len(classes) > 1:
        model.fit(x, y)

    def predict(x: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), max(k, 2)))
        p[:, classes] = model.predict_proba(x) if len(classes) > 1 else 1.0
        return p if k > 1 else p[:, 1:]

    return predict
