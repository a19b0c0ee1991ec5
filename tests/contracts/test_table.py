import numpy as np
import pandas as pd
import pytest

from podium.contracts.table import Column, Table
from podium.errors import PodiumError


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
