"""What the uploads say together."""

from types import SimpleNamespace

import pytest

from podium.commands import ledger
from podium.contracts import leaderboard
from podium.errors import PodiumError

HEADER = "time,competition,ref,commit,params,file,metric,naive,cross_fitted,public,private\n"
LINES = [
    "2026-01-01T00:00:00Z,toy,1,c,p,f1,log_loss,0.30,0.31,0.33,",
    "2026-01-02T00:00:00Z,toy,2,c,p,f2,log_loss,0.28,0.29,0.34,",
    "2026-01-03T00:00:00Z,toy,3,c,p,f3,log_loss,0.29,0.30,0.30,0.32",
    "2026-01-04T00:00:00Z,toy,4,c,p,f4,log_loss,0.20,0.40,,",
    "2026-01-05T00:00:00Z,other,5,c,p,f5,log_loss,0.10,0.10,0.10,",
]


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A ledger of four uploads of toy and one of another competition."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaderboard.csv").write_text(HEADER + "\n".join(LINES) + "\n")
    return tmp_path / "leaderboard.csv"


def shown(capsys, metric="log_loss", competition="toy"):
    ledger.run(
        SimpleNamespace(params=SimpleNamespace(competition=competition), competition=SimpleNamespace(metric=metric))
    )
    return capsys.readouterr().out


def test_picks_are_the_best_cv_and_the_best_public_score(board, capsys):
    """Each in the metric's own direction, of this competition's uploads only."""
    out = shown(capsys)
    assert "final pick 1, the best cross-fitted score: 2 of 2026-01-02" in out
    assert "final pick 2, the best public score of the others: 3 of 2026-01-03" in out
    out = shown(capsys, metric="auc")
    assert "final pick 1, the best cross-fitted score: 4 of" in out
    assert "final pick 2, the best public score of the others: 2 of" in out


def test_the_two_picks_are_different_files(board, capsys):
    """The best in both has the second best public score beside it."""
    board.write_text(HEADER + "\n".join([LINES[0], LINES[2]]) + "\n")
    out = shown(capsys)
    assert "pick 1, the best cross-fitted score: 3 of" in out
    assert "pick 2, the best public score of the others: 1 of" in out
    board.write_text(HEADER + LINES[0] + "\n")
    assert "final pick 2: upload another submission first" in shown(capsys)


def test_correlation_of_cv_and_leader_board(board, capsys):
    """Pearson's and Spearman's, by hand: (.31, .33), (.29, .34), (.30, .30) give -0.24 and -0.5."""
    assert "over 3 uploads: correlation -0.24, of ranks -0.50" in shown(capsys)
    board.write_text(HEADER + "\n".join(LINES[:2]) + "\n")
    assert "2 uploads have both scores, too few (or too equal) to correlate" in shown(capsys)


def test_an_upload_is_put_once(board):
    """Its score takes the place of the line that waited for it; other lines stay as they are."""
    entry = dict(zip(leaderboard.COLUMNS, LINES[3].split(","), strict=True))
    leaderboard.put(entry | {"public": "0.41"}, board)
    assert board.read_text() == HEADER + "\n".join([*LINES[:3], LINES[4], LINES[3][:-2] + ",0.41,"]) + "\n"


def test_no_upload_yet(board, capsys):
    """One line that says what makes one."""
    with pytest.raises(PodiumError, match=r"leaderboard\.csv: no upload of new yet; `podium upload` makes one"):
        shown(capsys, competition="new")


def test_a_ledger_of_other_columns_is_refused(board):
    """A file of one's own with the same name is not overwritten."""
    board.write_text("team,score\n")
    with pytest.raises(PodiumError, match=r"leaderboard\.csv: there is no column 'time'"):
        leaderboard.read(board)
