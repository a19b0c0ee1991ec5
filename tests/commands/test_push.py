"""A rehearsed bundle to Kaggle, by Kaggle's own client against a local server."""

import io
import json
import zipfile
from types import SimpleNamespace

import pytest

from podium import paths
from podium.commands import push
from podium.contracts import leaderboard
from podium.contracts.predictions import digest_of_folder
from podium.errors import PodiumError
from podium.sources.folder import Source as Folder
from podium.sources.kaggle import Source

pytestmark = pytest.mark.slow


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The configuration of a competition, with a bundle that passed its rehearsal."""
    monkeypatch.chdir(tmp_path)
    bundle = tmp_path / "bundles/toy"
    for folder in ("dataset/model", "dataset/wheels", "kernel"):
        (bundle / folder).mkdir(parents=True)
    (tmp_path / "params.yaml").write_text("competition: toy\n")
    (bundle / "dataset/model/manifest.json").write_text("{}")
    (bundle / "dataset/wheels/numpy.whl").write_bytes(b"wheel")
    dataset = {"title": "podium-toy", "id": "somebody/podium-toy", "licenses": [{"name": "other"}]}
    (bundle / "dataset/dataset-metadata.json").write_text(json.dumps(dataset))
    kernel = {
        "id": "somebody/podium-toy-submit",
        "title": "podium-toy-submit",
        "code_file": "submit.py",
        "language": "python",
        "kernel_type": "script",
        "enable_internet": False,
        "dataset_sources": ["somebody/podium-toy"],
        "competition_sources": ["toy"],
    }
    (bundle / "kernel/kernel-metadata.json").write_text(json.dumps(kernel))
    (bundle / "kernel/submit.py").write_text("print('hello')\n")
    rehearse(bundle)
    return SimpleNamespace(
        params=SimpleNamespace(competition="toy"),
        competition=SimpleNamespace(source=Source(competition="toy"), metric="log_loss"),
    )


def rehearse(bundle, *, passed=True):
    facts = {part: digest_of_folder(bundle / part) for part in ("dataset", "kernel")} | {"passed": passed}
    (bundle / "rehearsal.json").write_text(json.dumps(facts))


@pytest.fixture
def scoring(kaggle, monkeypatch):
    """Let the server score a submission while its client sleeps."""

    def sleep(_seconds):
        for submission in kaggle.submissions:
            submission.update(status="COMPLETE", publicScore="0.33")

    monkeypatch.setattr("time.sleep", sleep)
    return kaggle


def test_a_push_ends_with_its_score_in_the_ledger(toy, scoring, capsys):
    """The folders arrive as archives, the kernel with its internet off, and its very version is submitted."""
    push.run(toy, None)
    with zipfile.ZipFile(io.BytesIO(scoring.blobs["model.zip"])) as archive:
        assert archive.namelist() == ["manifest.json"]
    with zipfile.ZipFile(io.BytesIO(scoring.blobs["wheels.zip"])) as archive:
        assert archive.read("numpy.whl") == b"wheel"
    assert scoring.dataset["slug"] == "podium-toy"
    assert sorted(file["token"] for file in scoring.dataset["files"]) == ["model.zip", "wheels.zip"]
    (kernel,) = scoring.kernels
    assert kernel.get("enableInternet") is False
    assert kernel["datasetDataSources"] == ["somebody/podium-toy"]
    assert kernel["text"] == "print('hello')\n"
    body = next(body for path, body in scoring.requests if path.endswith("CreateCodeSubmission"))
    assert (body["kernelOwner"], body["kernelSlug"], body["kernelVersion"]) == ("somebody", "podium-toy-submit", 1)
    (line,) = leaderboard.read(paths.LEADERBOARD).to_dict("records")
    assert line["public"] == "0.33"
    assert "public 0.33" in capsys.readouterr().out


def test_a_second_push_is_a_version(toy, scoring):
    """Of the same dataset and the same kernel."""
    push.run(toy, None)
    push.run(toy, None)
    assert scoring.dataset["datasetSlug"] == "podium-toy"
    assert "params" in scoring.dataset["body"]["versionNotes"]
    assert len(scoring.kernels) == 2


def test_a_kernel_that_fails_there_is_not_submitted(toy, scoring):
    """With Kaggle's reason."""
    scoring.kernel_status = "ERROR"
    with pytest.raises(
        PodiumError, match=r"the kernel somebody/podium-toy-submit failed at Kaggle: error \(out of memory"
    ):
        push.run(toy, None)
    assert scoring.submissions == []


def unrehearsed(bundle):
    (bundle / "rehearsal.json").unlink()


def failed(bundle):
    rehearse(bundle, passed=False)


def changed(bundle):
    (bundle / "kernel/submit.py").write_text("print('other')\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unrehearsed, "rehearsal.json: there is no such file; run `podium bundle` first"),
        (failed, "the rehearsal did not pass"),
        (changed, "kernel: not what was rehearsed"),
    ],
)
def test_only_what_passed_its_rehearsal_is_pushed(toy, kaggle, tmp_path, spoil, message):
    """Nothing is sent otherwise."""
    spoil(tmp_path / "bundles/toy")
    with pytest.raises(PodiumError, match=message):
        push.run(toy, None)
    assert kaggle.requests == []


def test_a_competition_of_ones_own_takes_no_kernel(toy):
    """It has no leaderboard."""
    toy.competition.source = Folder(path="incoming")
    with pytest.raises(PodiumError, match="only a competition of Kaggle takes a kernel"):
        push.run(toy, None)
