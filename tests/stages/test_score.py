"""score: the local leaderboard."""

import json

import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

from podium import paths
from podium.stages import bank, ensemble, score, submit


@pytest.fixture
def submitted(banked):
    for stage in (bank, ensemble, submit):
        stage.run(banked.config)
    return banked


def test_it_scores_the_submission_file_itself(submitted):
    """Against scikit-learn, joined by id: file and solution have different orders."""
    score.run(submitted.config)
    csv = pd.read_csv(paths.submission("toy"), dtype={"cell": "str"})
    y = submitted.truth.set_index("row_id")["y"][csv["cell"]]
    found = json.loads(paths.METRICS_HELDOUT.read_text())
    assert found["log_loss"] == pytest.approx(log_loss(y, csv["defective"]), abs=1e-6)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, csv["defective"] >= 0.5), abs=1e-6)


def test_unknown_labels_give_an_empty_result_and_a_note(submitted, capsys):
    """A real competition keeps them."""
    paths.data("toy", "solution/solution.csv").write_text("row_id,y\n")
    score.run(submitted.config)
    assert json.loads(paths.METRICS_HELDOUT.read_text()) == {}
    assert "the competition keeps the test labels" in capsys.readouterr().out


def test_a_solution_of_some_rows_scores_these(submitted):
    """As on a public leaderboard."""
    solution = paths.data("toy", "solution/solution.csv")
    score.run(submitted.config)
    of_all = json.loads(paths.METRICS_HELDOUT.read_text())
    solution.write_text("\n".join(solution.read_text().splitlines()[:11]) + "\n")
    score.run(submitted.config)
    known = pd.read_csv(solution)
    p = pd.read_csv(paths.submission("toy"), dtype={"cell": "str"}).set_index("cell")["defective"][known["row_id"]]
    found = json.loads(paths.METRICS_HELDOUT.read_text())
    assert len(known) == 10
    assert found["log_loss"] == pytest.approx(log_loss(known["y"], p), abs=1e-6) != of_all["log_loss"]
