"""scan: what DVC cannot name as a dependency, as digests."""

import json

import pytest

from podium import paths
from podium.errors import PodiumError
from podium.stages import scan

COMPETITION = "source: {kind: folder, path: incoming}\nmetric: %s\nmetrics: [accuracy]\n"
PARAMS = "competition: toy\nmembers: {a: {}}\nfolds: {k: 5, file: %s}\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "competitions").mkdir()
    (tmp_path / "incoming").mkdir()
    (tmp_path / "competitions/toy.yaml").write_text(COMPETITION % "log_loss")
    (tmp_path / "params.yaml").write_text(PARAMS % "null")
    return tmp_path


def scanned():
    scan.run()
    return {what: json.loads(paths.scan("toy", what).read_text()) for what in ("source", "metrics", "folds")}


def test_a_source_whose_files_never_change_is_a_constant(repository):
    """So nothing downstream of it is ever stale."""
    source = f"source: {{kind: pypi, package: elpv-dataset, version: '1.0', sha256: '{'0' * 64}'}}\n"
    (repository / "competitions/toy.yaml").write_text(source + "metric: log_loss\nmetrics: []\n")
    assert scanned() == {"source": None, "metrics": {}, "folds": None}


@pytest.mark.parametrize("file", ["mine.py", "mine/__init__.py", "mine/deep/inner.py"])
def test_a_metrics_code_is_its_module_or_its_whole_package(repository, file):
    """Whatever is edited in it shows."""
    (repository / file).parent.mkdir(parents=True, exist_ok=True)
    if file != "mine.py":
        (repository / "mine/__init__.py").touch()
    (repository / file).write_text("x = 1\n")
    name = "mine.deep.inner:f" if "deep" in file else "mine:f"
    (repository / "competitions/toy.yaml").write_text(COMPETITION % name)
    before = scanned()["metrics"]
    assert list(before) == [name.partition(":")[0]]
    assert scanned()["metrics"] == before
    (repository / file).write_text("x = 2\n")
    assert scanned()["metrics"] != before


def test_a_folds_file_shows_by_its_content(repository):
    """A missing one is said before anything runs."""
    (repository / "params.yaml").write_text(PARAMS % "mine.csv")
    with pytest.raises(PodiumError, match=r"params\.yaml: folds\.file: there is no mine\.csv"):
        scan.run()
    (repository / "mine.csv").write_text("row_id,fold\na,0\n")
    before = scanned()
    (repository / "mine.csv").write_text("row_id,fold\na,1\n")
    assert scanned() == before | {"folds": scanned()["folds"]}
    assert scanned()["folds"] != before["folds"]


def test_a_queued_experiment_finds_a_folds_file_that_git_does_not_hold(repository, monkeypatch):
    """It runs in a folder of its own; DVC says where the repository is."""
    (repository / "params.yaml").write_text(PARAMS % "mine.csv")
    (repository / "elsewhere").mkdir()
    (repository / "elsewhere/mine.csv").write_text("row_id,fold\na,0\n")
    monkeypatch.setenv("DVC_ROOT", str(repository / "elsewhere"))
    (repository / "elsewhere/incoming").mkdir()
    assert scanned()["folds"] is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("toy", "../toy", r"params\.yaml: competition: '\.\./toy' must match"),
        ("toy", "[1]", r"params\.yaml: competition: \[1\] must match"),
        ("competition: toy", "seed: 1", r"params\.yaml: competition: this key is required"),
        ("a: {}", "../a: {}", r"params\.yaml: members: the name '\.\./a' must match"),
        ("{a: {}}", "[a]", r"params\.yaml: members: must be a mapping of names to settings, not \['a'\]"),
    ],
)
def test_a_name_that_is_no_name_is_refused_before_any_path_is_made(repository, old, new, message):
    """Every other stage comes after this one."""
    (repository / "params.yaml").write_text((PARAMS % "null").replace(old, new))
    with pytest.raises(PodiumError, match=message):
        scan.run()
    assert not (repository / "data").exists()
