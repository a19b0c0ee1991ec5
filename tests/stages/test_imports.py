"""Tables from elsewhere: checked, and then like our own."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Imports
from podium.contracts import features
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, VIEWS
from podium.errors import PodiumError
from podium.stages import bank, ensemble, import_features, import_predictions


@pytest.fixture
def given(banked, tmp_path):
    """The small competition, with images of all rows but two, and a team-mate's table of the others."""
    read = banked.truth[~banked.truth["row_id"].isin(["r05", "t03"])]
    images = pd.DataFrame({"image_id": read["row_id"], "row_id": read["row_id"], "split": read["split"]})
    images = images.assign(source="x", width=1, height=1, digest="")
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    p = np.random.default_rng(5).random(len(read)) * 0.5 + 0.5 * read["y"].to_numpy()
    banked.table = pd.DataFrame({"row_id": read["row_id"], "p_0": p}).sample(frac=1, random_state=0)
    banked.table = banked.table.merge(banked.folds[["row_id", "fold"]], how="left")
    params = banked.config.params
    object.__setattr__(params, "imports", Imports(predictions={"mate": tmp_path / "mate.csv"}))

    def run(table, suffix=".csv"):
        file = tmp_path / f"mate{suffix}"
        table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
        params.imports.predictions["mate"] = file
        import_predictions.run(banked.config, "mate")
        return Scores.read(paths.predictions("toy", "mate")).table()

    banked.run = run
    return banked


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_imported_predictions_are_a_member(given, suffix):
    """By id, whatever their order; a row more, whose image cannot be read here, is left out."""
    more = pd.DataFrame({"row_id": ["t03"], "p_0": [0.5]})
    found = given.run(pd.concat([given.table, more]), suffix)
    expected = given.table.sort_values("row_id")
    assert found["row_id"].tolist() == expected["row_id"].tolist()
    np.testing.assert_allclose(found["p_0"], expected["p_0"], rtol=1e-6)
    bank.run(given.config)
    assert list(json.loads(paths.data("toy", "bank.json").read_text())) == ["good", "mate", "poor"]
    ensemble.run(given.config)
    assert "mate" in paths.bank_table("toy").read_text()


def test_folds_may_have_other_names(given):
    """What counts is which rows are together."""
    given.run(given.table.assign(fold=given.table["fold"].map({0: 7, 1: 5, 2: 0, 3: 1})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[t["row_id"] != "r07"], "row_id is lacking: 'r07'"),
        (lambda t: t[t["row_id"] != "t07"], "row_id is lacking: 't07'"),
        (lambda t: pd.concat([t, t[:1]]), "row_id comes twice"),
        (lambda t: t.replace({"row_id": {"r07": "r7"}}), "row_id is no row of this competition: 'r7'"),
        (lambda t: t.assign(p_0=t["p_0"] + 1), "'p_0' must be finite and in"),
        (lambda t: t.assign(p_0=t["p_0"].where(t["row_id"] != "r07")), "'p_0' has no value for row_id 'r07'"),
        (lambda t: t.assign(p_0="much"), "'p_0' must be float32"),
        (lambda t: t.drop(columns="p_0"), "no column 'p_0'"),
        (lambda t: t.drop(columns="row_id"), "no column 'row_id'"),
        (
            lambda t: t.assign(fold=t["fold"].where(t["row_id"] != "r07", (t["fold"] + 1) % 4)),
            "its folds are not those of this competition, for row_id 'r07'",
        ),
        (lambda t: t.assign(fold=0), "its folds are not those"),
    ],
)
def test_what_does_not_fit_is_refused(given, change, message):
    """One line that names the file and the ids; nothing is written."""
    with pytest.raises(PodiumError, match=message) as caught:
        given.run(change(given.table))
    assert "mate.csv" in str(caught.value)
    assert not paths.predictions("toy", "mate").exists()


def test_columns_may_be_called_by_their_labels(tmp_path, monkeypatch, given):
    """A table of several classes, in any order of columns."""
    from podium.contracts.tables import ROWS
    from podium.tasks.multiclass import Task

    object.__setattr__(given.config.competition, "task", Task(target="x"))
    ROWS.write(given.rows, paths.data("toy", "rows.parquet"), {"labels": ["cat", "dog"], "task": "multiclass"})
    table = given.table.assign(dog=given.table["p_0"], cat=1 - given.table["p_0"]).drop(columns="p_0")
    found = given.run(table)
    expected = given.table.sort_values("row_id")["p_0"]
    np.testing.assert_allclose(found["p_1"], expected, rtol=1e-6)


def parts_of(given, folder):
    """Return a new folder, and the out-of-fold and the test rows with the columns id and probability."""
    folder.mkdir()
    table = given.table.rename(columns={"row_id": "id", "p_0": "probability"})[["id", "probability", "fold"]]
    given.config.params.imports.predictions["mate"] = folder
    is_test = table["id"].str.startswith("t")
    return table[~is_test], table[is_test].drop(columns="fold")


