"""One head's predictions for every row: out of fold for train rows, by the folds' models for test rows."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from podium.contracts.features import Features
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.heads import Head, Predict, Training
from podium.splits import folds
from podium.tasks import Task


@dataclass(frozen=True)
class RowFeatures:
    """Features of rows by view: `x (n, v, d)` float32 of the sorted `row_id (n,)`."""

    row_id: np.ndarray
    x: np.ndarray

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Return `(len(ids), v, d)`, in the order of the ids, all of which the block must hold."""
        places = pd.Index(self.row_id).get_indexer(pd.Index(ids))
        if (places < 0).any():
            raise PodiumError(f"no features for row_id {preview(np.asarray(ids)[places < 0].tolist())}")
        return np.asarray(self.x[places])

    def merged(self) -> Self:
        """Return the mean of each row's views as its only view."""
        return dataclasses.replace(self, x=self.x.mean(axis=1, keepdims=True))


def row_features(features: Features, images: pd.DataFrame, views: Sequence[str], where: str) -> RowFeatures:
    """Return the features of the images' rows; where several images share a row, their mean in each view."""
    at = features.index.assign(place=np.arange(len(features.index)))
    planes = []
    for view in views:
        table = images[["image_id", "row_id"]].merge(at[at["view"] == view], on="image_id", how="left", validate="1:1")
        if (lacking := table["place"].isna()).any():
            raise PodiumError(f"{where}: no view {view!r} of image_id {preview(table['image_id'][lacking])}")
        table = table.sort_values(["row_id", "image_id"], kind="stable")
        ids, first, count = np.unique(table["row_id"].to_numpy(object), return_index=True, return_counts=True)
        x = features.matrix[table["place"].to_numpy(np.int64)].astype(np.float32)
        # A lone image's features stay as they are, to the bit.
        planes.append(
            x if len(ids) == len(x) else np.add.reduceat(x, first, axis=0) / count[:, None].astype(np.float32)
        )
    return RowFeatures(ids, np.stack(planes, axis=1))


def fused(blocks: Sequence[RowFeatures]) -> RowFeatures:
    """Return the blocks of several backbones side by side; they must hold the same rows and views."""
    first = blocks[0]
    return (
        first
        if len(blocks) == 1
        else RowFeatures(first.row_id, np.concatenate([b.of(first.row_id) for b in blocks], axis=2))
    )


def tabular(rows: pd.DataFrame, like: RowFeatures) -> RowFeatures:
    """Return the metadata of a block's rows as features `(n, v, d)`, the same in every view.

    Raises PodiumError where a column holds anything but numbers.
    """
    columns = [name for name in rows.columns if name.startswith("meta_")]
    known = by_id(rows, like.row_id, "rows")
    x = known[columns].apply(pd.to_numeric, errors="coerce")
    if (wrong := x.isna()).any(axis=None):
        column = wrong.any().idxmax()
        ids = preview(known["row_id"][wrong[column]])
        raise PodiumError(f"layout.metadata: {column.removeprefix('meta_')!r} must be a number: row_id {ids}")
    return RowFeatures(like.row_id, np.repeat(x.to_numpy(np.float32)[:, None], like.x.shape[1], axis=1))


