"""`podium predict`: what is scored is what new pictures get."""

import numpy as np
import pandas as pd

from podium import paths
from podium.cli import main
from podium.contracts.scores import Scores


def test_the_competitions_own_test_rows_get_the_very_numbers_of_the_ensemble(at_home, tmp_path):
    """Decoded, seen by the networks and averaged anew, by the same engines: not one bit differs."""
    assert main(["predict", "incoming/images", "--rows", "{path.stem}", "--out", str(tmp_path / "p.csv")]) == 0
    table = pd.read_csv(tmp_path / "p.csv", dtype={"row_id": str}).set_index("row_id")
    test = Scores.read(paths.ensemble("toy")).of_split("test")
    assert len(test) == 12
    np.testing.assert_array_equal(table.loc[test.row_id, "1"].to_numpy(np.float32), test.p[:, 0])
