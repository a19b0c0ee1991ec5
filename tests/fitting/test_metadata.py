"""Columns of text as features: what each encoding makes of them, learnt on which rows."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from podium import plugins
from podium.contracts import models
from podium.contracts.dataset import Dataset
from podium.contracts.metadata import MetadataColumn
from podium.contracts.steps import EncodeMetadata, predict
from podium.errors import PodiumError
from podium.fitting import crossfit, metadata
from podium.fitting.fit_inputs import FitInputs, fit_member
from podium.fitting.member import Member
from podium.fitting.metadata import Training, columns_of, fit_encoder, matrix
from podium.fitting.row_features import RowFeatures, blank, with_metadata
from podium.heads.ridge import Head as Ridge
from podium.splits import folds

N = 200
REGRESSION = plugins.make("tasks", "regression", {"target": "t"}, "x")


@pytest.fixture
def rows():
    """Two hundred rows: a number, a date, a category of three and one of a hundred, with cells missing in each."""
    rng = np.random.default_rng(0)
    ids = [f"r{i:03d}" for i in range(N)]
    table = pd.DataFrame({"row_id": ids, "split": np.where(np.arange(N) < 160, "train", "test"), "weight": 1.0})
    table["y"], table["group"] = rng.normal(size=N), ids
    table["meta_age"] = [f"{value:.2f}" for value in rng.normal(40, 10, N)]
    table["meta_day"] = [f"2018-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)]
    table["meta_kind"] = rng.choice(["mono", "poly", "thin"], N)
    table["meta_place"] = [f"p{value}" for value in rng.integers(0, 100, N)]
    for place, name in enumerate(("age", "day", "kind", "place")):
        table.loc[place::20, f"meta_{name}"] = None
    return table


def learnt(rows, column, **options):
    """Return the fitted encoder of one column, and what it makes of its training rows."""
    y = rows["y"].to_numpy()
    data = {"targets": y[:, None], "group": np.arange(len(y)), "weight": np.ones(len(y)), "seed": 0, "is_value": True}
    return fit_encoder([column], 0, matrix(rows, [column]), Training(**{"y": y} | data | options))


def test_what_a_column_holds_is_seen_in_training_rows_alone(rows):
    """A word in a test row does not turn numbers into categories."""
    rows.loc[199, "meta_age"] = "unknown"
    found = columns_of(rows, choice=True)
    assert [(column.name, column.encoding) for column in found] == [
        ("age", "number"),
        ("day", "date"),
        ("kind", "onehot"),
        ("place", "target"),
    ]
    assert found[2].categories == ("mono", "poly", "thin")
    assert np.isnan(matrix(rows, found)[199, 0])


def test_a_choice_of_columns_and_encodings(rows):
    """A list keeps its order; a mapping says how; a list of categories is their order."""
    assert [column.name for column in columns_of(rows, ("kind", "age"))] == ["kind", "age"]
    found = columns_of(rows, {"age": "ordinal", "kind": ("thin", "poly", "mono")})
    assert list(found[0].categories) == sorted(rows["meta_age"][:160].dropna().unique(), key=float)
    assert found[1] == MetadataColumn("kind", "ordinal", ("thin", "poly", "mono"))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("sex",), "no column 'sex'; choose from: age, day, kind, place"),
        ({"kind": "number"}, "layout.metadata: 'kind' must be a number: row_id 'r000', 'r001'"),
        ({"age": "date"}, "'age' must be an ISO date: row_id 'r001'"),
        ({"kind": ("mono", "poly")}, r"metadata\.kind: the list has no 'thin', which rows have"),
    ],
)
def test_what_does_not_fit_is_one_line(rows, choice, message):
    """It names the column, and rows or choices."""
    with pytest.raises(PodiumError, match=message):
        columns_of(rows, choice)


def test_numbers_get_the_training_median_and_a_flag(rows):
    """Where cells are missing."""
    encoder, encoded = learnt(rows, MetadataColumn("age", "number"))
    values = pd.to_numeric(rows["meta_age"])
    np.testing.assert_allclose(encoded[:, 0], values.fillna(values.median()), rtol=1e-6)
    np.testing.assert_array_equal(encoded[:, 1], values.isna())
    np.testing.assert_array_equal(predict(encoder, matrix(rows, [MetadataColumn("age", "number")])), encoded)


def test_categories_are_what_scikit_learn_makes_of_them(rows):
    """One-hot with a column for missing cells, and zeros for a category that no training row has; ordinal -1."""
    train, column = rows[:100], columns_of(rows, {"kind": "onehot"})[0]
    encoder, encoded = learnt(train, column)
    theirs = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[["meta_kind"]])
    np.testing.assert_array_equal(encoded, theirs.transform(train[["meta_kind"]]))
    new = rows[100:].assign(meta_kind=np.where(np.arange(100) % 2, "unheard", rows["meta_kind"][100:]))
    np.testing.assert_array_equal(predict(encoder, matrix(new, [column])), theirs.transform(new[["meta_kind"]]))

    column = columns_of(rows, {"place": "ordinal"})[0]
    encoder, _ = learnt(train, column)
    known = train[["meta_place"]].dropna()
    theirs = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(known)
    expected = np.where(rows[["meta_place"]].isna(), -1, theirs.transform(rows[["meta_place"]].fillna("")))
    np.testing.assert_array_equal(predict(encoder, matrix(rows, [column])), expected)


def test_mean_targets_are_those_of_scikit_learn(rows):
    """Of new rows: the category's mean, drawn to the mean of all as if by ten more rows; the latter if unheard of."""
    column = columns_of(rows, {"place": "target"})[0]
    encoder, _ = learnt(rows[:100], column)
    theirs = TargetEncoder(smooth=10.0, target_type="continuous").fit(rows[["meta_place"]][:100], rows["y"][:100])
    new = rows[100:].assign(meta_place=rows["meta_place"][100:].where(np.arange(100) % 5 > 0, "unheard"))
    expected = theirs.transform(new[["meta_place"]])
    np.testing.assert_allclose(predict(encoder, matrix(new, [column])), expected, rtol=1e-5, atol=1e-6)


