"""`podium bundle`: a Kaggle dataset and kernel, and their rehearsal without a network."""

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from podium.cli import main
from podium.errors import PodiumError
from podium.serving import bundle as bundles
from podium.serving import export

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("serving")]  # one worker makes the competition once


@pytest.fixture
def bundle(at_home, exported, tmp_path, installed, monkeypatch):
    """Return the function that runs the command; the export is made once, no wheel is downloaded or installed."""
    monkeypatch.setattr(export, "write", lambda _ensemble, folder: shutil.copytree(exported, folder))
    monkeypatch.setattr(bundles, "_collect", lambda _requirements, folder, _given: folder.mkdir())
    rehearse = bundles.rehearse
    monkeypatch.setattr(
        bundles, "rehearse", lambda config, target, stage, *rest: rehearse(config, target, stage, installed, *rest[1:])
    )
    return lambda *words: main(["bundle", str(tmp_path / "bundle"), "--user", "somebody", *words])


def test_the_rehearsal_is_podiums_own_submission(bundle, tmp_path, capsys):
    """More rows than the public test set, two unreadable ones, no network; refused only where it takes too long."""
    assert bundle("--hidden", "100000", "--hours", "0.001") == 2
    said = capsys.readouterr()
    assert "100,000 hidden rows take" in said.err.splitlines()[-1]
    facts = json.loads((tmp_path / "bundle/rehearsal.json").read_text())
    assert facts["rows"] == 12 + 6 + 2
    assert facts["difference"] <= 1e-6
    assert facts["difference_float32"] <= 1e-6  # this competition's networks are float32 anyway
    heldout = json.loads(Path("metrics/heldout.json").read_text())["log_loss"]
    for key in ("score", "score_float32"):
        assert facts[key]["score"] == pytest.approx(heldout, abs=1e-5)
        assert 0 < facts[key]["standard_error"] < 1
    assert f"the score by {abs(facts['score']['score'] - facts['score_float32']['score']):.1e}, 0.0" in said.out
    assert facts["peak_mb"] > 50
    about = json.loads((tmp_path / "bundle/kernel/kernel-metadata.json").read_text())
    assert about["enable_internet"] is False
    assert about["dataset_sources"] == [
        json.loads((tmp_path / "bundle/dataset/dataset-metadata.json").read_text())["id"]
    ]
    assert (tmp_path / "bundle/kernel" / about["code_file"]).exists()


def test_a_kernel_that_fails_is_not_for_pushing(bundle, tmp_path, capsys, monkeypatch):
    """Its last words are told."""
    monkeypatch.setattr(bundles, "images_folder", lambda _config: "elsewhere")
    monkeypatch.setattr(bundles.export, "write", lambda _ensemble, folder: (folder / "nothing").mkdir(parents=True))
    assert bundle() == 2
    assert "the rehearsal failed, and so would the kernel" in capsys.readouterr().err


def test_pins_take_the_place_of_what_the_bundle_brings(tmp_path):
    """Of the packages that they name; the others stay. What cannot be had is told in one line."""
    for version in ("1.0", "2.0"):
        with zipfile.ZipFile(tmp_path / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny/__init__.py", f"version = {version}\n")
            about = f"tiny-{version}.dist-info"
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    (tmp_path / "installed/tiny").mkdir(parents=True)
    (tmp_path / "installed/tiny/__init__.py").write_text("version = 2.0\n")
    (tmp_path / "installed/other.py").write_text("")
    (tmp_path / "pins.txt").write_text("tiny==1.0\n")
    folder = bundles.pinned(tmp_path / "installed", tmp_path / "pins.txt", tmp_path / "image", tmp_path)
    assert (folder / "tiny/__init__.py").read_text() == "version = 1.0\n"
    assert (folder / "other.py").exists()
    assert (tmp_path / "installed/tiny/__init__.py").read_text() == "version = 2.0\n"
    (tmp_path / "pins.txt").write_text("tiny==3.0\n")
    with pytest.raises(PodiumError, match=r"pins.txt: these packages cannot be had: .*tiny==3.0"):
        bundles.pinned(tmp_path / "installed", tmp_path / "pins.txt", tmp_path / "image2", tmp_path)


def test_differences_are_of_numbers_or_of_labels(tmp_path):
    """By line; other ids are no submission of the same rows at all."""
    for name, table in {
        "a": {"id": ["1", "2"], "x": [0.1, 0.2], "y": ["no", "yes"]},
        "b": {"id": ["1", "2"], "x": [0.1, 0.25], "y": ["no", "yes"]},
        "c": {"id": ["1", "3"], "x": [0.1, 0.2], "y": ["no", "no"]},
        "d": {"id": ["1", "2"], "x": [0.1, 0.2], "y": ["no", "no"]},
    }.items():
        pd.DataFrame(table).to_csv(tmp_path / name, index=False)
    found = {name: bundles.difference(tmp_path / "a", tmp_path / name, ["x", "y"]) for name in "abcd"}
    assert found == {"a": 0, "b": pytest.approx(0.05), "c": float("inf"), "d": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bundle"], "--user: say whose Kaggle dataset and kernel it will be"),
        (["bundle", "incoming", "--user", "me"], "incoming: it is there, and no bundle"),
        (["bundle", "--user", "me", "--pins", "nowhere"], "--pins: there is no file nowhere"),
        (["bundle", "--user", "me", "--wheels", "nowhere"], "--wheels: there is no folder nowhere"),
    ],
)
def test_mistakes_are_told_before_any_work(at_home, monkeypatch, capsys, words, message):
    """In one line, with exit code 2."""
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_rows_with_other_names_than_their_files_are_refused(at_home, monkeypatch):
    """A kernel has nothing but names to find a hidden row's picture by."""
    table = bundles.IMAGES.read(Path("data/toy/images.parquet"))
    monkeypatch.setattr(type(bundles.IMAGES), "read", lambda _self, _path: table.assign(row_id="r" + table["row_id"]))
    with pytest.raises(PodiumError, match="finds test images by name, and these rows have others: 'r"):
        bundles.check(at_home.config)