def test_out_of_fold_and_test_rows_may_lie_apart(given, tmp_path):
    """One in a CSV, the other an array with its ids; any header, any order, and folds of the first alone."""
    oof, test = parts_of(given, tmp_path / "mate")
    oof.to_csv(tmp_path / "mate/oof.csv", index=False)
    np.save(tmp_path / "mate/test.npy", test["probability"].to_numpy())
    (tmp_path / "mate/test_ids.txt").write_text("\n".join(test["id"]) + "\n")
    import_predictions.run(given.config, "mate")
    found = Scores.read(paths.predictions("toy", "mate")).table()
    expected = given.table.sort_values("row_id")
    assert found["row_id"].tolist() == expected["row_id"].tolist()
    np.testing.assert_allclose(found["p_0"], expected["p_0"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda oof, test: (oof, pd.concat([test, oof[:1]])), r"test\.csv: row_id 'r\d+' is in oof\.csv, too"),
        (lambda oof, test: (oof[1:], test), r"mate: row_id is lacking: 'r\d+'"),
        (lambda oof, test: (oof, test[1:]), r"mate: row_id is lacking: 't\d+'"),
        (lambda oof, test: (oof, pd.concat([test, test[:1]])), r"test\.csv: row_id comes twice: 't\d+'"),
        (
            lambda oof, test: (oof.assign(more=1), test),
            r"oof\.csv: there is no column 'p_0'; it has: row_id, probability",
        ),
    ],
)
def test_what_is_missing_or_doubled_between_files_is_named(given, tmp_path, change, message):
    """The file and the ids."""
    oof, test = change(*parts_of(given, tmp_path / "mate"))
    oof.to_csv(tmp_path / "mate/oof.csv", index=False)
    test.to_csv(tmp_path / "mate/test.csv", index=False)
    with pytest.raises(PodiumError, match=message):
        import_predictions.run(given.config, "mate")


def test_an_array_needs_its_ids(given, tmp_path):
    """Without, and with another number of them: one line."""
    parts_of(given, tmp_path / "mate")
    np.save(tmp_path / "mate/all.npy", np.zeros(3))
    with pytest.raises(PodiumError, match=r"all\.npy: its ids are not there; put one of these beside it: all_ids\.csv"):
        import_predictions.run(given.config, "mate")
    (tmp_path / "mate/all_ids.csv").write_text("r00\n")
    with pytest.raises(PodiumError, match=r"all\.npy: it has 3 rows, and all_ids\.csv 1 ids"):
        import_predictions.run(given.config, "mate")


# Features


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """A plan of two views of three images, and a function that imports a table of features."""
    monkeypatch.chdir(tmp_path)
    plan = pd.DataFrame([(i, v, v, "{}") for i in ("010", "b", "c") for v in ("hflip", "identity")])
    VIEWS.write(
        plan.set_axis(["image_id", "view", "operation", "parameters"], axis=1), paths.data("toy", "views.parquet")
    )

    def run(table):
        table.to_csv("clip.csv", index=False)
        imports = Imports(features={"clip": "clip.csv"})
        import_features.run(SimpleNamespace(params=SimpleNamespace(competition="toy", imports=imports)), "clip")
        return features.read(paths.features("toy", "clip"))

    return run


TABLE = pd.DataFrame({"image_id": ["c", "010", "b"], "f0": [3.0, 1.0, 2.0], "f1": [30.0, 10.0, 20.0]})


def test_imported_features_are_a_backbone_s(imported):
    """Every view of an image gets its line; ids keep their zeros."""
    found = imported(TABLE)
    assert found.index["image_id"].tolist() == ["010", "010", "b", "b", "c", "c"]
    np.testing.assert_array_equal(found.matrix, np.repeat([[1, 10], [2, 20], [3, 30]], 2, axis=0))
    assert found.matrix.dtype == np.float16


def test_features_may_come_by_view(imported):
    """A line per image and view; large numbers are kept in float32."""
    by_view = pd.concat([TABLE.assign(view="identity"), TABLE.assign(view="hflip", f0=1e6)])
    found = imported(by_view)
    assert found.matrix.dtype == np.float32
    assert found.matrix[:, 0].tolist() == [1e6, 1, 1e6, 2, 1e6, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:2], "image_id is lacking: 'b'"),
        (lambda t: t.replace("c", "d"), "image_id is no row of this competition: 'd'"),
        (lambda t: t.assign(f1=np.inf), "no finite features for image_id '010', 'b', 'c'"),
        (lambda t: t.assign(f1="x"), "features must be numbers"),
        (lambda t: t[["image_id"]], "no finite features"),
        (lambda t: t.assign(view="identity"), "no finite features for image_id '010', 'b', 'c'"),
    ],
)
def test_features_that_do_not_fit_are_refused(imported, change, message):
    """One line; a view that the plan needs and the table lacks is named by its images."""
    with pytest.raises(PodiumError, match=message):
        imported(change(TABLE))
