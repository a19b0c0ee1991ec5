"""Sequences on disk: the same rows in any order, and what breaks a rule is named."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from podium.contracts.sequences import Emissions, Sequences
from podium.errors import PodiumError

RNG = np.random.default_rng(0)


@pytest.fixture
def sequences():
    """Three rows of one, two and one candidates, and one, one and two models."""
    emissions = Emissions(RNG.normal(size=(4, 5, 3)).astype(np.float16), np.array([0, 1, 2, 4]), has_blank=True)
    return Sequences(
        row_id=np.array(["b", "a", "c"], object),
        split=np.array(["train", "train", "test"], object),
        text=np.array(["07", "a,b", 'a"b', "é"], object),
        logp=np.array([0, -0.2, -1.7, 0], np.float32),
        offset=np.array([0, 1, 3, 4]),
        labels=("x", "y"),
        emissions=emissions,
    )


def same(a, b):
    assert a.labels == b.labels
    for name in ("row_id", "split", "text", "logp", "offset"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.emissions.logp, b.emissions.logp)
    np.testing.assert_array_equal(a.emissions.offset, b.emissions.offset)


def test_rows_in_any_order_give_the_same_bytes(sequences, tmp_path):
    """And they read back as they were, sorted by id, quotes, commas and leading zeros kept."""
    sequences.write(tmp_path / "a")
    sequences.take(np.array([2, 0, 1])).write(tmp_path / "b")
    assert (tmp_path / "a/sequences.h5").read_bytes() == (tmp_path / "b/sequences.h5").read_bytes()
    found = Sequences.read(tmp_path / "a")
    same(found, sequences.take(np.array([1, 0, 2])))
    assert found.best.tolist() == ["a,b", "07", "é"]
    assert found.candidates() == [["a,b", 'a"b'], ["07"], ["é"]]
    assert found.emissions.has_blank


def test_parts_join_to_the_whole(sequences):
    """Rows that were taken apart are together again; of a part without emissions, none are left."""
    parts = [sequences.take(np.array([0])), sequences.take(np.array([1, 2]))]
    same(Sequences.concat(parts), sequences)
    assert Sequences.concat([parts[0], replace(parts[1], emissions=None)]).emissions is None
    np.testing.assert_array_equal(parts[1].emissions.logp, sequences.emissions.logp[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row_id": np.array(["a", "a", "c"], object)}, "come twice: 'a'"),
        ({"split": np.array(["train", "extra", "test"], object)}, "train or test: 'a'"),
        ({"offset": np.array([0, 1, 1, 4])}, "must have a candidate: 'a'"),
        ({"logp": np.array([0, 0.5, -1, 0], np.float32)}, "up to 0: row_id 'a'"),
        ({"logp": np.array([0, -1, np.nan, 0], np.float32)}, "up to 0: row_id 'a'"),
    ],
)
def test_a_broken_rule_names_the_row(sequences, tmp_path, change, message):
    """When it is written, before it can do harm."""
    with pytest.raises(PodiumError, match=message):
        replace(sequences, **change).write(tmp_path)


def test_a_file_that_is_none_is_named(sequences, tmp_path):
    """Missing, damaged and of another schema."""
    with pytest.raises(PodiumError, match=r"sequences\.h5: there is no such"):
        Sequences.read(tmp_path)
    (tmp_path / "sequences.h5").write_bytes(b"nonsense")
    with pytest.raises(PodiumError, match="not a readable predictions file"):
        Sequences.read(tmp_path)
    sequences.write(tmp_path)
    with h5py.File(tmp_path / "sequences.h5", "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(PodiumError, match="its schema is 99"):
        Sequences.read(tmp_path)
