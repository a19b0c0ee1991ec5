"""Which rows each model sees, and how its predictions are averaged: by a head that tells."""

import dataclasses
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from podium import heads, plugins
from podium.contracts.features import Features
from podium.errors import PodiumError
from podium.fitting import crossfit, metadata, row_features
from podium.splits import folds

TASK = plugins.make("tasks", "regression", {"target": "t"}, "x")
N, K = 12, 3


class Telling(heads.Head):
    """Predicts 1000 times the model's number, plus the row's first feature; keeps what it was given."""

    tasks: ClassVar[tuple[str, ...]] = ("regression",)
    seen: ClassVar[list[heads.Training]] = []

    def fit(self, data):
        """Remember the training rows."""
        self.seen.append(data)
        number = len(self.seen)
        return SimpleNamespace(predict=lambda x: (1000.0 * number + x[:, :1]).astype(np.float32))


@pytest.fixture(autouse=True)
def _forget():
    Telling.seen.clear()


def rows_of(split="train", **columns):
    """Return twelve rows r00, r01, ..., whose target is their number."""
    ids = [f"r{i:02d}" for i in range(N)]
    table = pd.DataFrame({"row_id": ids, "split": split, "y": np.arange(N, dtype=float), "weight": 1.0, "group": ids})
    return table.assign(**columns)


def block_of(rows, n_views=1):
    """Return features whose first column is the row's number plus a tenth of the view's."""
    number = rows["row_id"].str[1:].astype(int).to_numpy()
    x = number[:, None, None] + 0.1 * np.arange(n_views)[None, :, None]
    return row_features.RowFeatures(rows["row_id"].to_numpy(object), np.repeat(x, 2, axis=2).astype(np.float32))


def run(rows, head=None, table=None, *, train_features=None, predict_features=None, seed=0):
    """Cross-fit over three plain folds."""
    table = folds.make(rows, "plain", K, seed=1) if table is None else table
    train_features = block_of(rows[rows["split"] != "test"]) if train_features is None else train_features
    predict_features = block_of(rows[rows["split"] != "extra"]) if predict_features is None else predict_features
    found = crossfit.cross_fit(
        head or Telling(),
        TASK,
        [],
        rows,
        table,
        train_features=train_features,
        predict_features=predict_features,
        seed=seed,
    )
    return found.table().set_index("row_id")


def seen(model):
    """Return the numbers of the rows that one model was trained on."""
    return sorted({int(value) for value in Telling.seen[model].x[:, 0]})


def test_a_row_is_predicted_by_the_model_that_did_not_see_it():
    """Every train row has one prediction, by the model of its fold, which was trained on all the others."""
    rows = rows_of()
    table = folds.make(rows, "plain", K, seed=1)
    found = run(rows, table=table)
    fold = table.table.set_index("row_id")["fold"]
    for row_id, y in found["y"].items():
        number = int(row_id[1:])
        assert y == pytest.approx(1000 * (fold[row_id] + 1) + number)
        assert number not in seen(fold[row_id])
    assert all(len(seen(model)) == 8 for model in range(K))
    assert all((data.y == data.x[:, 0]).all() for data in Telling.seen)


def test_out_of_fold_is_the_mean_over_repeats_and_test_over_all_models():
    """Two repeats of three folds are six models."""
    rows = rows_of(split=["train"] * 9 + ["test"] * 3)
    table = folds.make(rows, "plain", K, repeats=2, seed=1)
    found = run(rows, table=table)
    wide = table.table.pivot_table(index="row_id", columns="repeat", values="fold")
    for row_id in rows["row_id"][:9]:
        models = [wide.loc[row_id, 0] + 1, wide.loc[row_id, 1] + 4]
        assert found.loc[row_id, "y"] == pytest.approx(1000 * np.mean(models) + int(row_id[1:]))
    assert found.loc["r10", "y"] == pytest.approx(1000 * 3.5 + 10)
    assert found["split"].tolist() == ["train"] * 9 + ["test"] * 3


def test_train_rows_are_predicted_from_the_test_views_like_test_rows():
    """Two views to train on, three to predict from, averaged for both kinds of row."""
    rows = rows_of(split=["train"] * 9 + ["test"] * 3)
    train_features, predict_features = block_of(rows[:9], n_views=2), block_of(rows, n_views=3)
    found = run(rows, train_features=train_features, predict_features=predict_features)
    assert np.allclose(found["y"].to_numpy() % 1, 0.1, atol=1e-3)
    assert len(Telling.seen[0].x) == 6 * 2
    first = Telling.seen[0]
    assert pd.DataFrame({"g": first.group, "y": first.y}).groupby("g")["y"].nunique().max() == 1
    assert len(set(first.group)) == 6


