"""submit: joined by id to the sample, clipped, checked."""

import pandas as pd
import pytest

from podium import paths
from podium.contracts.scores import Scores
from podium.errors import PodiumError
from podium.stages import bank, ensemble, submit


@pytest.fixture
def done(banked):
    bank.run(banked.config)
    ensemble.run(banked.config)
    submit.run(banked.config)
    banked.csv = pd.read_csv(paths.submission("toy"), dtype={"cell": "str"})
    return banked


def test_ids_are_the_sample_s_in_its_order(done):
    """Whatever order the predictions are in."""
    sample = pd.read_csv(paths.data("toy", "sample_submission.csv"), dtype={"cell": "str"})
    assert done.csv.columns.tolist() == ["cell", "defective"]
    assert done.csv["cell"].tolist() == sample["cell"].tolist() != sorted(sample["cell"])


def test_values_are_the_ensemble_s_clipped(done):
    """Each id has its own prediction, inside params.submission.clip."""
    test = Scores.read(paths.ensemble("toy")).table().set_index("row_id")["p_0"].clip(0.02, 0.98)
    known = done.csv[done.csv["cell"] != "t03"].set_index("cell")["defective"]
    pd.testing.assert_series_equal(known, test[known.index].astype(float), check_names=False, atol=1e-7)


def test_a_row_without_prediction_gets_the_training_prior(done):
    """Its image could not be read; the competition wants a line all the same."""
    prior = done.rows.loc[done.rows["split"] == "train", "y"].mean()
    assert done.csv.set_index("cell")["defective"]["t03"] == pytest.approx(prior, abs=1e-6)


def test_a_bad_submission_is_refused_and_nothing_is_left(done):
    """The sample asks for an id that is no test row: one line, and the old file stays."""
    sample = paths.data("toy", "sample_submission.csv")
    before = paths.submission("toy").read_bytes()
    sample.write_text(sample.read_text() + "stranger,0.5\n")
    with pytest.raises(PodiumError, match="'stranger'"):
        submit.run(done.config)
    assert paths.submission("toy").read_bytes() == before
    assert len(list(paths.submission("toy").parent.iterdir())) == 1