def test_a_training_row_s_mean_target_is_not_its_own(rows):
    """Of names that come once each, a head must learn nothing; nor of names that one group has."""
    unique = rows.assign(meta_place=rows["row_id"])
    column = columns_of(unique.assign(split="train"), {"place": "target"})[0]
    _, encoded = learnt(unique, column)
    assert np.corrcoef(encoded[:, 0], unique["y"])[0, 1] < 0.1
    pairs = np.arange(N) // 2
    shared = rows.assign(meta_place=[f"p{pair}" for pair in pairs], y=rows["y"].to_numpy()[pairs])
    column = columns_of(shared.assign(split="train"), {"place": "target"})[0]
    assert np.corrcoef(learnt(shared, column)[1][:, 0], shared["y"])[0, 1] > 0.5
    assert np.corrcoef(learnt(shared, column, group=pairs)[1][:, 0], shared["y"])[0, 1] < 0.1


def test_dates_are_days_and_phases(rows):
    """Days since 1970; the same day of another year has nearly the same phase; hours count where there are any."""
    column = columns_of(rows, {"day": "date"})[0]
    encoder, encoded = learnt(rows, column)
    days = (pd.to_datetime(rows["meta_day"]) - pd.Timestamp("1970-01-01")).dt.days
    np.testing.assert_array_equal(encoded[:, 0], days.fillna(days.median()))
    dates = ["2001-03-01", "2018-03-01", "2018-09-01T06:00:00+00:00"]
    new = pd.DataFrame({"meta_day": dates})
    x = predict(encoder, matrix(new, [column]))
    assert x.shape == (3, 5)
    np.testing.assert_allclose(x[0, [1, 3]], x[1, [1, 3]], atol=0.02)
    assert np.abs(x[2, [1, 3]] + x[1, [1, 3]]).max() < 0.1  # half a year later
    hours = rows.assign(meta_day="2018-01-01T06:00")
    assert learnt(hours, columns_of(hours, {"day": "date"})[0])[1].shape == (N, 7)


def test_a_fold_s_encoder_knows_its_training_rows_alone(rows):
    """A category of the fold's own rows is as unknown as a test row's; saved models say the same."""
    column = columns_of(rows, {"kind": "onehot"})
    table = folds.make(rows, "plain", 4, seed=0)
    own = table.table.loc[table.table["fold"] == 2, "row_id"]
    rows.loc[rows["row_id"].isin(own), "meta_kind"] = "thin"
    rows.loc[~rows["row_id"].isin(own) & (rows["meta_kind"] == "thin"), "meta_kind"] = "mono"
    block = with_metadata(blank(rows["row_id"].to_numpy(object)), rows, column)
    fitted = {split.fold: model for split, model in crossfit.fit_folds(Ridge(), REGRESSION, [], rows, table, block, 0)}
    codes = [len(model.steps[0].columns[0].codes) for _, model in sorted(fitted.items())]
    assert codes == [4, 4, 3, 4]  # with the missing


