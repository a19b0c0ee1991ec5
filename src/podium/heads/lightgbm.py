"""Gradient-boosted trees (LightGBM)."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from podium import heads
from podium.contracts.models import Fitted
from podium.contracts.steps import Chain, Clip, Trees
from podium.heads import Range, Training
from podium.heads.shared import per_label
from podium.splits import folds

# Fixed, for the number of threads changes how sums are rounded.
_THREADS = 2


class Head(heads.Head):
    """Boosted trees; `patience` stops early, on one of `inner` parts of the training rows that the trees never see.

    The defaults are for thousands of features: a tenth of them for each tree and 63 bins take 2.2 s a fold of
    1,280 features and four views, where all of them take 18.3 s.
    """

    tasks: ClassVar[tuple[str, ...]] = ("binary", "multiclass", "multilabel", "regression")
    space: ClassVar[dict[str, Range]] = {
        "rounds": Range(50, 800),
        "learning_rate": Range(0.01, 0.2),
        "leaves": Range(4, 63),
        "min_leaf": Range(5, 100),
        "feature_fraction": Range(0.02, 0.5),
        "l2": Range(0.01, 100.0),
    }

    rounds: int = Field(200, ge=1)
    """Trees, of each class where there are several."""
    learning_rate: float = Field(0.05, gt=0)
    """What each tree adds, as a share of what it would."""
    leaves: int = Field(15, ge=2)
    """Leaves of a tree, at most."""
    min_leaf: int = Field(20, ge=1)
    """Training rows in a leaf, at least."""
    feature_fraction: float = Field(0.1, gt=0, le=1)
    """The share of features that each tree may use, drawn anew."""
    row_fraction: float = Field(0.8, gt=0, le=1)
    """The share of rows that each tree is grown on, drawn anew."""
    max_bin: int = Field(63, ge=2, le=255)
    """Bins of a feature's values."""
    l2: float = Field(1.0, ge=0)
    """The L2 penalty of leaf values."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many rounds without a better loss of one of `inner` parts; null: never."""
    inner: int = Field(6, ge=2)
    """Parts of the training rows, of which early stopping holds one out."""

    def fit(self, data: Training) -> Fitted:
        """Fit one booster, or one per label."""
        return per_label(data, self._fit)

    def _fit(self, data: Training) -> Fitted:
        import lightgbm

        params = self._params(data)
        options: dict[str, Any] = {}
        learnt = np.ones(len(data.x), bool)
        if self.patience:
            learnt = folds.inner(data.y, data.group, self.inner, data.seed, is_value=data.task == "regression") > 0
        rows = lightgbm.Dataset(data.x[learnt], data.y[learnt], weight=data.weight[learnt], params=params)
        if self.patience:
            judged = rows.create_valid(data.x[~learnt], data.y[~learnt], weight=data.weight[~learnt])
            stop = lightgbm.early_stopping(self.patience, verbose=False)
            options = {"valid_sets": [judged], "callbacks": [stop]}
        booster = lightgbm.train(params, rows, num_boost_round=self.rounds, **options)

        trees = Trees(booster.model_to_string())
        return trees if data.task == "regression" else Chain((trees, Clip()))

    def _params(self, data: Training) -> dict[str, Any]:
        return {
            "objective": data.task,  # LightGBM has the same names
            "num_class": data.n_outputs,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.row_fraction,
            "bagging_freq": 1,
            "max_bin": self.max_bin,
            "lambda_l2": self.l2,
            "seed": data.seed,
            "num_threads": _THREADS,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
