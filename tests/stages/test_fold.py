"""fold: dealt, or taken; copies on request."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.contracts.folds import FoldTable
from podium.contracts.tables import HASHES, ROWS
from podium.errors import PodiumError
from podium.splits.folds import Folds, splits
from podium.stages import fold


@pytest.fixture
def folds_of(tmp_path, monkeypatch):
    """Forty rows whose pictures come in pairs that differ by four bits: r00 and r20, r01 and r21, ..."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(40)]
    bits = np.tile(rng.random((20, 256)) < 0.5, (2, 1))
    bits[20:, 5:9] ^= True
    hashes = [np.packbits(line).tobytes().hex() for line in bits]
    y = rng.integers(0, 2, 40).astype(float)
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y, "weight": 1.0, "group": ids})
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["0", "1"]})
    table = pd.DataFrame({"image_id": ids, "row_id": ids, "split": "train", "hash": hashes})
    HASHES.write(table, paths.data("toy", "hashes.parquet"))

    def run(**options):
        params = SimpleNamespace(competition="toy", seed=1, folds=Folds(k=4, **options))
        fold.run(SimpleNamespace(params=params))
        return FoldTable.read(paths.dataset("toy")).table.set_index("row_id")["fold"]

    run.hashes = table
    return run


def test_near_duplicates_share_a_fold_on_request_only(folds_of):
    """By default they are dealt like all others."""
    pairs = [(f"r{k:02d}", f"r{k + 20}") for k in range(20)]
    plain, grouped, strict = folds_of(), folds_of(near_duplicates=4), folds_of(near_duplicates=3)
    assert all(grouped[a] == grouped[b] for a, b in pairs)
    assert grouped.value_counts().tolist() == [10] * 4
    assert not all(plain[a] == plain[b] for a, b in pairs)
    pd.testing.assert_series_equal(plain, strict)


def test_the_joined_group_is_what_trainers_read(folds_of):
    """With its twins among the extra rows, which are in training but where their twin is held out."""
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    labels = dict(rows.attrs)
    rows.loc[rows["row_id"].isin(["r20", "r21"]), "split"] = "extra"
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    folds_of(near_duplicates=4)
    written = FoldTable.read(paths.dataset("toy"))
    assert written.group[["r20", "r21", "r22"]].tolist() == ["r00", "r01", "r02"]
    for split in splits(written, rows):
        assert ("r20" in split.train) == ("r00" not in split.valid)
        assert ("r21" in split.train) == ("r01" not in split.valid)
    folds_of()
    assert FoldTable.read(paths.dataset("toy")).group["r20"] == "r20"


def test_a_cluster_larger_than_a_fold_is_refused(folds_of):
    """Blank pictures all look alike: one line that says how many rows would be one group."""
    table = folds_of.hashes.assign(hash=["0" * 64] * 11 + folds_of.hashes["hash"].tolist()[11:])
    HASHES.write(table, paths.data("toy", "hashes.parquet"))
    with pytest.raises(PodiumError, match=r"folds\.near_duplicates: 0 joins 28% of the training rows .* 'r00'"):
        folds_of(near_duplicates=0)
