"""Folds are fair, keep groups whole and do not depend on the order of rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from podium.errors import PodiumError
from podium.splits import folds


def rows_of(y, group=None, **columns):
    """Return a Rows table of training rows with targets `y` (n,) or (n, labels)."""
    y = np.asarray(y, dtype=float)
    ids = [f"r{i:04d}" for i in range(len(y))]
    targets = {"y": y} if y.ndim == 1 else {f"y_{j}": y[:, j] for j in range(y.shape[1])}
    return pd.DataFrame(
        {"row_id": ids, "split": "train", **targets, "weight": 1.0, "group": ids if group is None else group, **columns}
    )


def joined(made, rows):
    """Return the folds with the rows' columns."""
    return made.assigned.drop(columns="group").merge(rows, on="row_id", validate="many_to_one")


@given(st.lists(st.integers(0, 3), min_size=40, max_size=120), st.integers(2, 5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_stratified_folds_differ_by_one_row_of_a_class(y, k, seed):
    """Every class and the whole are spread as evenly as they can be, and every row has one fold."""
    rows = rows_of([*y, *[0, 1, 2, 3] * k])
    table = joined(folds.make(rows, "stratified", k, seed=seed), rows)
    assert sorted(table["row_id"]) == sorted(rows["row_id"])
    counts = pd.crosstab(table["y"], table["fold"])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    assert np.ptp(np.bincount(table["fold"], minlength=k)) <= 1


@pytest.mark.parametrize("scheme", ["plain", "stratified", "binned", "multilabel", "stratified_group", "time"])
def test_input_order_does_not_matter_but_the_seed_does(scheme):
    """Shuffled rows get the same folds; another seed other folds, except by time."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (200, 3)) if scheme == "multilabel" else rng.integers(0, 2, 200)
    rows = rows_of(y, group=[f"g{i // 2}" for i in range(200)], meta_taken=[str(i) for i in range(200)])
    make = lambda rows, seed: folds.make(rows, scheme, 5, seed=seed, time="taken")  # noqa: E731  # said once
    first = make(rows, 1)
    again = make(rows.sample(frac=1, random_state=3), 1)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.table.equals(make(rows, 2).table) == (scheme == "time")


@pytest.mark.parametrize("scheme", ["plain", "stratified", "group", "stratified_group", "binned", "multilabel", "time"])
def test_a_group_never_spans_folds(scheme):
    """Whatever the scheme, and with groups of very different sizes."""
    rng = np.random.default_rng(4)
    group = np.array([f"g{i}" for i in rng.geometric(0.05, 300)])
    y = rng.integers(0, 2, (300, 2)) if scheme == "multilabel" else rng.integers(0, 2, 300)
    rows = rows_of(y, group, meta_taken=rng.integers(0, 50, 300).astype(str))
    table = joined(folds.make(rows, scheme, 3, seed=1, time="taken"), rows)
    assert table.groupby("group")["fold"].nunique().max() == 1
    if scheme != "time":
        assert np.bincount(table["fold"]).min() > 80


def test_groups_of_mixed_classes_stay_stratified():
    """The share of positives in each fold is near the whole's, though groups are of one class mostly."""
    rng = np.random.default_rng(5)
    group = rng.integers(0, 60, 600)
    y = (rng.random(600) < np.where(group % 3 == 0, 0.9, 0.1)).astype(int)
    rows = rows_of(y, [f"g{g}" for g in group])
    table = joined(folds.make(rows, "stratified_group", 5, seed=0), rows)
    assert table.groupby("fold")["y"].mean().sub(y.mean()).abs().max() < 0.04


def test_rare_labels_are_spread():
    """A label with 10 rows among 500 has 2 of them in each of 5 folds, beside frequent labels."""
    rng = np.random.default_rng(6)
    y = (rng.random((500, 4)) < [0.5, 0.3, 0.1, 0.0]).astype(int)
    y[rng.choice(500, 10, replace=False), 3] = 1
    rows = rows_of(y)
    table = joined(folds.make(rows, "multilabel", 5, seed=0), rows)
    counts = table.groupby("fold")[["y_0", "y_1", "y_2", "y_3"]].sum()
    assert (counts["y_3"] == 2).all()
    assert (counts.max() - counts.min()).max() <= 3
    assert np.ptp(np.bincount(table["fold"])) <= 2


def test_rows_without_any_label_are_spread():
    """Ten of five hundred: two in each fold, in the folds of a head within its training rows too."""
    y = np.eye(3)[np.arange(500) % 3].astype(int)
    bare = np.random.default_rng(0).choice(500, 10, replace=False)
    y[bare] = 0
    rows = rows_of(y)
    fold = folds.make(rows, "multilabel", 5, seed=0).matrix(rows["row_id"])[:, 0]
    assert np.bincount(fold[bare]).tolist() == [2] * 5
    part = folds.inner(y, np.arange(500), 5, seed=0, is_value=False)
    assert np.bincount(part[bare]).tolist() == [2] * 5


def test_a_regression_target_is_binned():
    """The folds' deciles agree, where plain folds of the same rows do not."""
    y = np.random.default_rng(7).gamma(2, size=200)

    def spread(scheme):
        table = joined(folds.make(rows_of(y), scheme, 5, seed=0), rows_of(y))
        return np.ptp(table.groupby("fold")["y"].mean())

    assert spread("binned") < 0.5 * spread("plain")


def test_repeats_differ():
    """Each repeat deals all rows anew."""
    rows = rows_of(np.arange(100) % 2)
    table = folds.make(rows, "stratified", 5, repeats=2, seed=0).table
    first, second = (table[table["repeat"] == r].sort_values("row_id")["fold"].to_numpy() for r in (0, 1))
    assert len(first) == len(second) == 100
    assert (first != second).mean() > 0.5


def test_only_training_rows_are_dealt():
    """Test rows have no fold, and extra rows are in training always."""
    rows = rows_of(np.arange(30) % 2)
    rows.loc[:4, "split"], rows.loc[5:9, "split"] = "test", "extra"
    made = folds.make(rows, "stratified", 2)
    assert made.assigned["row_id"].tolist() == rows["row_id"][10:].tolist()
    assert set(made.table["row_id"]) - set(made.assigned["row_id"]) == set(rows["row_id"][5:10])


def test_rare_classes():
    """A class of one row is trained on in every fold and predicted in none; one of two is in two folds."""
    rows = rows_of([0] * 20 + [1] * 2 + [2])
    rows.attrs["labels"] = ["cat", "dog", "owl"]
    made = folds.make(rows, "stratified", 5, repeats=2)
    folds.check(made, rows, 5, "params.yaml")
    cats_and_dogs, dogs, owl = set(rows["row_id"][:22]), rows["row_id"][20:22], rows["row_id"][22]
    assert made.assigned.query("repeat == 0").set_index("row_id")["fold"][dogs].nunique() == 2
    found = list(folds.splits(made, rows))
    assert len(found) == 10
    for split in found:
        assert owl in split.train
        assert set(split.valid) <= cats_and_dogs
    assert sum(len(split.valid) for split in found) == 2 * 22


@pytest.mark.parametrize("scheme", ["stratified", "stratified_group", "time"])
def test_one_fold_alone(scheme):
    """It is the very split of the whole table, extra rows and earlier folds included."""
    group = [f"g{n // 2}" for n in range(40)]
    rows = rows_of(np.arange(40) % 2, group=group, meta_day=[str(n // 4) for n in range(40)])
    rows.loc[36:, "split"] = "extra"
    made = folds.make(rows, scheme, 4, time="day")
    whole = {split.fold: split for split in folds.splits(made, rows)}
    for fold, expected in whole.items():
        [found] = folds.splits(folds.only(made, fold), rows)
        assert (found.repeat, found.fold) == (0, fold)
        assert found.train.tolist() == expected.train.tolist()
        assert found.valid.tolist() == expected.valid.tolist()
    with pytest.raises(PodiumError, match=r"--fold 7: choose one of: "):
        folds.only(made, 7)


def test_a_class_of_one_group():
    """The whole group is trained on, so that no row of it is predicted by a model that saw its company."""
    rows = rows_of([0, 1] * 10 + [0, 2, 2], group=[str(n) for n in range(20)] + ["g", "g", "g"])
    rows.attrs["labels"] = ["cat", "dog", "owl"]
    made = folds.make(rows, "stratified_group", 4)
    assert folds.lone_groups(rows) == ["g"]
    for split in folds.splits(made, rows):
        assert set(rows["row_id"][20:]) <= set(split.train)


def test_a_scheme_that_does_not_fit_the_competition():
    """Group without groups, one target where there are two, more folds than groups: one line each."""
    with pytest.raises(PodiumError, match="names none"):
        folds.make(rows_of([0, 1] * 5), "group", 2)
    with pytest.raises(PodiumError, match="choose multilabel"):
        folds.make(rows_of(np.eye(2).repeat(5, axis=0)), "stratified", 2)
    with pytest.raises(PodiumError, match=r"folds\.k: 5 folds need"):
        folds.make(rows_of([0, 1] * 5, group=["a", "b"] * 5), "plain", 5)
    with pytest.raises(PodiumError, match=r"folds\.time: no column None"):
        folds.make(rows_of([0, 1] * 5), "time", 2)
    with pytest.raises(PodiumError, match="neither a number nor a date for row_id 'r0001'"):
        folds.make(rows_of([0, 1] * 5, meta_taken=["2020-01-01", "soon"] * 5), "time", 2, time="taken")


def test_splits_cover_every_row_once_a_repeat_and_never_train_on_the_fold():
    """All other folds are trained on; ids come sorted, whatever the table's order."""
    rows = rows_of(np.arange(50) % 2)
    made = folds.make(rows, "stratified", 5, repeats=2, seed=0)
    shuffled = replace(made, table=made.table.sample(frac=1, random_state=0))
    found = list(folds.splits(shuffled, rows))
    assert [(s.repeat, s.fold) for s in found] == [(r, f) for r in range(2) for f in range(5)]
    for split in found:
        assert not set(split.train) & set(split.valid)
        assert len(split.train) + len(split.valid) == 50
        assert list(split.train) == sorted(split.train)
        assert list(split.valid) == sorted(split.valid)
    assert sorted(i for s in found[:5] for i in s.valid) == rows["row_id"].tolist()


def test_time_folds_are_predicted_from_the_past_only():
    """Dates as text are put in order as dates; the first fold is never predicted."""
    dates = [f"{day}.{month}.2020" for month in range(1, 13) for day in range(1, 6)]
    rows = rows_of(np.arange(60) % 2, meta_taken=pd.to_datetime(dates, format="%d.%m.%Y").strftime("%b %d %Y"))
    made = folds.make(rows, "time", 4, time="taken")
    assert made.table["fold"].tolist() == np.repeat(range(4), 15).tolist()
    found = list(folds.splits(made, rows))
    assert [s.fold for s in found] == [1, 2, 3]
    assert all(max(s.train) < min(s.valid) for s in found)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t[t["row_id"] != "r0003"], "repeat 0 has no fold for row_id 'r0003'"),
        (lambda t: t.assign(row_id=t["row_id"].replace("r0003", "rX")), "no training row has row_id 'rX'"),
        (lambda t: t.assign(fold=t["fold"].replace(1, 7)), r"folds \[0, 7\]; folds.k: 2 asks for 0 to 1"),
        (lambda t: t.assign(fold=t["row_id"].isin(["r0000"]).astype(int)), "splits groups over folds: 'g0'"),
        (lambda t: t.assign(fold=(t["row_id"] < "r0010").astype(int)), "fold 0 have no 'cat'"),
    ],
)
def test_a_table_of_the_users_own_is_checked(spoil, message):
    """A lacking row, an unknown row, a wrong fold, a split group, a fold without a class: one line each."""
    rows = rows_of([1] * 10 + [0] * 10, group=[f"g{i // 2}" for i in range(20)])
    rows.attrs["labels"] = ["cat", "dog"]
    made = folds.make(rows, "stratified", 2)
    assert folds.check(made, rows, 2, "own.csv") is made
    with pytest.raises(PodiumError, match=f"own.csv: .*{message}"):
        folds.check(replace(made, table=spoil(made.table)), rows, 2, "own.csv")


def test_seeds_of_models_are_unrelated():
    """No two of many models share a seed, and each fits 31 bits."""
    seeds = {folds.seed_of(seed, r, f) for seed in range(10) for r in range(10) for f in range(10)}
    assert len(seeds) == 1000
    assert max(seeds) < 2**31
    assert folds.seed_of(1, 2, 3) == folds.seed_of(1, 2, 3)


def test_equally_rare_classes_leave_folds_one_row_apart():
    """Two classes of 19 and two of 8: dealt in turns they gave folds of 19, 18 and 17 rows."""
    for seed in range(200):
        table = folds.make(rows_of([0] * 19 + [1] * 19 + [2] * 8 + [3] * 8), "stratified", 3, seed=seed)
        assert np.ptp(np.bincount(table.table["fold"], minlength=3)) <= 1


def test_the_largest_groups_are_dealt_first():
    """One group of ten rows beside ten single rows: two folds of ten; dealt last, it would make one of fifteen."""
    rows = rows_of(np.arange(20) % 2, group=["g"] * 10 + [f"r{i}" for i in range(10)])
    for seed in range(5):
        assert np.bincount(folds.make(rows, "plain", 2, seed=seed).table["fold"]).tolist() == [10, 10]


def test_rows_of_weight_0_are_predicted_and_not_trained_on():
    """By one function, for whoever asks what a model saw."""
    rows = rows_of(np.arange(12) % 2)
    rows.loc[3, "weight"] = 0
    found = list(folds.splits(folds.make(rows, "stratified", 3), rows))
    assert sum("r0003" in split.valid for split in found) == 1
    assert not any("r0003" in split.train for split in found)
    assert "r0003" not in folds.full(rows)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [("k", [2, 100], [1]), ("repeats", [1, 9], [0]), ("near_duplicates", [0, 64, None], [-1, 65])],
)
def test_bounds_of_settings(key, good, bad):
    """Two folds are the fewest; no bits at all are a distance, too."""
    for value in good:
        assert getattr(folds.Folds(**{key: value}), key) == value
    for value in bad:
        with pytest.raises(ValidationError, match=key):
            folds.Folds(**{key: value})
