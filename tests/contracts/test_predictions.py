"""The bank: what the manifest names, joined by id."""

import json

import numpy as np
import pandas as pd
import pytest

from podium.contracts.predictions import read_bank, write_manifest
from podium.contracts.tables import PROBABILITIES
from podium.errors import PodiumError

IDS, SPLITS = ["d", "a", "c", "b", "e"], ["train", "train", "test", "train", "test"]


def predictions(value, ids=IDS, splits=SPLITS):
    """Each row's prediction tells its id and its member."""
    p = [value + 0.1 * "abcde".index(name) for name in ids]
    return pd.DataFrame({"row_id": ids, "split": splits, "p_0": p})


@pytest.fixture
def file(tmp_path):
    def path(name):
        return tmp_path / f"{name}.parquet"

    for name, value in {"two": 0.2, "one": 0.1, "stale": 0.3}.items():
        PROBABILITIES.write(predictions(value), path(name), {"labels": ["0", "1"]})
    write_manifest(["two", "one"], path, tmp_path / "bank.json")
    return path


def bank(file):
    return read_bank(file("x").parent / "bank.json", file, PROBABILITIES)


def test_the_manifest_names_what_is_asked_for_and_no_more(file):
    """A stale file in the folder is no member."""
    assert list(json.loads((file("x").parent / "bank.json").read_text())) == ["one", "two"]
    assert bank(file).names == ("one", "two")


def test_a_missing_member_is_named(file, tmp_path):
    """No manifest is written then."""
    with pytest.raises(PodiumError, match=r"three\.parquet: params\.yaml names 'three'"):
        write_manifest(["one", "three"], file, tmp_path / "other.json")
    assert not (tmp_path / "other.json").exists()


def test_members_meet_by_id(file):
    """Whatever order a file has its rows in, a prediction stays with its row."""
    shuffled = predictions(0.2).sample(frac=1, random_state=1)
    write_bytes_with_labels(shuffled, file("two"))
    write_manifest(["two", "one"], file, file("x").parent / "bank.json")
    found = bank(file)
    assert found.train_ids == ["a", "b", "d"]
    assert found.test_ids == ["c", "e"]
    np.testing.assert_allclose(found.train[:, :, 0], [[0.1, 0.2, 0.4], [0.2, 0.3, 0.5]], atol=1e-7)
    np.testing.assert_allclose(found.test[:, :, 0], [[0.3, 0.5], [0.4, 0.6]], atol=1e-7)


def write_bytes_with_labels(frame, path):
    """Write rows in the order they have, as someone else's tool might."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = frame.astype({"p_0": "float32"})
    metadata = {b"podium": json.dumps({"labels": ["0", "1"]}).encode()}
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(metadata), path)


def test_a_stale_file_is_refused(file):
    """Its digest is not the manifest's."""
    PROBABILITIES.write(predictions(0.25), file("two"), {"labels": ["0", "1"]})
    with pytest.raises(PodiumError, match=r"two\.parquet: not the file that .*bank\.json names; run `dvc repro`"):
        bank(file)


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda t: t[t["row_id"] != "b"], {"labels": ["0", "1"]}, "two.*not the same rows as .*one.*'train b'"),
        (lambda t: t.replace({"row_id": {"b": "z"}}), {"labels": ["0", "1"]}, "'train b', 'train z'"),
        (lambda t: t.assign(split="train"), {"labels": ["0", "1"]}, "'test c', 'test e', 'train c', 'train e'"),
        (lambda t: t, {"labels": ["1", "0"]}, "labels are not those of"),
        (lambda t: t.assign(p_1=0.0), {"labels": ["0", "1"]}, "labels are not those of"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(file, change, metadata, message):
    """Other rows, splits, labels or columns: one line that names file and ids."""
    PROBABILITIES.write(change(predictions(0.2)), file("two"), metadata)
    write_manifest(["two", "one"], file, file("x").parent / "bank.json")
    with pytest.raises(PodiumError, match=message):
        bank(file)


def test_the_bank_s_table_is_a_predictions_table(file):
    """It passes the same schema."""
    found = bank(file)
    table = PROBABILITIES.check(found.table(found.train[0], found.test[0]), "here")
    pd.testing.assert_frame_equal(
        table.sort_values("row_id", ignore_index=True),
        PROBABILITIES.check(predictions(0.1), "here").sort_values("row_id", ignore_index=True),
    )
