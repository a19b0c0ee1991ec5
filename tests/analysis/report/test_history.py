"""Scores of past commits, read from a git repository made for it."""

import json
import subprocess

import pytest

from podium.analysis.report import history


def scores(value, error=0.01):
    return {"cross_fitted": {"log_loss": value}, "standard_error": {"log_loss": error}, "naive": {"log_loss": 0.1}}


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """Return the function that commits scores (or a text) and a competition, on a day of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / "metrics").mkdir()
    days = iter(range(1, 60))

    def commit(content, competition="toy"):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "metrics/ensemble.json").write_text(text)
        (tmp_path / "params.yaml").write_text(f"# a comment\ncompetition: {competition}  # another\nold_key: 1\n")
        month, day = divmod(next(days) - 1, 28)
        monkeypatch.setenv("GIT_AUTHOR_DATE", f"2026-{month + 1:02d}-{day + 1:02d}T12:00:00Z")
        subprocess.run(["git", "add", "."], check=True)
        subprocess.run(["git", "commit", "-qm", "some scores"], check=True)

    return commit


def read(now):
    return history.read("toy", "log_loss", now)


def test_scores_are_those_of_the_commits(commit):
    """The oldest first, by date; now comes last. Commits of other competitions, metrics or forms are left out."""
    commit(scores(0.5, 0.03))
    commit(scores(0.9), competition="toy-two")
    commit({"cross_fitted": {"auc": 0.9}, "standard_error": {"auc": 0.1}})
    commit("<<<<<<< conflict")
    commit(scores(0.4, 0.02))
    table = read(scores(0.3))
    assert [name.partition(" ")[2] for name in table["commit"][:-1]] == ["2026-01-01", "2026-01-05"]
    assert table["commit"].iloc[-1] == "now"
    assert table["score"].tolist() == [0.5, 0.4, 0.3]
    assert table["standard_error"].tolist() == [0.03, 0.02, 0.01]
    newest = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert newest.startswith(table["commit"].iloc[1].split()[0])


def test_committing_todays_scores_changes_nothing(commit):
    """So a report is the same before its scores are committed and after, and DVC's lock stays as it is."""
    commit(scores(0.5))
    before = read(scores(0.4))
    commit(scores(0.4))
    assert read(scores(0.4)).equals(before)


def test_the_last_thirty_commits_are_enough(commit):
    """One more is not read."""
    for k in range(32):
        commit(scores(1 - k / 100))
    table = read(scores(0.1))
    assert table["score"].tolist() == pytest.approx([*(1 - k / 100 for k in range(2, 32)), 0.1])


def test_without_a_past_there_is_no_history(commit, tmp_path, monkeypatch):
    """With the present alone, outside of a repository, and without git."""
    commit(scores(0.4))
    assert read(scores(0.4)).empty
    commit(scores(0.5))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".git").rename(tmp_path / "no-git")
    assert read(scores(0.4)).empty
    (tmp_path / "no-git").rename(tmp_path / ".git")
    assert len(read(scores(0.4))) == 3
    monkeypatch.setenv("PATH", "")
    assert read(scores(0.4)).empty
