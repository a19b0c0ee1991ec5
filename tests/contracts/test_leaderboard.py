"""The ledger of uploads."""

import numpy as np
import pytest

from podium.contracts import leaderboard
from podium.errors import PodiumError


def entry(ref, competition="toy", **changes):
    return dict.fromkeys(leaderboard.COLUMNS, "x") | {"competition": competition, "ref": ref} | changes


def test_a_line_is_added_or_replaced(tmp_path):
    """Replaced only where both the competition and the upload are the same; other lines stay in their order."""
    path = tmp_path / "leaderboard.csv"
    assert leaderboard.read(path).empty
    for competition, ref, file in (("toy", 7, "a"), ("toy", 8, "b"), ("other", 7, "c"), ("toy", 7, "d")):
        leaderboard.put(entry(ref, competition, file=file), path)
    table = leaderboard.read(path)
    assert list(zip(table["competition"], table["ref"], table["file"], strict=True)) == [
        ("toy", "8", "b"),
        ("other", "7", "c"),
        ("toy", "7", "d"),
    ]


def test_scores_are_numbers(tmp_path):
    """NaN where the leaderboard has not answered; the other competition's lines are left out."""
    path = tmp_path / "leaderboard.csv"
    leaderboard.put(entry(1, "other", public=0.1), path)
    leaderboard.put(entry(2, naive=0.5, cross_fitted="0.25", public="", private=""), path)
    own = leaderboard.of("toy", path)
    assert own[["naive", "cross_fitted"]].to_numpy().tolist() == [[0.5, 0.25]]
    assert own[["public", "private"]].isna().all(axis=None)
    assert own.index.tolist() == [0]
    assert own["public"].dtype == np.float64


def test_other_columns_are_one_line(tmp_path):
    """The file is the user's."""
    path = tmp_path / "leaderboard.csv"
    path.write_text("time,ref\n1,2\n")
    with pytest.raises(PodiumError, match="there is no column 'competition'"):
        leaderboard.read(path)
