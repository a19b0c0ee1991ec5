import numpy as np
import pandas as pd
import pytest

from podium.contracts.scores import PROBABILITIES
from podium.contracts.table import Column, Table
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.errors import PodiumError

IDS = {"row_id": "a", "split": "train"}
IMAGE = {"image_id": "a", "source": "s", "digest": "d", "width": 3, "height": 3} | IDS
ROW = {"y": 1.0, "weight": 1.0, "group": "g"} | IDS
FOLD = {"row_id": "a", "repeat": 0, "fold": 0, "group": "g"}
SCORE = {"p_0": np.float32(0.5)} | IDS


@pytest.mark.parametrize("dtype", ["float", "float32"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("nullable", [False, True])
def test_infinity_is_refused_without_bounds_too(dtype, value, nullable):
    """A column without bounds still holds finite numbers; a gap stays a gap where it may."""
    table = Table("toy", (Column("id", "text"), Column("x", dtype, nullable=nullable)), key=("id",))
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, value]})
    with pytest.raises(PodiumError, match=r"'x' must be finite and in .*: id 'b'"):
        table.check(frame, "toy.parquet")
    if nullable:
        assert table.check(frame.replace(value, np.nan), "toy.parquet")["x"].isna().tolist() == [False, True]


def test_a_file_that_is_no_parquet_is_one_line(tmp_path):
    """Text, an empty file, a file cut short."""
    table = Table("toy", (Column("id", "text"),), key=("id",))
    path = tmp_path / "toy.parquet"
    table.write(pd.DataFrame({"id": ["a", "b"]}), path)
    content = path.read_bytes()
    for damaged in (b"", b"text", content[:-9], content[:4] + content[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(PodiumError, match=r"toy\.parquet: not a readable Parquet file"):
            table.read(path)


@pytest.mark.parametrize(
    ("table", "line", "column", "good", "bad"),
    [
        (IMAGES, IMAGE, "width", 1, 0),
        (IMAGES, IMAGE, "height", 1, 0),
        (ROWS, ROW, "weight", 0.0, -0.1),
        (FOLDS, FOLD, "fold", -1, -2),
        (FOLDS, FOLD, "repeat", 0, -1),
        (PROBABILITIES, SCORE, "p_0", 0.0, -1e-6),
        (PROBABILITIES, SCORE, "p_0", 1.0, 1.0001),
    ],
)
def test_bounds_are_part_of_what_is_allowed(table, line, column, good, bad):
    """A picture may be a pixel wide, a weight 0, a fold -1; what is beyond is named."""
    table.check(pd.DataFrame([line | {column: type(line[column])(good)}]), "here")
    with pytest.raises(PodiumError, match=f"here: .*{column}.*a"):
        table.check(pd.DataFrame([line | {column: type(line[column])(bad)}]), "here")


def test_a_table_is_checked_column_by_column():
    """A column that lacks, a text that is no choice, a gap, an id twice, a column too many: one line each."""
    frame = pd.DataFrame([IMAGE, IMAGE | {"image_id": "b"}])
    for wrong, message in (
        (frame.drop(columns="split"), "column 'split' is missing; it has: image_id, source"),
        (frame.assign(split=["train", "tset"]), "split.*b"),
        (frame.assign(source=["s", None]), "source.*b"),
        (frame.assign(image_id="a"), "image_id.*a"),
        (frame.assign(more=1), "more"),
    ):
        with pytest.raises(PodiumError, match=f"here: .*{message}"):
            IMAGES.check(wrong, "here")