def cross_fit(
    head: Head,
    task: Task,
    labels: list[str],
    rows: pd.DataFrame,
    dealt: pd.DataFrame,
    train_features: RowFeatures,
    predict_features: RowFeatures,
    seed: int,
) -> pd.DataFrame:
    """Return `row_id, split` and the task's columns for every train row and test row that has features.

    Train and test rows go through the same function: the same views, the same average over them. A train row's
    prediction is the mean over repeats of models whose training rows held none of its group; a test row's the
    mean over all models, or by one model of all rows (`refit: full`).

    Args:
        head: what is fitted, once a fold and seed.
        task: how targets are coded.
        labels: the task's labels, in the order of the columns.
        rows: the Rows table.
        dealt: the Folds table, with its scheme in `.attrs`.
        train_features: features of train and extra rows in the views to train on.
        predict_features: features of train and test rows in the views to predict from.
        seed: of everything random.
    """
    columns = task.columns(labels)
    if head.views == "mean":
        train_features, predict_features = train_features.merged(), predict_features.merged()
    rows = rows[rows["row_id"].isin(train_features.row_id) | rows["row_id"].isin(predict_features.row_id)].set_index(
        "row_id", drop=False
    )
    asked = {split: np.sort(rows.index[rows["split"] == split].to_numpy(object)) for split in ("train", "test")}
    tally = {split: np.zeros((len(ids), len(columns))) for split, ids in asked.items()}
    times = np.zeros((len(asked["train"]), 1))
    models = 0

    for split, predict in fold_models(head, task, labels, rows, dealt, train_features, seed):
        places = np.searchsorted(asked["train"], split.valid)
        tally["train"][places] += _average(predict, predict_features.of(split.valid))
        times[places] += 1
        if head.refit == "folds" and len(asked["test"]):
            tally["test"] += _average(predict, predict_features.of(asked["test"]))
            models += 1
    if head.refit == "full" and len(asked["test"]):
        everyone = np.sort(rows.index[rows["split"].isin(["train", "extra"]) & (rows["weight"] > 0)].to_numpy(object))
        full = _fit(head, task, labels, by_id(rows, everyone, "rows"), train_features.of(everyone), folds.seed_of(seed))
        tally["test"], models = _average(full, predict_features.of(asked["test"])), 1
    is_predicted = times[:, 0] > 0
    return pd.concat(
        [
            _table(
                asked["train"][is_predicted], "train", (tally["train"] / np.maximum(times, 1))[is_predicted], columns
            ),
            _table(asked["test"], "test", tally["test"] / max(models, 1), columns),
        ],
        ignore_index=True,
    )


def fold_models(
    head: Head,
    task: Task,
    labels: list[str],
    rows: pd.DataFrame,
    dealt: pd.DataFrame,
    train_features: RowFeatures,
    seed: int,
) -> Iterator[tuple[folds.Split, Predict]]:
    """Yield each fold's rows and the model that saw none of their groups; arguments as of `cross_fit`."""
    train_features = train_features.merged() if head.views == "mean" else train_features
    rows = rows[rows["row_id"].isin(train_features.row_id)].set_index("row_id", drop=False)
    for split in folds.splits(dealt[dealt["row_id"].isin(rows.index[rows["split"] == "train"])]):
        ids = folds.trained(rows, split)
        seed_ = folds.seed_of(seed, split.repeat, split.fold)
        yield split, _fit(head, task, labels, by_id(rows, ids, "rows"), train_features.of(ids), seed_)


def _fit(head: Head, task: Task, labels: list[str], rows: pd.DataFrame, x: np.ndarray, seed: int) -> Predict:
    n, n_views, d = x.shape
    y = task.targets(rows)
    if task.kind in {"binary", "multiclass"} and len(np.unique(y)) < len(labels):
        lacking = preview([name for code, name in enumerate(labels) if code not in y])
        raise PodiumError(f"the training rows of a fold have no {lacking}: their images could not be read")
    group = pd.factorize(rows["group"], sort=True)[0]
    data = Training(
        x=x.reshape(n * n_views, d),
        y=np.repeat(y, n_views, axis=0),
        task=task.kind,
        n_outputs=len(task.columns(labels)),
        group=np.repeat(group, n_views),
        weight=np.repeat(rows["weight"].to_numpy(np.float64), n_views),
        seed=seed,
    )
    fits = [head.fit(dataclasses.replace(data, seed=folds.seed_of(seed, i))) for i in range(head.seeds)]
    return lambda new: np.asarray(np.mean([predict(new) for predict in fits], axis=0))


def _average(predict: Predict, x: np.ndarray) -> np.ndarray:
    """Return `(n, k)`: the mean of a model's predictions for `(n, v, d)` over the views."""
    n, n_views, d = x.shape
    return np.asarray(predict(x.reshape(n * n_views, d)).reshape(n, n_views, -1).mean(axis=1, dtype=np.float64))


def _table(ids: np.ndarray, split: str, p: np.ndarray, columns: list[str]) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame({"row_id": ids, "split": split}), pd.DataFrame(p.astype(np.float32), columns=columns)], axis=1
    )
