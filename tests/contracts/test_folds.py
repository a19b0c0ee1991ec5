"""The folds keep their scheme and groups, whatever is done to them."""

import pandas as pd
import pytest

from podium.contracts.folds import ALWAYS, FoldTable
from podium.contracts.tables import FOLDS
from podium.errors import PodiumError
from podium.splits.folds import splits


@pytest.fixture
def table():
    """Two repeats of three train rows and an extra row that belongs to the second."""
    one = pd.DataFrame({"row_id": list("abcx"), "repeat": 0, "fold": [0, 1, 1, ALWAYS], "group": list("abcb")})
    return FoldTable(pd.concat([one, one.assign(repeat=1, fold=[1, 0, 1, ALWAYS])], ignore_index=True), "time")


def test_scheme_and_groups_come_back(table, tmp_path):
    """In any order they are the same folds; some of the rows still have the scheme."""
    FoldTable(table.table.sample(frac=1, random_state=0), "time").write(tmp_path)
    found = FoldTable.read(tmp_path)
    assert found.scheme == "time"
    assert found.of(["a", "x"]).scheme == "time"
    assert found.table.sort_values(["repeat", "row_id"]).to_dict("list") == table.table.to_dict("list")
    assert found.group.to_dict() == {"a": "a", "b": "b", "c": "c", "x": "b"}
    assert found.matrix(["c", "a"]).tolist() == [[1, 1], [0, 1]]
    assert "x" not in found.assigned["row_id"].tolist()


def test_folds_without_a_scheme_are_refused(table, tmp_path):
    """They would be taken for folds that may be predicted from later ones."""
    FOLDS.write(table.table, tmp_path / "folds.parquet")
    with pytest.raises(PodiumError, match=r"folds\.parquet: it does not say how its folds were made; run `dvc repro"):
        FoldTable.read(tmp_path)


def test_rows_get_the_groups_of_the_folds(table):
    """A test row, which has no fold, keeps its own."""
    rows = pd.DataFrame({"row_id": list("txab"), "group": list("TXAB")})
    assert table.grouped(rows)["group"].tolist() == ["T", "b", "a", "b"]


def test_folds_read_from_disk_are_split_by_their_scheme(tmp_path):
    """The scheme `time` is known again, so that no model sees what comes after."""
    table = pd.DataFrame({"row_id": list("abcdef"), "repeat": 0, "fold": [0, 0, 1, 1, 2, 2], "group": list("abcdef")})
    rows = pd.DataFrame({"row_id": list("abcdef"), "weight": 1.0})
    for scheme, expected in (("time", {1: "ab", 2: "abcd"}), ("plain", {0: "cdef", 1: "abef", 2: "abcd"})):
        FoldTable(table, scheme).write(tmp_path)
        found = {split.fold: "".join(split.train) for split in splits(FoldTable.read(tmp_path), rows)}
        assert found == expected
