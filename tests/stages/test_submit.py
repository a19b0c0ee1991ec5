"""submit: joined by id to the sample, clipped, checked."""

import pandas as pd
import pytest

from podium import paths
from podium.commands import check
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


@pytest.mark.parametrize("clip", [(0.4, 0.6), (0.45, 0.98), (0.02, 0.55)])
def test_the_submission_is_clipped(banked, clip):
    """At both ends, where predictions go beyond them; the row without a prediction too."""
    config = banked.make_config(clip=clip)
    for stage in (bank, ensemble, submit):
        stage.run(config)
    values = pd.read_csv(paths.submission("toy"))["defective"]
    assert (values.min(), values.max()) == pytest.approx((max(clip[0], values.min()), min(clip[1], values.max())))
    assert clip[0] == 0.02 or values.min() == pytest.approx(clip[0])
    assert clip[1] == 0.98 or values.max() == pytest.approx(clip[1])


def test_the_prior_of_a_row_without_prediction_is_clipped_too(banked):
    """Otherwise one line alone would go out as no other does."""
    config = banked.make_config(clip=(0.8, 0.9))
    for stage in (bank, ensemble, submit):
        stage.run(config)
    values = pd.read_csv(paths.submission("toy"), dtype={"cell": "str"}).set_index("cell")["defective"]
    assert values["t03"] == pytest.approx(0.8)


def test_a_trial_passes_its_own_gate_and_not_the_competitions(banked):
    """With `limit`, the submission has the lines of its rows; `podium check` and `podium upload` want all lines."""
    sample = paths.data("toy", "sample_submission.csv")
    sample.write_text(sample.read_text() + "t98,0.5\nt99,0.5\n")
    config = banked.make_config()
    object.__setattr__(config.params, "limit", 150)
    for stage in (bank, ensemble, submit):
        stage.run(config)
    assert len(pd.read_csv(paths.submission("toy"))) == 30
    with pytest.raises(PodiumError, match="there is no line for cell 't98', 't99'"):
        check.passed(paths.submission("toy"), "toy", config.competition)
    with sample.open("r+") as file:
        lines = file.read().splitlines()[:-2]
    sample.write_text("\n".join(lines) + "\n")
    assert check.passed(paths.submission("toy"), "toy", config.competition) == 30


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