def test_views_are_rows_of_their_own_or_their_mean_one_row():
    """`views: mean` asks a head once a row, for the mean of the row's features over its views."""
    rows = rows_of(split=["train"] * 9 + ["test"] * 3)
    train_features, predict_features = block_of(rows[:9], n_views=2), block_of(rows, n_views=3)
    found = run(rows, Telling(views="mean"), train_features=train_features, predict_features=predict_features)
    assert np.allclose(found["y"].to_numpy() % 1, 0.1, atol=1e-3)
    assert np.allclose(Telling.seen[0].x[:, 0] % 1, 0.05, atol=1e-3)
    assert len(Telling.seen[0].x) == 6


def test_extra_rows_are_trained_on_always_and_never_predicted_or_met_by_their_group():
    """An extra row that belongs to a held-out row's group is left out of that model."""
    rows = rows_of(split=["train"] * 9 + ["extra"] * 3)
    rows.loc[rows["row_id"] == "r09", "group"] = "r00"
    table = folds.make(rows, "plain", K, seed=1)
    found = run(rows, table=table)
    assert sorted(found.index) == rows["row_id"][:9].tolist()
    its_fold = table.table.set_index("row_id")["fold"]["r00"]
    assert [9 in seen(model) for model in range(K)] == [model != its_fold for model in range(K)]
    assert all({10, 11} <= set(seen(model)) for model in range(K))


def test_rows_without_features_or_weight():
    """A quarantined image's row is neither trained on nor predicted; a row of weight 0 is predicted alone."""
    rows = rows_of(split=["train"] * 9 + ["test"] * 3)
    rows.loc[1, "weight"] = 0.0
    here = rows[~rows["row_id"].isin(["r00", "r10"])]
    found = run(rows, train_features=block_of(here[here["split"] == "train"]), predict_features=block_of(here))
    assert sorted(found.index) == sorted(here["row_id"])
    assert not {0, 1} & set(np.concatenate([seen(model) for model in range(K)]))


