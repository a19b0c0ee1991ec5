"""One head's models and predictions: out of fold for train rows, by the folds' models for test rows."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from podium.contracts import models
from podium.contracts.averages import mean_over_models, predict_views
from podium.contracts.folds import FoldTable
from podium.contracts.models import Fitted
from podium.contracts.scores import Scores
from podium.contracts.steps import Chain, Mean
from podium.contracts.tables import by_id
from podium.fitting import metadata
from podium.fitting.lesson import Lesson
from podium.fitting.row_features import AnyFeatures, RowFeatures
from podium.heads import Head, Training
from podium.splits.folds import Split, full, seed_of, splits
from podium.tasks.vector import VectorTask

Keep = Callable[[str, Fitted], Any]  # takes a model and its name; returns the model that predicts, such as a saved one
Lessons = Callable[[Split], Lesson]  # what a fold's model is taught in place of its rows' labels


def in_memory(_name: str, model: Fitted) -> Fitted:
    """Keep nothing: for searches whose models nobody needs again."""
    return model


def cross_fit(
    head: Head,
    task: VectorTask,
    labels: list[str],
    rows: pd.DataFrame,
    folds: FoldTable,
    train_features: AnyFeatures,
    predict_features: AnyFeatures,
    seed: int,
    keep: Keep = in_memory,
    lessons: Lessons | None = None,
) -> Scores:
    """Return the predictions of every train row and test row that has features.

    Train and test rows go through the same function: the same views, the same average over them. A train row's
    prediction is the mean over repeats of models whose training rows held none of its group; a test row's the
    mean over all models, or by one model of all rows (`refit: full`).

    Args:
        head: what is fitted, once a fold and seed.
        task: how targets are coded.
        labels: the task's labels, in the order of the columns.
        rows: the Rows table.
        folds: the folds, and the groups that stay together while a head is fitted.
        train_features: features of train and extra rows in the views to train on; of networks trained once a fold,
            those by the network of the model's own fold, which saw none of the rows that the model predicts.
        predict_features: features of train and test rows in the views to predict from.
        seed: of everything random.
        keep: saves each model under its name (`r0f3`, `full`) and returns it as it was saved.
        lessons: soft targets of each fold's training rows, and of others whose features are among `train_features`.
    """
    columns = task.columns(labels)
    if head.views == "mean":
        train_features, predict_features = train_features.merged(), predict_features.merged()
    has_features = rows["row_id"].isin(train_features.row_id) | rows["row_id"].isin(predict_features.row_id)
    rows = folds.grouped(rows[has_features]).set_index("row_id", drop=False)
    train_ids, test_ids = (np.sort(rows.index[rows["split"] == split].to_numpy(object)) for split in ("train", "test"))
    train_parts, test_parts = [], list[np.ndarray]()

    for split, fitted in fit_folds(head, task, labels, rows, folds, train_features, seed, lessons):
        name = models.of_fold(split.repeat, split.fold)
        model, features = keep(name, fitted), predict_features.of_model(name)
        train_parts.append((np.searchsorted(train_ids, split.valid), predict_views(model, features.of(split.valid))))
        if head.refit == "folds":
            test_parts.append(predict_views(model, features.of(test_ids)))
    if head.refit == "full":
        everyone, name = by_id(rows, full(rows), "rows"), models.FULL
        model = keep(name, fit(head, task, labels, everyone, train_features.of_model(name), seed_of(seed)))
        test_parts.append(predict_views(model, predict_features.of_model(name).of(test_ids)))
    train_p, is_predicted = mean_over_models(len(train_ids), train_parts)
    test_p, _ = mean_over_models(len(test_ids), [(slice(None), p) for p in test_parts])
    parts = [(train_ids[is_predicted], "train", train_p[is_predicted]), (test_ids, "test", test_p)]
    return Scores.concat(
        [
            Scores(ids, np.full(len(ids), split, object), p.astype(np.float32), tuple(columns), tuple(labels))
            for ids, split, p in parts
        ]
    )


def fit_folds(
    head: Head,
    task: VectorTask,
    labels: list[str],
    rows: pd.DataFrame,
    folds: FoldTable,
    train_features: AnyFeatures,
    seed: int,
    lessons: Lessons | None = None,
) -> Iterator[tuple[Split, Fitted]]:
    """Yield each fold's rows and the model that saw none of their groups; arguments as of `cross_fit`."""
    rows = rows[rows["row_id"].isin(train_features.row_id)].reset_index(drop=True)
    for split in splits(folds, rows):
        lesson = lessons(split) if lessons else None
        known = by_id(rows, lesson.row_id if lesson else split.train, "rows")
        features = train_features.of_model(models.of_fold(split.repeat, split.fold))
        yield split, fit(head, task, labels, known, features, seed_of(seed, split.repeat, split.fold), lesson)


