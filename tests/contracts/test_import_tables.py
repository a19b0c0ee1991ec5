"""Tables made elsewhere: what is not readable or names no row is one line."""

import pandas as pd
import pytest

from podium.contracts import imports
from podium.errors import PodiumError


@pytest.fixture
def table(tmp_path):
    """Return the function that writes a frame and returns its path."""

    def write(name, frame):
        path = tmp_path / name
        frame.to_csv(path, index=False) if name.endswith(".csv") else frame.to_parquet(path)
        return path

    return write


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_ids_stay_text(table, name):
    """007 is no 7."""
    found = imports.read(table(name, pd.DataFrame({"row_id": ["007", "008"], "p": ["0.1", "0.2"]})), "row_id")
    assert found["row_id"].tolist() == ["007", "008"]


@pytest.mark.parametrize(
    ("name", "frame", "message"),
    [
        ("a.csv", {"id": ["a"]}, "there is no column 'row_id'"),
        ("a.csv", {"row_id": ["a", None], "p": [1, 2]}, "line 2 has no row_id"),
        ("a.parquet", {"row_id": ["a", "b", None, None]}, "line 3 has no row_id"),
        ("a.parquet", {"row_id": [7, 8]}, "column 'row_id' must be text, so that 007 stays 007; it is int64"),
    ],
)
def test_a_wrong_table_is_one_line(table, name, frame, message):
    """It names the file, and the line or column."""
    path = table(name, pd.DataFrame(frame))
    with pytest.raises(PodiumError) as error:
        imports.read(path, "row_id")
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_what_is_no_table_is_one_line(tmp_path):
    """Missing, damaged or of another kind."""
    for name, message in (
        ("none.csv", "there is no such file; params.yaml names it under imports"),
        ("bad.parquet", "not a readable Parquet file"),
        ("a.xlsx", "a table to import is a .csv or a .parquet file"),
    ):
        if not name.startswith("none"):
            (tmp_path / name).write_bytes(b"nothing\nof use")
        with pytest.raises(PodiumError, match=message) as error:
            imports.read(tmp_path / name, "row_id")
        assert "\n" not in str(error.value)


def test_ids_must_be_all_that_are_wanted():
    """Once each, and no others."""
    wanted = pd.Series(["a", "b", "c"])
    imports.check_ids(pd.Series(["c", "a", "b"], name="row_id"), wanted, "here")
    for found, message in (
        (["a", "b"], "here: row_id is lacking: 'c'"),
        (["a", "b", "c", "z"], "here: row_id is no row of this competition: 'z'"),
        (["a", "b", "c", "b"], "here: row_id comes twice: 'b'"),
    ):
        with pytest.raises(PodiumError, match=message):
            imports.check_ids(pd.Series(found, name="row_id"), wanted, "here")
