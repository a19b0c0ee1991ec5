"""From the gate to the leaderboard, by Kaggle's own client against a local server."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from podium import paths, plugins
from podium.commands import check, upload
from podium.contracts import leaderboard
from podium.contracts.tables import ROWS
from podium.errors import PodiumError
from podium.layouts.sample_submission import Sample
from podium.sources.folder import Source as Folder
from podium.sources.kaggle import Source

CSV = "id,p\na,0.1\nb,0.9\n"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The configuration of a competition with a submission that is ready to go."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data/toy", "submissions", "metrics", "competitions"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "competitions/toy.yaml").touch()
    (tmp_path / "params.yaml").write_text("competition: toy\n")
    (tmp_path / "data/toy/sample_submission.csv").write_text("id,p\na,0.5\nb,0.5\n")
    (tmp_path / "submissions/toy.csv").write_text(CSV)
    (tmp_path / "metrics/ensemble.json").write_text(
        json.dumps({"naive": {"log_loss": 0.3}, "cross_fitted": {"log_loss": 0.31}})
    )
    rows = pd.DataFrame({"row_id": ["a", "b"], "split": "test", "y": [None, None], "weight": 1.0, "group": "g"})
    ROWS.write(rows, tmp_path / "data/toy/rows.parquet", {"labels": ["0", "1"]})
    task = plugins.make("tasks", "binary", {"target": "p"}, "toy.yaml: task")
    return SimpleNamespace(
        params=SimpleNamespace(competition="toy"),
        competition=SimpleNamespace(
            source=Source(competition="toy"), task=task, metric="log_loss", submission=Sample()
        ),
    )


def test_a_code_competition_takes_no_file(toy, kaggle):
    """It is told what to do instead, and nothing is sent."""
    toy.competition.submission = Sample(kind="code")
    with pytest.raises(PodiumError, match="takes code, not files: `podium bundle`, then `podium push`"):
        upload.run(toy)
    assert kaggle.requests == []


def scored(server, after=2, **scores):
    """Let the server score a submission at the `after`-th look."""
    looks = []

    def look(seconds):
        looks.append(seconds)
        if len(looks) >= after:
            server.submissions[-1].update(status="COMPLETE", **scores)

    return look


def test_an_upload_ends_with_its_score_in_the_ledger(toy, kaggle, monkeypatch, capsys):
    """The file itself arrives, under a message of commit, params and CV; the score is waited for."""
    monkeypatch.setattr("time.sleep", scored(kaggle, publicScore="0.33", privateScore="0.35"))
    upload.run(toy)
    assert kaggle.uploaded == CSV.encode()
    (line,) = leaderboard.read(paths.LEADERBOARD).to_dict("records")
    assert (line["public"], line["private"], line["naive"], line["cross_fitted"]) == ("0.33", "0.35", "0.3", "0.31")
    message = kaggle.submissions[0]["description"]
    assert message == f"{line['commit']} params {line['params']} CV 0.31"
    out = capsys.readouterr().out
    assert "4 submissions to toy are left for today" in out
    assert "public 0.33, CV 0.31" in out


def test_a_score_that_does_not_come_is_left_open(toy, kaggle, monkeypatch, capsys):
    """Ten minutes of waiting end with a line in the ledger all the same."""
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    upload.run(toy)
    assert 550 < sum(waits) < 700
    assert leaderboard.read(paths.LEADERBOARD)["public"].isna().tolist() == [True]
    assert "Kaggle has not scored it yet" in capsys.readouterr().out


def test_the_same_file_is_not_uploaded_twice(toy, kaggle, monkeypatch):
    """Unless that is what is wanted."""
    monkeypatch.setattr("time.sleep", scored(kaggle, publicScore="0.33"))
    upload.run(toy)
    with pytest.raises(
        PodiumError, match=r"this very file was uploaded on .* and scored 0\.33; `podium upload --again`"
    ):
        upload.run(toy)
    assert len(kaggle.submissions) == 1
    monkeypatch.setattr("time.sleep", scored(kaggle, publicScore="0.33"))
    upload.run(toy, again=True)
    assert len(leaderboard.read(paths.LEADERBOARD)) == 2


def test_a_file_that_the_gate_refuses_is_never_sent(toy, kaggle, tmp_path):
    """A submission of the day is not wasted on it."""
    (tmp_path / "submissions/toy.csv").write_text(CSV.replace("0.9", "9"))
    with pytest.raises(PodiumError, match=r"line 3: 'b,9': p must be in \[0, 1\]"):
        upload.run(toy)
    assert kaggle.requests == []


@pytest.mark.parametrize(("limited", "reason"), [(False, "for today"), (True, "in all")])
def test_without_quota_nothing_is_sent(toy, kaggle, limited, reason):
    """The message says whether to wait for tomorrow."""
    kaggle.limits |= {"numAllowedNow": 0, "limitedByTotal": limited}
    with pytest.raises(PodiumError, match=rf"no submission to toy is left {reason}.*: 1 today, 4 so far"):
        upload.run(toy)
    assert kaggle.submissions == []


def test_a_file_that_kaggle_cannot_score(toy, kaggle, monkeypatch):
    """Kaggle's own reason."""
    monkeypatch.setattr(
        "time.sleep", lambda _: kaggle.submissions[-1].update(status="ERROR", errorDescription="Bad id")
    )
    with pytest.raises(PodiumError, match="Kaggle could not score 100: Bad id"):
        upload.run(toy)


def test_an_upload_that_breaks_is_told(toy, kaggle):
    """No line in the ledger for what never arrived."""
    kaggle.fail("/upload", lambda handler: handler.reply(400))
    with pytest.raises(PodiumError, match=r"Kaggle did not take submissions/toy\.csv: .*; run again"):
        upload.run(toy)
    assert leaderboard.read(paths.LEADERBOARD).empty


def test_a_refusal_names_what_to_do(toy, kaggle):
    """As for downloads."""
    kaggle.fail("GetSubmissionLimits", lambda handler: handler.reply_json({"code": 403, "message": "Rules"}, 403))
    with pytest.raises(PodiumError, match=r"could not upload submissions/toy\.csv .*accept its rules"):
        upload.run(toy)


def test_only_kaggle_takes_uploads(toy, kaggle, tmp_path):
    """ELPV has no server."""
    toy.competition.source = Folder(path=tmp_path)
    with pytest.raises(PodiumError, match=r"competitions/toy\.yaml: source\.kind: only a competition of Kaggle"):
        upload.run(toy)


def test_check_tells_what_is_right(toy, capsys, tmp_path):
    """By default the competition's own submission; any other file too."""
    check.run(toy)
    assert "submissions/toy.csv: 2 lines, as toy wants them" in capsys.readouterr().out
    (tmp_path / "mine.csv").write_text(CSV)
    check.run(toy, "mine.csv")
    (tmp_path / "mine.csv").write_text(CSV.replace("a,", "x,"))
    with pytest.raises(PodiumError, match=r"mine\.csv: line 2: 'x,0.1': this id is not in the sample"):
        check.run(toy, "mine.csv")
