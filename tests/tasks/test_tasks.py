"""What a row of predictions means: targets in, submissions out, the same way for every task."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from podium import plugins
from podium.contracts.dataset import Dataset
from podium.contracts.scores import Scores
from podium.contracts.tables import ROWS
from podium.errors import PodiumError

ROWS_READ = pd.DataFrame(
    {
        "row_id": ["a", "b", "c", "d"],
        "animal": ["dog", "cat", "dog", None],
        "breed": ["pug", "manx", "corgi", None],
        "tags": ["brown small", "", "small", None],
        "small": ["1", "0", "1", None],
        "old": ["0", "0", "1", None],
        "big": ["0", "1", "0", None],
        "age": ["2.5", "0", "1e1", None],
    },
    index=[7, 3, 5, 1],
    dtype="str",
)

TASKS = {
    "binary": {"target": "animal", "positive": "dog"},
    "multiclass": {"target": "breed"},
    "multilabel": {"target": "tags"},
    "regression": {"target": "age"},
}


def task(kind, **options):
    """Make a task as the configuration does."""
    return plugins.make("tasks", kind, options or TASKS[kind], "x.yaml: task")


@pytest.mark.parametrize(
    ("kind", "options", "expected", "labels"),
    [
        ("binary", {"target": "animal", "positive": "dog"}, [[1], [0], [1]], ["cat", "dog"]),
        ("binary", {"target": "animal", "positive": "cat"}, [[0], [1], [0]], ["dog", "cat"]),
        ("binary", {"target": "age", "above": 2.5}, [[0], [0], [1]], ["0", "1"]),
        ("binary", {"target": "small"}, [[1], [0], [1]], ["0", "1"]),
        ("multiclass", {"target": "breed"}, [[2], [1], [0]], ["corgi", "manx", "pug"]),
        ("multiclass", {"targets_of": ("small", "big")}, [[0], [1], [0]], ["small", "big"]),
        ("multilabel", {"target": "tags"}, [[1, 1], [0, 0], [0, 1]], ["brown", "small"]),
        ("multilabel", {"targets_of": ("small", "old")}, [[1, 0], [0, 0], [1, 1]], ["small", "old"]),
        ("regression", {"target": "age"}, [[2.5], [0], [10]], []),
        ("ordinal", {"target": "small", "low": 0, "high": 4}, [[1], [0], [1]], []),
    ],
)
def test_targets(kind, options, expected, labels):
    """Text becomes codes, the empty text a gap, and the rows keep their index; the table passes its contract."""
    made = task(kind, **options)
    found = made.encode(ROWS_READ, "here")
    encoded = found.columns
    assert found.labels == labels
    assert encoded.index.equals(ROWS_READ.index)
    assert encoded.loc[1].isna().all()
    rows = pd.concat([ROWS_READ[["row_id"]], encoded], axis=1).assign(split="train", weight=1.0, group="g")
    known = ROWS.check(rows, "rows").iloc[:3]
    assert made.targets(known).reshape(3, -1).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("binary", {"target": "colour"}, "here: no column 'colour'; choose one of: row_id, animal"),
        ("binary", {"target": "animal"}, "'animal' holds 'dog', not a number: row_id 'a', 'b', 'c'"),
        ("binary", {"target": "age"}, "'age' must hold 0 or 1: row_id 'a', 'c'"),
        ("binary", {"target": "animal", "positive": "cow"}, "must hold 'cow' and one other label; .* 'cat', 'dog'"),
        ("binary", {"target": "breed", "positive": "pug"}, "must hold 'pug' and one other label"),
        (
            "multiclass",
            {"targets_of": ("small", "old")},
            "one of small, old must be 1 and the others 0: row_id 'b', 'c'",
        ),
        ("regression", {"target": "breed"}, "'breed' holds 'pug', not a number"),
        ("ordinal", {"target": "age", "low": 0, "high": 4}, "'age' must hold 0 to 4: row_id 'a', 'c'"),
    ],
)
def test_targets_that_do_not_fit(kind, options, message):
    """One line that names the place, the column and the rows."""
    with pytest.raises(PodiumError, match=message):
        task(kind, **options).encode(ROWS_READ, "here")


def test_contradicting_options():
    """Two rules for what is positive, or no way to find the labels, are refused before any data is read."""
    with pytest.raises(PodiumError, match="`above` or `positive`, not both"):
        task("binary", target="age", above=1.0, positive="dog")
    with pytest.raises(PodiumError, match="`target`, a column of names, or `targets_of`"):
        task("multilabel", separator=",")
    with pytest.raises(PodiumError, match="`target`, a column of labels, or `targets_of`"):
        task("multiclass", top=5)
    with pytest.raises(PodiumError, match="`high` must be above `low`"):
        task("ordinal", target="age", low=4, high=4)
    with pytest.raises(ValidationError):
        plugins.find("tasks", "multiclass", "x")(target="breed", top=0)


def test_ten_labels_stay_in_order():
    """y_10 comes after y_9, not after y_1."""
    rows = pd.DataFrame({f"y_{j}": [j % 2] for j in np.random.default_rng(0).permutation(12)})
    assert task("multilabel").targets(rows).tolist() == [[j % 2 for j in range(12)]]


@pytest.mark.parametrize(
    ("kind", "p", "labels"),
    [
        ("binary", [[0.5], [0.49]], [1, 0]),
        ("multiclass", [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], [1, 0]),
        ("multilabel", [[0.5, 0.1], [0.2, 0.9]], [[1, 0], [0, 1]]),
        ("regression", [[1.5], [2.0]], [1.5, 2.0]),
    ],
)
def test_decisions_are_coded_like_targets(kind, p, labels):
    """Same shape as `y`."""
    assert task(kind).decide(np.array(p)).tolist() == labels


@pytest.mark.parametrize(
    ("kind", "y", "prior"),
    [
        ("binary", [1, 0, 0, 0], [0.5]),
        ("multiclass", [1, 0, 0, 2], [1 / 3, 1 / 2, 1 / 6]),
        ("multilabel", [[1, 0], [0, 0], [0, 1], [0, 1]], [1 / 2, 1 / 3]),
        ("regression", [1.0, 0.0, 0.0, 2.0], [5 / 6]),
    ],
)
def test_prior_is_the_weighted_mean_of_the_targets(kind, y, prior):
    """The first row weighs three times."""
    found = task(kind).prior(np.array(y), np.array([3.0, 1.0, 1.0, 1.0]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, prior, rtol=1e-6)


def test_a_row_without_image_gets_the_weighted_prior_of_the_labelled_rows():
    """Test rows count for nothing, whatever their targets; an extra row counts by its weight."""
    rows = pd.DataFrame({"row_id": list("abxt"), "split": ["train", "train", "extra", "test"], "y": [1.0, 0, 0, 1.0]})
    data = Dataset.in_memory(rows.assign(weight=[3.0, 1.0, 2.0, 50.0], group=list("abxt")), ["no", "yes"])
    found = task("binary").fallback(data, ["t"])
    assert found.p.tolist() == [[0.5]]
    assert found.split.tolist() == ["test"]


PREDICTIONS = pd.DataFrame(
    {"row_id": ["x", "y"], "p_0": [0.25, 0.75], "p_1": [0.5, 0.125], "p_2": [0.25, 0.125], "y": [3.0, 4.0]},
    index=[9, 4],
)


@pytest.mark.parametrize(
    ("kind", "options", "columns", "expected"),
    [
        ("binary", {"target": "t"}, ["p"], [[0.25], [0.75]]),
        ("binary", {"target": "t", "answer": "label"}, ["p"], [["c"], ["a"]]),
        ("binary", {"target": "t"}, ["a", "c"], [[0.25, 0.75], [0.75, 0.25]]),
        ("multiclass", {"target": "t"}, ["a", "b", "c"], [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]),
        ("multiclass", {"target": "t"}, ["t"], [["a"], ["c"]]),
        ("multiclass", {"target": "t", "top": 2}, ["t"], [["a c"], ["c a"]]),
        ("multilabel", {"target": "t"}, ["a", "b", "c"], [[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]),
        ("multilabel", {"target": "t"}, ["t"], [["a"], ["c"]]),
        ("regression", {"target": "t"}, ["t"], [[3.0], [4.0]]),
    ],
)
def test_submission_columns_follow_the_sample(kind, options, columns, expected):
    """Probabilities go to the column of their label, whatever the order of either; labels where one column is asked."""
    labels = ["c", "a", "b"] if kind.startswith("multi") else ["c", "a"]
    found = task(kind, **options).cells(PREDICTIONS, labels, columns)
    assert found.columns.tolist() == ["row_id", *columns]
    assert found["row_id"].tolist() == ["x", "y"]
    assert found[columns].to_numpy().tolist() == expected


@pytest.mark.parametrize("kind", TASKS)
def test_a_sample_that_does_not_fit_is_refused(kind):
    """Columns that are neither the labels nor one answer: one line."""
    with pytest.raises(PodiumError, match="the sample submission"):
        task(kind).cells(PREDICTIONS, ["a", "b", "c"], ["a", "q"])


@pytest.mark.parametrize("kind", TASKS)
def test_prediction_columns_pass_the_schema(kind, tmp_path):
    """The columns a task names are those its predictions file may hold."""
    made = task(kind)
    names = made.columns(["a", "b", "c"])
    frame = pd.DataFrame({"row_id": ["x"], "split": ["test"], **{name: [0.5] for name in names}})
    scores = Scores.of_table(frame, ["a", "b", "c"])
    scores.write(tmp_path)
    assert Scores.read(tmp_path).table().columns.tolist() == ["row_id", "split", *names]


@pytest.mark.parametrize(
    ("kind", "options", "columns"),
    [
        ("binary", {"target": "t"}, ["p"]),
        ("binary", {"target": "t", "answer": "label"}, ["p"]),
        ("binary", {"target": "t"}, ["a", "c"]),
        ("multiclass", {"target": "t"}, ["a", "b", "c"]),
        ("multiclass", {"target": "t"}, ["t"]),
        ("multiclass", {"target": "t", "top": 2}, ["t"]),
        ("multilabel", {"target": "t"}, ["a", "b", "c"]),
        ("multilabel", {"target": "t"}, ["t"]),
        ("regression", {"target": "t"}, ["t"]),
    ],
)
def test_a_submission_reads_back(kind, options, columns):
    """Probabilities and values come back as they were; from labels come the same decisions, in the same order."""
    labels = ["c", "a", "b"] if kind.startswith("multi") else ["c", "a"]
    made = task(kind, **options)
    text = made.cells(PREDICTIONS, labels, columns).astype("str")
    back = made.read_cells(text, labels)
    p = PREDICTIONS[made.columns(labels)].to_numpy(np.float32)
    assert back.shape == p.shape
    assert back.dtype == np.float32
    np.testing.assert_array_equal(made.decide(back), made.decide(p))
    if columns != ["t"] and options.get("answer") != "label":
        np.testing.assert_array_equal(back, p)
    if options.get("top") == 2:
        np.testing.assert_array_equal(np.argsort(-back, axis=1)[:, :2], np.argsort(-p, axis=1, kind="stable")[:, :2])


def test_an_imported_row_of_zeros_is_refused(tmp_path):
    """Of several classes one is right, so one has some probability."""
    data = Dataset.in_memory(pd.DataFrame({"row_id": ["a", "b"], "split": "train"}), ["cat", "dog"])
    (tmp_path / "mate.csv").write_text("row_id,cat,dog\na,0.5,0.5\nb,0,0\n")
    with pytest.raises(PodiumError, match=r"mate\.csv: no class has any probability for row_id 'b'"):
        task("multiclass", target="y").read_import(tmp_path / "mate.csv", data)
