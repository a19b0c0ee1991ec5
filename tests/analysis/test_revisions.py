"""Which results of dvc.lock count: those of stages that dvc.yaml and params.yaml name."""

import copy
from pathlib import Path

import pytest

from podium.analysis import revisions
from podium.errors import PodiumError

PARAMS, TOY = Path("params.yaml"), Path("competitions/toy.yaml")
PIPELINE = {
    "stages": {"fold": {}, "fit": {"foreach": "${members}"}, "import_features": {"foreach": "${imports.features}"}}
}
CHOICES = {
    PARAMS: {"competition": "toy", "seed": 1, "members": {"a": {"C": 0.1}}, "imports": {"features": {"clip": "x.csv"}}},
    TOY: {"task": {"kind": "binary"}},
}


def locked(seed=1, member=0.1, task="binary", file=TOY, competition="toy"):
    params = {"competition": competition, "seed": seed, "members.a": {"C": member}}
    return {"params": {"params.yaml": params, str(file): {"task": {"kind": task}}}}


def check(stages):
    revisions._require_fresh(CHOICES, {"stages": stages}, revisions._present(PIPELINE, CHOICES[PARAMS]))


def test_present_stages_are_those_of_the_files():
    """An item of a section, by its key; sections may lie in sections, be empty, or lack."""
    present = revisions._present(PIPELINE, CHOICES[PARAMS])
    assert present == {"fold", "fit@a", "import_features@clip"}
    assert revisions._present(PIPELINE, {"members": None}) == {"fold"}


def test_stages_that_are_gone_do_not_count():
    """dvc.lock keeps those of removed items, of renamed stages, and of another competition's members."""
    gone = locked(seed=7, member=9, task="multiclass")
    other = locked(seed=7, file=Path("competitions/other.yaml"), competition="other")
    check(
        {"fold": locked(), "fit@a": locked(), "fit@b": gone, "import_features@old": gone, "mix": gone, "fit@c": other}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "params.yaml: seed: the results were made with another value"),
        ({"member": 0.2}, "params.yaml: members.a: the results were made with another value"),
        ({"task": "multiclass"}, "competitions/toy.yaml: task: the results were made with another value"),
        ({"competition": "other"}, "params.yaml: competition: the results were made with another value"),
    ],
)
@pytest.mark.parametrize("stage", ["fold", "fit@a"])
def test_present_stages_do(change, message, stage):
    """Whatever of it is not what the files say now."""
    with pytest.raises(PodiumError, match=message):
        check({"fold": locked(), "fit@a": locked()} | {stage: locked(**change)})


def test_a_key_that_is_gone_is_another_value(monkeypatch):
    """Of a stage that is there."""
    choices = copy.deepcopy(CHOICES)
    del choices[PARAMS]["seed"]
    monkeypatch.setitem(CHOICES, PARAMS, choices[PARAMS])
    with pytest.raises(PodiumError, match="seed"):
        check({"fold": locked()})
