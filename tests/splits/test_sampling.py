import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from podium.splits.sampling import Holdout, choose, strata

IDS = pd.Series([f"row{n:04d}" for n in range(1000)])
STRATUM = pd.Series(["a"] * 700 + ["b"] * 250 + ["c"] * 50)


def test_each_stratum_gets_its_share():
    """A quarter of 700, 250 and 50: 175, 62 or 63, and 12 or 13, together 250."""
    chosen = choose(IDS, STRATUM, 250, seed=0)
    counts = STRATUM[chosen].value_counts()
    assert chosen.sum() == 250
    assert counts["a"] == 175
    assert abs(counts["b"] - 62.5) == abs(counts["c"] - 12.5) == 0.5


def test_the_choice_does_not_depend_on_the_order_of_rows():
    """Shuffled rows give the same ids."""
    order = np.random.default_rng(0).permutation(1000)
    chosen = set(IDS[choose(IDS, STRATUM, 250, seed=3)])
    shuffled = IDS[order]
    assert set(shuffled[choose(shuffled, STRATUM[order], 250, seed=3)]) == chosen


def test_a_seed_gives_its_own_choice():
    """Two seeds share about a quarter of their rows, and not all."""
    one, other = (choose(IDS, STRATUM, 250, seed=seed) for seed in (1, 2))
    assert 30 < (one & other).sum() < 100


def test_a_new_row_changes_few_others():
    """Adding a row keeps all but a few of the chosen ones."""
    before = set(IDS[choose(IDS, STRATUM, 250, seed=0)])
    ids = pd.concat([IDS, pd.Series(["new"])], ignore_index=True)
    after = set(ids[choose(ids, pd.concat([STRATUM, pd.Series(["a"])], ignore_index=True), 250, seed=0)])
    assert len(before & after) >= 248


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 1), (999, 999), (1000, 1000), (5000, 1000)])
def test_the_number_is_exact_or_all(n, expected):
    """Rounding within strata never changes the sum."""
    assert choose(IDS, STRATUM, n, seed=0).sum() == expected


def test_strata_combine_columns_and_bin_many_numbers():
    """Classes stay themselves, missing ones are a class, and 1,000 numbers become ten parts."""
    frame = pd.DataFrame({"label": ["x", None] * 500, "score": np.linspace(0, 1, 1000)})
    assert strata(frame[["label"]]).nunique() == 2
    assert strata(frame[["score"]]).value_counts().tolist() == [100] * 10
    assert strata(frame).nunique() == 20
    assert strata(frame.assign(score=frame["score"].astype(str))).nunique() == 20


@pytest.mark.parametrize(("fraction", "fits"), [(0.001, True), (0.999, True), (0.0, False), (1.0, False), (1.5, False)])
def test_a_holdout_is_a_part(fraction, fits):
    """Neither nothing nor all."""
    if fits:
        assert Holdout(fraction=fraction).fraction == fraction
    else:
        with pytest.raises(ValidationError, match="fraction"):
            Holdout(fraction=fraction)
