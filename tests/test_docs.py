"""Every command and every YAML of README and docs is checked: it parses, and what it names exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from podium import cli, config
from podium.commands import reference
from podium.heads import Training

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    """Return (page and number, text) of every block of a language."""
    found = []
    for page in PAGES:
        texts = [text for name, text in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]
        found += [pytest.param(text, id=f"{page.stem}-{number}") for number, text in enumerate(texts)]
    return found


def commands():
    """Return every command of every shell block, without its comment, once."""
    lines = (line for block in blocks("sh") for line in block.values[0].splitlines())
    return sorted({shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))})


COMMANDS = commands()


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("podium ")])
def test_podium_commands_are_commands(command, capsys):
    """The command line takes them, options and all."""
    cli._parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("dvc ")])
def test_dvc_commands_are_commands(command, tmp_path, monkeypatch):
    """DVC takes them, and a param that they set is one, with a value that it may have."""
    from dvc.cli import parse_args

    parsed = parse_args(shlex.split(command)[1:])
    settings = dict(setting.split("=", 1) for setting in getattr(parsed, "set_param", None) or [])
    assert load_params(tmp_path, monkeypatch, {key: YAML(typ="safe").load(value) for key, value in settings.items()})


def test_other_commands_exist():
    """Make targets and benchmarks are there; nothing else is asked of a reader's shell but git, pip and apt."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in COMMANDS:
        program, *words = shlex.split(command)
        if program == "make":
            assert {word for word in words if "=" not in word} <= targets, command
        elif program == "python":
            assert (ROOT / words[0]).exists() or words[0] in {"-m", "-c"}, command
        else:
            assert program in {"podium", "dvc", "git", "cd", "pip", "apt-get", "echo"}, command


def test_every_command_is_documented():
    """A command that no page names is one that nobody finds; stages are the data flow's, which runs them."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    missing = [name for name in cli.HELPERS if f"podium {name}" not in text]
    assert not missing


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_is_what_podium_takes(text, tmp_path, monkeypatch):
    """A whole competition, or an excerpt of params.yaml laid over the shipped one."""
    first, _, _ = text.partition("\n")
    file = first.removeprefix("# ").split()[0]
    content = YAML(typ="safe").load(text)
    if file.startswith("competitions/"):
        (tmp_path / "competitions").mkdir()
        (tmp_path / file).write_text(text)
        assert config.load_competition(Path(file).stem, str(tmp_path / "params.yaml")).title
        return
    assert file == "params.yaml", f"a YAML block must open with the name of its file, not {first!r}"
    content.pop("competition", None)
    assert load_params(tmp_path, monkeypatch, content)


def load_params(tmp_path, monkeypatch, changes):
    """Return the shipped params with the changes, by dotted or whole key, as podium reads them."""
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = params
        for parent in parents:
            place = place[parent]
        assert parents == [] or last in place, f"{key} is no param"
        if isinstance(value, dict) and isinstance(place.get(last), dict):
            place[last].update(value)
        else:
            place[last] = value
    with (tmp_path / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    monkeypatch.chdir(ROOT)
    return config.load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", [block for block in blocks("python") if "class Head" in block.values[0]])
def test_the_head_of_the_docs_works(text):
    """As it stands there, it tells three classes apart."""
    space = {"__name__": "made_up"}
    exec(compile(text, "head.py", "exec"), space)  # the page's own code
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = (np.eye(3)[y] * 3 + rng.normal(size=(90, 3))).astype(np.float32)
    data = Training(x=x, y=y, task="multiclass", n_outputs=3, group=np.arange(90), weight=np.ones(90), seed=0)
    p = space["Head"](temperature=2.0).fit(data).predict(x)
    assert p.shape == (90, 3)
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (p.argmax(axis=1) == y).mean() > 0.9


@pytest.mark.parametrize("text", [block for block in blocks("python") if "@metric" in block.values[0]])
def test_the_metric_of_the_docs_works(text, tmp_path, monkeypatch):
    """As it stands there, under the name that a competition gives it."""
    from podium import metrics

    (tmp_path / "my_metrics.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    found = metrics.find("my_metrics:worst_decile", "here")
    y, p = np.array([1] * 9 + [0]), np.full((10, 1), 0.9)
    assert found(y, p) == pytest.approx(-np.log(0.1))


def test_the_reference_is_current():
    """Else: podium reference > docs/params.md."""
    assert (ROOT / "docs/params.md").read_text(encoding="utf-8") == reference.text() + "\n"


def test_links_lead_somewhere():
    """To files of the repository that git holds."""
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve().relative_to(ROOT)
            assert any(file == str(target) or file.startswith(f"{target}/") for file in kept), f"{page.name}: {link}"


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    """Strictly: a page that the menu lacks, or a dead link, is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.glob("*.html"))
    assert {page.stem for page in pages} == {page.stem for page in PAGES if page.parent.name == "docs"} | {"404"}
    for page in pages:
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(http[^"]+)', page.read_text(encoding="utf-8"))
        loaded += re.findall(r'<link rel="stylesheet" href="(http[^"]+)', page.read_text(encoding="utf-8"))
        assert loaded == [], page.name
