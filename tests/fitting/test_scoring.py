"""How predictions are scored: clipped as they go out, wherever a score is taken."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from podium.contracts.scores import Scores
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import METRICS
from podium.tasks.binary import Task as Binary
from podium.tasks.multiclass import Task as Multiclass

N = 200
CLIPS = [None, (0.3, 0.7), (0.0, 0.6), (0.45, 1.0)]


def scores(p):
    columns = tuple(f"p_{k}" for k in range(p.shape[1]))
    return Scores(np.array([f"{n:03d}" for n in range(N)]), np.full(N, "train"), p, columns, ("a", "b", "c"))


def binary():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N)
    return Binary(target="y"), y, (0.6 * rng.random((3, N, 1)) + 0.4 * y[:, None]).astype(np.float32)


def multiclass():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    p = rng.random((3, N, 3)) + np.eye(3)[y]
    return Multiclass(target="y"), y, (p / p.sum(axis=2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("clip", [clip for clip in CLIPS if clip])
def test_scores_are_those_of_clipped_predictions(clip):
    """Against scikit-learn, which is given predictions that are clipped already."""
    task, y, members = binary()
    names = ("log_loss", "accuracy", "brier")
    scoring = Scoring(task, tuple(METRICS[name] for name in names), Submission(clip=clip))
    p, weight = members[0][:, 0].astype(float).clip(*clip), np.linspace(1, 2, N)
    expected = {
        "log_loss": log_loss(y, p, sample_weight=weight),
        "accuracy": accuracy_score(y, p >= 0.5, sample_weight=weight),
        "brier": brier_score_loss(y, p, sample_weight=weight),
    }
    assert scoring.scores(y, scores(members[0]), weight) == pytest.approx(expected, abs=1e-6)
    assert scoring.loss(y, scores(members[0]), weight) == pytest.approx(expected["log_loss"], abs=1e-6)
    assert scoring.finished(scores(members[0])).p[:, 0] == pytest.approx(p)
    bare = Scoring(task, scoring.metrics, Submission()).standard_errors(
        y, scores(p[:, None].astype(np.float32)), weight
    )
    assert scoring.standard_errors(y, scores(members[0]), weight) == bare


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "auc"])
@pytest.mark.parametrize("made", [binary, multiclass])
@pytest.mark.parametrize("weight", [None, np.linspace(1, 2, N)])
def test_an_ensemble_is_fitted_by_the_score_that_goes_out(made, metric, clip, weight):
    """Its objective clips blends as the submission is clipped; in its short form too."""
    task, y, members = made()
    scoring = Scoring(task, (METRICS[metric],), Submission(clip=clip))
    objective = scoring.objective(weight)
    expected = [scoring.loss(y, scores(p), weight) for p in members]
    assert [objective(y, p) for p in members] == pytest.approx(expected, abs=1e-6)
    short = objective.objective(y, members)
    assert short.losses(short.members) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("clip", [(0.99, 0.01), (0.5, 0.5)])
def test_a_clip_the_wrong_way_round_is_refused(clip):
    """It would make every prediction the same."""
    with pytest.raises(ValidationError, match="must be below"):
        Submission(clip=clip)


@pytest.mark.parametrize(
    ("name", "scores", "worse"), [("log_loss", [0.5, 0.4, 0.6], "c"), ("auc", [0.5, 0.6, 0.4], "c")]
)
def test_a_member_below_the_best_constant_is_warned_of(name, scores, worse):
    """In either direction of the metric; one that is as good is not worse."""
    scoring = Scoring(binary()[0], (METRICS[name],), Submission())
    bank = pd.DataFrame({"member": list("abc"), name: scores, "constant": 0.5})
    (warning,) = scoring.below_constant(bank)
    assert warning == f"warning: c: {name} {scores[2]:.4f} is worse than a constant prediction's 0.5000"