def test_a_member_s_models_and_columns_are_all_that_new_rows_need(rows, tmp_path):
    """Its columns go through JSON, its models through files; what they predict stays as it was."""
    columns = columns_of(rows, choice=True)
    rng = np.random.default_rng(1)
    train, test = rows[rows["split"] == "train"], rows[rows["split"] == "test"].copy()
    test.loc[test.index[0], "meta_kind"] = "unheard"
    features = RowFeatures(train["row_id"].to_numpy(object), rng.normal(size=(160, 2, 3)).astype(np.float32))
    model = crossfit.fit(Ridge(), REGRESSION, [], train, with_metadata(features, train, columns), 0)
    assert isinstance(model.steps[0], EncodeMetadata)
    models.save(model, tmp_path, "full")
    spec = json.loads(json.dumps([dataclasses.asdict(column) for column in columns]))
    again = [MetadataColumn(**{**column, "categories": tuple(column["categories"])}) for column in spec]
    x = np.hstack([rng.normal(size=(40, 3)).astype(np.float32), matrix(test, again)])
    found = predict(models.load(tmp_path, "full"), x)
    np.testing.assert_array_equal(found, predict(model, x))
    assert np.isfinite(found).all()


def test_names_of_the_rows_table():
    """Without the prefix that keeps them apart from the table's own."""
    assert metadata.names(pd.DataFrame(columns=["row_id", "meta_age", "y"])) == ["age"]


@pytest.mark.parametrize(("n", "encoding"), [(50, "onehot"), (51, "target")])
def test_fifty_categories_are_one_hot(n, encoding):
    """One more, and the mean target stands for them."""
    rows = pd.DataFrame({"row_id": [str(k) for k in range(n)], "split": "train", "meta_x": [f"c{k}" for k in range(n)]})
    (column,) = columns_of(rows, choice=True)
    assert column.encoding == encoding
    assert len(column.categories) == n


def test_mean_targets_by_hand():
    """A category's weighted mean, drawn to that of all rows by ten rows; an unknown category gets the latter."""
    column = MetadataColumn("x", "target", ("a", "b"))
    cells, targets = np.array([[0.0], [0.0], [1.0]], np.float32), np.array([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]])
    weight = np.array([1.0, 3.0, 2.0])
    data = Training(targets[:, 0], targets, np.arange(3), weight, seed=0, is_value=True)
    step, encoded = fit_encoder([column], 0, cells, data)
    prior = (targets * weight[:, None]).sum(axis=0) / 6
    expected = [(targets[:2] * weight[:2, None]).sum(axis=0) + 10 * prior, 2 * targets[2] + 10 * prior, prior]
    expected = np.array([expected[0] / 14, expected[1] / 12, prior])
    np.testing.assert_allclose(step.predict(np.array([[0.0], [1.0], [7.0]])), expected, rtol=1e-6)
    assert encoded.shape == (3, 2)
    assert not np.allclose(encoded, expected[[0, 0, 1]])


@pytest.mark.parametrize(
    ("choice", "backbones", "expected"),
    [
        (("kind",), ("b",), ["kind"]),
        (True, ("b",), ["age", "day", "kind", "place"]),
        (False, ("b",), []),
        (("age",), ("metadata",), ["age"]),
        (False, ("metadata",), ["age", "day", "kind", "place"]),
    ],
)
def test_a_member_says_what_it_takes(rows, tmp_path, choice, backbones, expected):
    """Beside its models: the columns that were chosen, all of them where metadata stand alone, and the backbones."""
    ids = rows["row_id"].to_numpy(object)
    features = {"b": RowFeatures(ids, np.random.default_rng(0).normal(size=(N, 1, 3)).astype(np.float32))}
    features["metadata"] = blank(ids)
    inputs = FitInputs(Dataset.in_memory(rows, []), folds.make(rows, "plain", 2, seed=0), features, features)
    member = Member(backbones=backbones, head=Ridge(), metadata=choice)
    if not choice:  # what a head gets where nothing is said
        bare = inputs.predict(REGRESSION, member.head, backbones, 0)
        np.testing.assert_array_equal(bare.p, inputs.predict(REGRESSION, member.head, backbones, 0, metadata=choice).p)
    scores = fit_member(inputs, REGRESSION, member, backbones, 0, tmp_path / "m")
    about = json.loads((tmp_path / "m/about.json").read_text())
    assert [column["name"] for column in about["metadata"]] == expected
    assert about["backbones"] == list(backbones)
    assert set(scores.row_id) == set(ids)
