"""Every command of README and docs, run as it stands there: a page is a session in a small competition."""

import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UPLOADS = """\
time,competition,ref,commit,params,file,metric,naive,cross_fitted,public,private
2026-01-01 10:00,elpv,1,abc,p1,f1,log_loss,0.31,0.32,0.30,
2026-01-02 10:00,elpv,2,abd,p2,f2,log_loss,0.30,0.31,0.29,
"""

# What is not run here, and who runs it.
ELSEWHERE = {
    "make test": "this is it",
    "podium bundle --user somebody": "tests/serving/test_bundle.py: it downloads wheels of 200 MB",
    "podium bundle --user somebody --hidden 20000 --hours 9": "the same",
    "podium push": "tests/commands/test_push.py, against a server of its own",
    "podium serve": "tests/serving/test_server.py: it runs until it is told to stop",
    "podium serve exports/elpv": "the same",
    "podium upload": "tests/commands/test_upload.py, against a server of its own",
    "podium use dogs-vs-cats-redux": "tests/test_shipped.py: its images need an account",
}


def sessions():
    """Return (page, its commands in their order), where a page has any."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        lines = "\n".join(SHELL.findall(page.read_text(encoding="utf-8"))).splitlines()
        found = [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]
        commands = [command for command in found if command.split()[0] in {"podium", "dvc", "make"}]
        if commands:
            yield pytest.param(commands, id=page.stem)


@pytest.fixture(scope="session")
def elpv(make_workspace, tmp_path_factory):
    """The toy under the names that the pages use: the shipped params, with backbones and heads that cost little."""
    workspace = make_workspace(tmp_path_factory.mktemp("documented") / "work")
    path = workspace.path
    for name in ("recipes", "competitions"):
        shutil.copytree(ROOT / name, path / name, dirs_exist_ok=True)
    shutil.copy(ROOT / "Makefile", path)
    (path / "competitions/toy.yaml").rename(path / "competitions/elpv.yaml")
    for number, image in enumerate(sorted((path / "incoming/images").iterdir()), 895):
        image.rename(image.with_name(f"cell{number:04d}.png"))
    labels = (path / "incoming/labels.csv").read_text().splitlines()
    renamed = [f"cell{int(line.split(',')[0]) + 895:04d},{line.split(',')[1]}" for line in labels[1:]]
    (path / "incoming/labels.csv").write_text("\n".join([labels[0], *renamed]) + "\n")
    (path / "leaderboard.csv").write_text(UPLOADS)
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["backbones"]["lite0"] |= {"resize": {"px": 64}}
    params["backbones"] |= {"lite1": {"network": "color_histogram"}, "lite2": {"network": "hog", "resize": {"px": 32}}}
    for models in (params["members"], params["fusions"]):
        for name in [name for name, model in models.items() if model["head"] != "logistic"]:
            del models[name]
    yaml.dump(params, path / "params.yaml")
    for _ in range(2):  # a second commit, for HEAD~1
        workspace.repro_ok()
        for command in (["git", "add", "-A"], ["git", "commit", "-qm", "run", "--allow-empty"]):
            assert workspace.call(*command).returncode == 0
    return workspace


@pytest.mark.parametrize("commands", sessions())
def test_a_page_is_a_session(commands, elpv, tmp_path):
    """Each command ends well after those before it."""
    shutil.copytree(elpv.path, tmp_path / "work", symlinks=True)
    for name in ("my-images", "cats-and-dogs"):
        for kind in ("cat", "dog"):
            shutil.copytree(elpv.path / "incoming/images", tmp_path / name / kind)
    workspace = type(elpv)(tmp_path / "work")
    if "podium new ../digits" in commands:  # the tutorial's own code draws them
        [code] = [block for block in PYTHON.findall((ROOT / "docs/tutorial.md").read_text()) if "load_digits" in block]
        assert workspace.call(sys.executable, "-c", code).returncode == 0
    for command in commands:
        if command in ELSEWHERE:
            continue
        program, *words = shlex.split(command.replace("--trials 30", "--trials 2"))
        if words[0] == "use":  # it replaces params.yaml, and refuses to lose edits
            workspace.call("git", "commit", "-qam", "edits")
        if program == "make":  # in the environment of the tests: none is made
            venv = Path(sys.executable).parent.parent
            words += [f"VENV={venv}", "-o", f"{venv}{os.sep}ready"]
        done = workspace.call(program, *words)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
        if command == "dvc queue start":
            _wait_for_the_queue(workspace)


def _wait_for_the_queue(workspace):
    """As the reader does who looks at `dvc queue status`; on a busy machine DVC's worker may leave before its time."""
    for _ in range(120):
        told = workspace.call("dvc", "queue", "status").stdout
        if not re.search("Running|Queued", told):
            return
        if "0 active, 0 idle" in told:
            workspace.call("dvc", "queue", "start")
        time.sleep(1)
    pytest.fail(told)
