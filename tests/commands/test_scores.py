"""The table that `make submission` ends with."""

import pandas as pd

from podium import metrics
from podium.commands import scores
from podium.fitting.scoring import Scoring, Submission
from podium.tasks.binary import Task

BANK = pd.DataFrame(
    {"member": ["lite_one", "b"], "log_loss": ["0.3", "0.4"], "accuracy": ["0.9", "0.8"]}
    | {"standard_error": ["0.01", "0.02"], "weight": ["0.75", None], "seconds": [12.34, None], "MB": [1.26, 0.0]},
)
ENSEMBLE = {
    "naive": {"log_loss": 0.28, "accuracy": 0.91},
    "cross_fitted": {"log_loss": 0.29, "accuracy": 0.905},
    "standard_error": {"log_loss": 0.012, "accuracy": 0.01},
}


def test_members_then_ensemble_with_every_metric():
    """One line each, in the bank's order; a member without weight leaves its place blank."""
    text = scores.table(BANK, ENSEMBLE, {"log_loss": 0.31, "accuracy": 0.89}, ("log_loss", "accuracy"))
    assert [line.split() for line in text.splitlines()] == [
        ["log_loss", "accuracy", "±", "weight", "seconds", "MB"],
        ["lite_one", "0.3000", "0.9000", "0.0100", "0.7500", "12.3", "1.3"],
        ["b", "0.4000", "0.8000", "0.0200", "0.0"],
        ["-" * 22, "-" * 8, "-" * 8, "-" * 6, "-" * 6, "-" * 7, "-" * 3],
        ["ensemble,", "naive", "0.2800", "0.9100"],
        ["ensemble,", "cross-fitted", "0.2900", "0.9050", "0.0120"],
        ["ensemble,", "held", "out", "0.3100", "0.8900"],
    ]


def test_a_member_below_the_constant_prediction_is_warned_of():
    """By the official metric, in its direction; a tie is no warning."""
    accuracy, log_loss = (metrics.METRICS[name] for name in ("accuracy", "log_loss"))
    by_accuracy = Scoring(Task(target="x"), (accuracy, log_loss), Submission())
    bank = BANK.assign(constant=["0.9", "0.9"])
    assert by_accuracy.below_constant(bank) == [
        "warning: b: accuracy 0.8000 is worse than a constant prediction's 0.9000"
    ]
    by_loss = Scoring(Task(target="x"), (log_loss, accuracy), Submission())
    assert by_loss.below_constant(bank) == []
    assert len(by_loss.below_constant(bank.assign(constant=["0.2", "0.2"]))) == 2


def test_unknown_held_out_labels_leave_blanks():
    """A real competition's score is not known here."""
    assert scores.table(BANK, ENSEMBLE, {}, ("log_loss",)).splitlines()[-1] == "ensemble, held out"
