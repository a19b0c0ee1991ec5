"""What DVC cannot name as a dependency, and names that it must not give to a shell: seen by running DVC."""

import json

import pytest

METRIC = """\
from podium.metrics import metric


@metric(direction="lower", takes="probs", tasks=("binary",))
def gap(y, p, weight):
    return float(abs(p[:, 0] - y).mean())
"""


def stale(workspace):
    """Return the stages that would run, but the one that always does, once it has run."""
    done = workspace.call("dvc", "repro", "-s", "scan")
    assert done.returncode == 0, done.stdout
    return set(json.loads(workspace.call("dvc", "status", "--json").stdout.splitlines()[-1])) - {"scan"}


def test_a_metrics_code_and_a_folds_file_are_dependencies(workspace):
    """Neither is named in dvc.yaml; an edit of either makes stale what reads it, and nothing else."""
    (workspace.path / "gaps.py").write_text(METRIC)
    (workspace.path / "folds.csv").write_text("row_id,fold\n")
    competition = workspace.path / "competitions/toy.yaml"
    competition.write_text(competition.read_text().replace("metrics: [accuracy]", 'metrics: ["gaps:gap"]'))
    workspace.edit(lambda params: params["folds"].update(file="folds.csv"))
    assert stale(workspace) == {"fold", "ensemble", "score", "report"}
    assert workspace.call("dvc", "commit", "--force").returncode == 0
    assert stale(workspace) == set()
    (workspace.path / "gaps.py").write_text(METRIC.replace("mean", "max"))
    assert stale(workspace) == {"ensemble", "score", "report"}
    (workspace.path / "gaps.py").write_text(METRIC)
    (workspace.path / "folds.csv").write_text("row_id,fold\n000,0\n")
    assert stale(workspace) == {"fold"}


@pytest.mark.parametrize(("section", "stage"), [("members", "fit"), ("fusions", "gather")])
def test_a_hostile_name_reaches_no_shell(workspace, section, stage):
    """DVC fills in dvc.yaml before podium starts: neither a bare `dvc repro` nor one stage of it runs the name."""
    name, item = "x; touch F #", {"backbone": "colour", "backbones": ["colour"], "head": "logistic"}
    workspace.edit(lambda params: params[section].update({name: item}))
    for words in ([], ["--single-item", stage]):
        done = workspace.call("dvc", "repro", *words)
        assert done.returncode == 255, done.stdout
        assert f"podium: params.yaml: {section}: the name 'x; touch F #' must match" in done.stdout
    assert not (workspace.path / "F").exists()
