"""The command line: exit codes, one-line errors, quick answers, recipes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from podium import cli
from podium.commands import use
from podium.errors import PodiumError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def podium(*words, cwd=ROOT):
    return subprocess.run([sys.executable, "-m", "podium.cli", *words], cwd=cwd, capture_output=True, text=True)


def test_a_users_mistake_exits_with_2_and_one_line(tmp_path):
    """No traceback for a wrong params.yaml."""
    (tmp_path / "params.yaml").write_text("competition: nowhere\n")
    done = podium("check-params", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("podium: params.yaml: ")


def test_a_reader_that_hangs_up_ends_it_in_silence():
    """`podium reference | true`, as `| head` of a long answer, says nothing on the standard error."""
    command = f"{sys.executable} -m podium.cli reference | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_pipe_of_its_own_that_breaks_is_an_error(monkeypatch, capsys):
    """Only a reader of the standard output may hang up."""

    def broken(_arguments):
        raise BrokenPipeError("a worker died")

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(BrokenPipeError, match="a worker died"):
        cli.main(["check-params"])


def test_an_unknown_member_lists_the_known_ones(monkeypatch, capsys):
    """`podium fit NAME` with a wrong name says which names there are."""
    monkeypatch.chdir(ROOT)
    assert cli.main(["fit", "nobody"]) == 2
    assert "params.yaml: members: no 'nobody'; choose one of: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import podium.cli; podium.cli._parser()", ["tensorflow", "keras", "pandas", "numpy", "pydantic"]),
        (
            "import podium.config; podium.config.load()",
            ["tensorflow", "keras", "sklearn", "lightgbm", "openvino", "cv2"],
        ),
    ],
)
def test_start_up_loads_no_heavy_library(statement, never):
    """Help and the check of params answer quickly because nothing heavy is imported."""
    program = f"import sys; {statement}; print([m for m in {never!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("stage", ["prepare", "fold", "augment", "fit", "fuse", "bank", "ensemble", "submit", "score"])
def test_stages_load_no_tensorflow(stage):
    """TensorFlow is imported by the Keras engine and the Keras heads alone."""
    program = f"import sys, podium.config, podium.stages.{stage}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with the shipped params committed and two recipes."""
    shutil.copytree(ROOT / "competitions", tmp_path / "competitions")
    (tmp_path / "recipes").mkdir()
    default = (ROOT / "recipes/elpv-default.yaml").read_text()
    (tmp_path / "recipes/one.yaml").write_text(default)
    (tmp_path / "recipes/two.yaml").write_text(default + "# two\n")
    (tmp_path / "params.yaml").write_text(default + "# mine\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@t.t"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_use_puts_a_recipe_in_place(repository):
    """Committed params give way, and one recipe gives way to another."""
    use.run("one")
    use.run("two")
    assert (repository / "params.yaml").read_bytes() == (repository / "recipes/two.yaml").read_bytes()


def test_use_refuses_to_lose_edits(repository):
    """Edits that neither git nor a recipe holds stay."""
    edited = (repository / "params.yaml").read_text() + "# not saved anywhere\n"
    (repository / "params.yaml").write_text(edited)
    with pytest.raises(PodiumError, match="uncommitted edits"):
        use.run("one")
    assert (repository / "params.yaml").read_text() == edited


def test_use_lists_the_recipes(repository):
    """A wrong name lists the right ones."""
    with pytest.raises(PodiumError, match="choose one of: one, two"):
        use.run("three")


def test_the_default_recipe_is_the_shipped_params():
    """A newcomer's params.yaml can always be had back by name."""
    assert (ROOT / "recipes/elpv-default.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_dvc_says_which_item_a_stage_is_of(monkeypatch, capsys):
    """The name is no part of a shell command; it comes with the stage's address, even of a dvc.yaml elsewhere."""
    monkeypatch.chdir(ROOT)
    for address in ("fit@nobody", "some/dvc.yaml:fit@nobody"):
        monkeypatch.setenv("DVC_STAGE", address)
        assert cli.main(["fit"]) == 2
        assert "params.yaml: members: no 'nobody'; choose one of: " in capsys.readouterr().err
    for other in ("", "extract@lite0"):
        monkeypatch.setenv("DVC_STAGE", other)
        assert cli.main(["fit"]) == 2
        assert "podium: `podium fit` takes a name: one of params.yaml's members" in capsys.readouterr().err


def test_scan_loads_no_heavy_library():
    """It runs at each `dvc repro`, so it must take no time."""
    never = ["tensorflow", "keras", "sklearn", "pandas", "numpy", "cv2", "dvc"]
    program = f"import sys, podium.stages.scan; print([m for m in {never!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
