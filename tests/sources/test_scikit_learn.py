from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from podium import config
from podium.errors import PodiumError
from podium.sources.scikit_learn import Source

ROOT = Path(__file__).parents[2]


def test_the_table_is_scikit_learn_s(tmp_path):
    """With ids of one length, and species by name; the shipped competition's hash is of this file."""
    config.load_competition("iris", str(ROOT / "params.yaml")).source.download(tmp_path)
    table, iris = pd.read_csv(tmp_path / "iris.csv", dtype={"id": str}), load_iris(as_frame=True)
    assert table["id"].tolist()[::149] == ["001", "150"]
    pd.testing.assert_frame_equal(table[iris.feature_names], iris.data)
    assert table["target"].tolist() == iris.target_names[iris.target].tolist()


def test_another_table_is_refused(tmp_path):
    """As of a release of scikit-learn that corrects it."""
    with pytest.raises(PodiumError, match=r"source\.sha256: wine\.csv has SHA-256 [0-9a-f]{64}, not 0{64}"):
        Source(dataset="wine", sha256="0" * 64).download(tmp_path)
