"""`podium compare` on real revisions, read through DVC without a checkout."""

import re
import shlex
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def experimented(finished, tmp_path_factory):
    """A committed result, the experiment `weaker` beside it, and the experiment's params in the work tree's past."""
    path = tmp_path_factory.mktemp("compared") / "work"
    shutil.copytree(finished.path, path, symlinks=True)
    workspace = type(finished)(path)
    for command in (
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "ran"],
        ["dvc", "exp", "run", "--temp", "-n", "weaker", "-S", "members.logistic_colour.C=0.00001"],
    ):
        done = workspace.call(*command)
        assert done.returncode == 0, done.stdout
    return workspace


@pytest.fixture
def compared(experimented, tmp_path):
    """A copy of it, to spoil."""
    shutil.copytree(experimented.path, tmp_path / "work", symlinks=True)
    return type(experimented)(tmp_path / "work")


def test_an_experiment_is_compared_with_a_revision(experimented):
    """Choices and scores that differ, the differences of the ensemble and of the shared models, and a verdict."""
    before = experimented.bytes("params.yaml")
    done = experimented.call("podium", "compare", "HEAD", "weaker")
    assert done.returncode == 0, done.stdout
    assert re.search(r"members\.logistic_colour\.C +0\.1 +1e-05", done.stdout)
    assert re.search(r"ensemble\.cross_fitted\.log_loss +[\d.]+ +[\d.]+", done.stdout)
    assert re.search(r"logistic_colour +log_loss .*(better|worse|cannot tell)", done.stdout)
    assert not re.search(r"logistic_shape +log_loss", done.stdout)
    assert "The same in both, and not shown: 2 members." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("log_loss of the ensemble: ")
    assert experimented.bytes("params.yaml") == before
    assert experimented.call("git", "status", "--porcelain").stdout == ""


def test_the_work_tree_is_the_default(experimented):
    """`podium compare REV` asks whether what lies here is better; nothing has changed here."""
    done = experimented.call("podium", "compare", "HEAD")
    assert "B is workspace" in done.stdout
    assert "Choices: the same" in done.stdout
    assert "No difference: the scored predictions are the same." in done.stdout


def test_experiments_are_shown_in_120_columns(experimented):
    """The documented command has the two scores and the changed choice, whole, and no digest of a dependency."""
    text = (Path(__file__).parents[2] / "docs/compare.md").read_text(encoding="utf-8")
    command = shlex.split(re.search(r"^dvc exp show .*$", text, flags=re.MULTILINE)[0])
    done = type(experimented)(experimented.path, {"COLUMNS": "120"}).call(*command)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 120
    columns = next(line.split() for line in lines if "Experiment" in line)
    assert columns == ["Experiment", "cross_fitted.log_loss", "log_loss", "members.logistic_colour.C"]
    assert re.search(r"\[weaker\] +0\.\d+ +0\.\d+ +1e-05", done.stdout)


def one_line(done):
    assert done.returncode == 2, done.stdout
    (line,) = done.stdout.strip().splitlines()
    return line


def test_results_of_other_params_are_refused(compared):
    """Edited and not run: the scores would be those of the old choice."""
    compared.edit(lambda params: params["members"]["logistic_colour"].update(C=7))
    line = one_line(compared.call("podium", "compare", "HEAD"))
    assert line.startswith(
        "podium: workspace: params.yaml: members.logistic_colour: the results were made with another"
    )


def test_a_removed_member_is_no_reason_to_refuse(compared):
    """DVC leaves its entry in dvc.lock."""

    def change(params):
        del params["members"]["logistic_shape"]

    compared.edit(change)
    assert compared.repro_ok().ran
    done = compared.call("podium", "compare", "HEAD")
    assert done.returncode == 0, done.stdout
    assert re.search(r"members\.logistic_shape\.C +0\.1 +-", done.stdout)


def test_an_unknown_revision_is_named(experimented):
    """One line."""
    assert "podium: nowhere: unknown Git revision 'nowhere'" in one_line(
        experimented.call("podium", "compare", "nowhere")
    )


def test_predictions_that_are_gone_are_named(compared):
    """Neither in the work tree nor in the cache."""
    shutil.rmtree(compared.path / ".dvc/cache")
    line = one_line(compared.call("podium", "compare", "weaker"))
    assert line.startswith("podium: weaker: data/toy/rows.parquet: neither git nor DVC's cache has it; run `dvc pull`")


def test_params_that_no_longer_parse_are_named(compared):
    """An old revision may hold what this version does not take."""
    params = compared.path / "params.yaml"
    current = params.read_text()
    lock = compared.path / "dvc.lock"
    params.write_text(current.replace("head: logistic", "head: oracle"))
    lock.write_text(lock.read_text().replace("head: logistic", "head: oracle"))
    for command in (["git", "commit", "-qam", "old"], ["git", "tag", "old"]):
        assert compared.call(*command).returncode == 0
    params.write_text(current)
    line = one_line(compared.call("podium", "compare", "old"))
    assert line.startswith(
        "podium: old: params.yaml: members.logistic_colour.head: unknown head 'oracle'; choose one of"
    )


def test_a_revisions_names_are_checked_before_any_path_is_made(compared):
    """Somebody else's revision may name a file outside the folder that it is copied to."""
    params = compared.path / "params.yaml"
    current = params.read_text()
    (compared.path / "evil.yaml").write_text("theirs")
    params.write_text(current.replace("competition: toy", "competition: ../../evil"))
    for command in (["git", "add", "-A"], ["git", "commit", "-qm", "evil"], ["git", "tag", "evil"]):
        assert compared.call(*command).returncode == 0
    params.write_text(current)
    victim = compared.path.parent / "evil.yaml"
    victim.write_text("mine")
    compared.settings["TMPDIR"] = str(compared.path.parent)
    line = one_line(compared.call("podium", "compare", "HEAD~1", "evil"))
    assert line.startswith("podium: evil: params.yaml: competition: '../../evil' must match")
    assert victim.read_text() == "mine"
