"""The bank: what the manifest names, joined by id."""

import json

import numpy as np
import pandas as pd
import pytest

from podium.contracts.predictions import read_bank, write_manifest
from podium.contracts.scores import Scores, stacked
from podium.errors import PodiumError

IDS, SPLITS = ["d", "a", "c", "b", "e"], ["train", "train", "test", "train", "test"]


def predictions(value, ids=IDS, splits=SPLITS):
    """Each row's prediction tells its id and its member."""
    p = [value + 0.1 * "abcde".index(name) for name in ids]
    return pd.DataFrame({"row_id": ids, "split": splits, "p_0": p})


@pytest.fixture
def file(tmp_path):
    def path(name):
        return tmp_path / name

    for name, value in {"two": 0.2, "one": 0.1, "stale": 0.3}.items():
        Scores.of_table(predictions(value), ["0", "1"]).write(path(name))
    write_manifest(["two", "one"], path, tmp_path / "bank.json")
    return path


def bank(file):
    return read_bank(file("x").parent / "bank.json", Scores)


def test_the_manifest_names_what_is_asked_for_and_no_more(file):
    """A stale file in the folder is no member."""
    assert list(json.loads((file("x").parent / "bank.json").read_text())) == ["one", "two"]
    assert bank(file).names == ("one", "two")


def test_a_missing_member_is_named(file, tmp_path):
    """No manifest is written then."""
    with pytest.raises(PodiumError, match=r"three: params\.yaml names 'three'"):
        write_manifest(["one", "three"], file, tmp_path / "other.json")
    assert not (tmp_path / "other.json").exists()


def test_members_meet_by_id(file):
    """Whatever order a file has its rows in, a prediction stays with its row."""
    shuffled = predictions(0.2).sample(frac=1, random_state=1)
    write_bytes_with_labels(shuffled, file("two") / "scores.parquet")
    write_manifest(["two", "one"], file, file("x").parent / "bank.json")
    found = bank(file)
    assert found.train_ids == ["a", "b", "d"]
    assert [list(member.row_id) for member in found.test] == [["c", "e"]] * 2
    np.testing.assert_allclose(stacked(found.train)[:, :, 0], [[0.1, 0.2, 0.4], [0.2, 0.3, 0.5]], atol=1e-7)
    np.testing.assert_allclose(stacked(found.test)[:, :, 0], [[0.3, 0.5], [0.4, 0.6]], atol=1e-7)


def write_bytes_with_labels(frame, path):
    """Write rows in the order they have, as someone else's tool might."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = frame.astype({"p_0": "float32"})
    metadata = {b"podium": json.dumps({"labels": ["0", "1"]}).encode()}
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(metadata), path)


def test_a_stale_file_is_refused(file):
    """Its digest is not the manifest's."""
    Scores.of_table(predictions(0.25), ["0", "1"]).write(file("two"))
    with pytest.raises(PodiumError, match=r"two: not the predictions that .*bank\.json names; run `dvc repro`"):
        bank(file)


@pytest.mark.parametrize(
    ("change", "labels", "message"),
    [
        (lambda t: t[t["row_id"] != "b"], ["0", "1"], "two.*not the same rows as .*one.*'train b'"),
        (lambda t: t.replace({"row_id": {"b": "z"}}), ["0", "1"], "'train b', 'train z'"),
        (lambda t: t.assign(split="train"), ["0", "1"], "'test c', 'test e', 'train c', 'train e'"),
        (lambda t: t, ["1", "0"], "labels are not those of"),
        (lambda t: t.assign(p_1=0.0), ["0", "1"], "labels are not those of"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(file, change, labels, message):
    """Other rows, splits, labels or columns: one line that names file and ids."""
    Scores.of_table(change(predictions(0.2)), labels).write(file("two"))
    write_manifest(["two", "one"], file, file("x").parent / "bank.json")
    with pytest.raises(PodiumError, match=message):
        bank(file)


def test_scores_are_read_as_they_were_written(file):
    """Sorted by id, with their labels; by_id and take keep rows with their numbers; a missing id is named."""
    scores = Scores.of_table(predictions(0.1), ["0", "1"])
    read = Scores.read(file("one"))
    pd.testing.assert_frame_equal(read.table(), scores.table().sort_values("row_id", ignore_index=True))
    assert read.labels == ("0", "1")
    np.testing.assert_allclose(read.by_id(["e", "a"], "here").p[:, 0], [0.5, 0.1], atol=1e-7)
    parts = Scores.concat([read.of_split("test"), read.of_split("train")])
    assert list(parts.row_id) == ["c", "e", "a", "b", "d"]
    with pytest.raises(PodiumError, match="here: no row for row_id 'z'"):
        read.by_id(["a", "z"], "here")


def test_values_are_told_from_probabilities_by_their_column(tmp_path):
    """A value may be any finite number, a probability may not."""
    table = predictions(7.0)
    Scores.of_table(table.rename(columns={"p_0": "y"}), []).write(tmp_path / "values")
    assert Scores.read(tmp_path / "values").p.max() > 7
    with pytest.raises(PodiumError, match=r"column 'p_0' must be finite and in \[0, 1\]"):
        Scores.of_table(table, []).write(tmp_path / "probabilities")