def fit(
    head: Head,
    task: VectorTask,
    labels: list[str],
    rows: pd.DataFrame,
    features: RowFeatures,
    seed: int,
    lesson: Lesson | None = None,
) -> Fitted:
    """Return a head's model of these rows: of several seeds, the mean of their models.

    A `lesson` on the same rows, in the same order, takes the place of their labels and weights.
    """
    x = features.of(rows["row_id"].to_numpy(object))
    _, n_views, d = x.shape
    if lesson is None:
        line, y, weight = np.arange(len(rows)), task.targets(rows), rows["weight"].to_numpy(np.float64)
    else:
        line, y, weight = lesson.answers(task)
    task.require_all(y, labels, "folds")
    group = pd.factorize(rows["group"], sort=True)[0]
    lines = features.lines(rows["row_id"].to_numpy(object))
    encoder = None
    if features.metadata:
        encoder, x = _encoded(features, task, labels, rows, x, group, seed, lesson)
        d = x.shape[2]
    if lesson is not None:
        x, group, lines = x[line], group[line], lines[line]
    data = Training(
        x=x.reshape(-1, d),
        y=np.repeat(y, n_views, axis=0),
        task=task.kind,
        n_outputs=len(task.columns(labels)),
        group=np.repeat(group, n_views),
        weight=np.repeat(weight, n_views),
        seed=seed,
        # Encoded metadata differ from fold to fold: their models share no rows.
        source=None if encoder else features.x.reshape(-1, d),
        width=features.width,
        index=None if encoder else (lines[:, None] * n_views + np.arange(n_views)).reshape(-1),
    )
    fitted = tuple(head.fit(dataclasses.replace(data, seed=seed_of(seed, i))) for i in range(head.seeds))
    model = fitted[0] if len(fitted) == 1 else Mean(fitted)
    return Chain((encoder, model)) if encoder else model


def _encoded(
    features: RowFeatures,
    task: VectorTask,
    labels: list[str],
    rows: pd.DataFrame,
    x: np.ndarray,
    group: np.ndarray,
    seed: int,
    lesson: Lesson | None,
) -> tuple[Fitted, np.ndarray]:
    """Return the encoder of the metadata behind the features in `x (n, v, d + m)`, and the encoded `(n, v, d + e)`."""
    n_features = x.shape[2] - len(features.metadata)
    if lesson is None:
        y = task.targets(rows)
        targets, weight = _targets(y, len(task.columns(labels))), rows["weight"].to_numpy(np.float64)
    else:
        y, targets, weight = task.decide(lesson.p), lesson.p.astype(np.float64), lesson.weight
    data = metadata.Training(y=y, targets=targets, group=group, weight=weight, seed=seed, is_value=task.is_value)
    encoder, encoded = metadata.fit_encoder(features.metadata, n_features, x[:, 0, n_features:], data)
    in_views = np.repeat(encoded[:, None], x.shape[1], axis=1)
    return encoder, np.concatenate([x[:, :, :n_features], in_views], axis=2)


def _targets(y: np.ndarray, k: int) -> np.ndarray:
    is_one_of_k = y.ndim == 1 and k > 1
    return np.asarray(np.eye(k)[y] if is_one_of_k else y.reshape(len(y), -1).astype(np.float64))