def test_heads_get_the_groups_of_the_folds():
    """What near-duplicates join there stays together in a head's own inner folds, and in no other fold."""
    rows = rows_of(split=["train"] * 11 + ["extra"])
    joined = rows.assign(group=[f"g{i // 2}" for i in range(N)])
    table = folds.make(joined, "plain", K, seed=1)
    run(rows, table=table)
    for split, data in zip(folds.splits(table, rows), Telling.seen, strict=True):
        assert len(set(data.group)) == len({int(name[1:]) // 2 for name in split.train})
        assert (11 in set(data.x[:, 0].astype(int))) == ("r10" not in split.valid)


def test_time_folds_leave_the_first_unpredicted():
    """There is no past to predict it from."""
    rows = rows_of(split=["train"] * 9 + ["test"] * 3, meta_day=[str(i) for i in range(N)])
    table = folds.make(rows, "time", K, time="day")
    found = run(rows, table=table)
    assert sorted(found.index) == rows["row_id"][3:].tolist()
    assert [seen(model) for model in range(len(Telling.seen))] == [[0, 1, 2], [0, 1, 2, 3, 4, 5]]


def test_refit_predicts_test_rows_by_one_model_of_all_rows():
    """Train rows stay out of fold."""
    rows = rows_of(split=["train"] * 8 + ["extra"] + ["test"] * 3)
    rows.loc[2, "weight"] = 0.0  # predicted, and trained on by none
    found = run(rows, Telling(refit="full"))
    assert seen(K) == [0, 1, 3, 4, 5, 6, 7, 8]
    assert "r02" in found.index
    assert found.loc["r10", "y"] == pytest.approx(1000 * (K + 1) + 10)
    assert found.loc["r00", "y"] < 1000 * (K + 1)


def test_several_seeds_are_averaged():
    """Each fold's models differ by their seed alone, and no two models share one."""
    found = run(rows_of(), Telling(seeds=2))
    assert len(Telling.seen) == 2 * K
    assert len({data.seed for data in Telling.seen}) == 2 * K
    assert seen(0) == seen(1)
    assert set(np.round(found["y"].to_numpy() / 500).astype(int)) == {3, 7, 11}
    before = {data.seed for data in Telling.seen}
    Telling.seen.clear()
    run(rows_of(), Telling(seeds=2), seed=5)
    assert not before & {data.seed for data in Telling.seen}


def test_a_class_that_no_training_row_has_is_one_line():
    """Its images may all be quarantined: no model could be trained."""
    rows = rows_of(y=(np.arange(N) > 9).astype(float))
    task = plugins.make("tasks", "binary", {"target": "t"}, "x")
    table = folds.make(rows, "plain", K, seed=1)
    features = block_of(rows[:10])
    with pytest.raises(PodiumError, match="have no 'dog'"):
        crossfit.cross_fit(
            Telling(), task, ["cat", "dog"], rows, table, train_features=features, predict_features=features, seed=0
        )


def features_of(index, values):
    """Return a features file in memory."""
    frame = pd.DataFrame(index, columns=["image_id", "view"], dtype="str")
    return Features(frame, np.array(values, np.float16)[:, None], {})


IMAGES = pd.DataFrame({"image_id": ["a", "b", "c"], "row_id": ["z", "y", "z"]}, dtype="str")


def test_features_meet_rows_by_id_and_images_of_a_row_are_averaged_per_view():
    """Row z has images a and c; the order of the file, the images and the views does not matter."""
    index = [("a", "flip"), ("a", "id"), ("b", "flip"), ("b", "id"), ("c", "flip"), ("c", "id"), ("d", "id")]
    features = features_of(index, [1, 2, 3, 4, 5, 8, 99])
    found = row_features.row_features(features, IMAGES.iloc[::-1], ("id", "flip"), "f.h5")
    assert found.row_id.tolist() == ["y", "z"]
    assert found.x[:, :, 0].tolist() == [[4, 3], [5, 3]]
    assert found.x.dtype == np.float32
    assert found.of(np.array(["z", "y", "z"])).shape == (3, 2, 1)
    with pytest.raises(PodiumError, match="no features for row_id 'q'"):
        found.of(np.array(["z", "q"]))


def test_images_of_a_row_are_kept_apart_in_their_order():
    """By their position, or else by their ids; each opens with a 1, and a row with fewer ends in zeros."""
    features = features_of([("a", "id"), ("b", "id"), ("c", "id")], [5, 6, 7])
    found = row_features.row_features(features, IMAGES, ("id",), "f.h5", each=True)
    assert found.width == 2
    assert found.x[:, 0].tolist() == [[1, 6, 0, 0], [1, 5, 1, 7]]
    ordered = IMAGES.assign(position=[2.0, 0.0, 1.0])
    found = row_features.row_features(features, ordered, ("id",), "f.h5", each=True)
    assert found.x[:, 0].tolist() == [[1, 6, 0, 0], [1, 7, 1, 5]]


def test_a_lacking_view_is_one_line():
    """It names the file, the view and the image."""
    features = features_of([("a", "id"), ("b", "id")], [1, 2])
    with pytest.raises(PodiumError, match=r"f\.h5: no view 'id' of image_id 'c'"):
        row_features.row_features(features, IMAGES, ("id",), "f.h5")


def test_backbones_are_put_side_by_side_by_id():
    """Whatever the order in which each holds the rows."""
    one = row_features.RowFeatures(np.array(["a", "b"]), np.array([[[1.0]], [[2.0]]]))
    two = row_features.RowFeatures(np.array(["b", "a"]), np.array([[[20.0, 21.0]], [[10.0, 11.0]]]))
    assert row_features.fused([one, two]).x[:, 0].tolist() == [[1, 10, 11], [2, 20, 21]]


def test_metadata_stand_beside_the_features_in_every_view():
    """Joined by id, not by position, behind the features."""
    rows = rows_of(meta_age=[str(n / 2) for n in range(N)], meta_sex="1").sample(frac=1, random_state=0)
    like = block_of(rows_of().iloc[[3, 1]], n_views=2)
    found = row_features.with_metadata(like, rows, metadata.columns_of(rows, choice=True))
    np.testing.assert_array_equal(found.x[:, :, 2:], [[[1.5, 1]] * 2, [[0.5, 1]] * 2])
    np.testing.assert_array_equal(found.x[:, :, :2], like.x)


def test_metadata_stand_beside_the_features_of_each_fold_s_network():
    """Each model's own features, with the same columns behind them."""
    rows = rows_of(meta_age=[str(n) for n in range(N)])
    by_network = {name: block_of(rows, n_views=2) for name in ("r0f0", "r0f1")}
    by_network["r0f1"] = dataclasses.replace(by_network["r0f1"], x=-by_network["r0f1"].x)
    block = row_features.FoldFeatures(rows["row_id"].to_numpy(object), 2, by_network.__getitem__)
    found = row_features.with_metadata(block, rows, metadata.columns_of(rows, choice=True))
    for name, own in by_network.items():
        x = found.of_model(name).x
        np.testing.assert_array_equal(x[:, :, :2], own.x)
        np.testing.assert_array_equal(x[:, :, 2], np.repeat(np.arange(N)[:, None], 2, axis=1))
