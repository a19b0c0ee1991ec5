"""`podium check-params --data`: what would fail in the middle of a run is said before anything is computed."""

import cv2
import numpy as np
import pytest

from podium import config, paths
from podium.commands import check_params
from podium.errors import PodiumError
from podium.stages import prepare

COMPETITION = """\
title: Toy
source: {{kind: folder, path: files}}
layout: {{kind: table, table: train.csv, image: "{image}", metadata: [age]}}
task: {task}
metric: {metric}
metrics: []
holdout: {{fraction: 0.25, stratify: [], seed: 0}}
submission: {{columns: [{columns}]}}
"""
PARAMS = """\
competition: toy
seed: 1
limit: null
folds: {{scheme: {scheme}, k: 4, repeats: 1, file: null}}
views: {{train: [identity], test: [identity]}}
backbones: {{colour: {{network: color_histogram}}}}
members: {{one: {{backbone: colour, {head}}}}}
fusions: {{}}
finetunes: {finetunes}
imports: {{predictions: {{}}, features: {{}}}}
ensemble: {{method: mean}}
submission: {{clip: null}}
"""
N = 40
DEFAULT = {
    "image": "{id}.png",
    "task": "{kind: multiclass, target: kind}",
    "metric": "log_loss",
    "columns": "id, cat, dog, owl",
    "scheme": "stratified",
    "head": "head: logistic",
    "finetunes": "{}",
}


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """Return the function of settings that checks params and data; the owl is one row, and values go below -1."""
    monkeypatch.chdir(tmp_path)
    raw = paths.raw("toy")
    raw.mkdir(parents=True)
    for n in range(N):
        cv2.imwrite(str(raw / f"{n}.png"), np.full((4, 4, 3), n, np.uint8))
    kinds = ["cat", "dog"] * 19 + ["cat", "owl"]
    lines = [f"{n},{n % 7},{kind},{n - 3}" for n, kind in enumerate(kinds)]
    (raw / "train.csv").write_text("\n".join(["id,age,kind,value", *lines]) + "\n")

    def check(**settings):
        values = DEFAULT | settings
        paths.competition("toy").parent.mkdir(exist_ok=True)
        paths.competition("toy").write_text(COMPETITION.format(**values))
        paths.PARAMS.write_text(PARAMS.format(**values))
        check_params.run(config.load(), data=True)
        return capsys.readouterr().out

    return check


def no_image_is_opened(monkeypatch):
    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(prepare, "open_images", fail)


def test_the_data_in_two_lines(checked, monkeypatch):
    """Rows, images and classes, without opening an image; what is scored nowhere is said."""
    no_image_is_opened(monkeypatch)
    out = checked()
    assert "data/toy: 30 rows to train on, 10 to predict, 40 images, 3 labels" in out
    assert "rows of 'cat' to 1 of 'owl'" in out or "rows of 'dog' to 1 of 'owl'" in out
    assert "trained on in every fold and scored in none: 'owl'" in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": "id, cat, dog"}, r"competitions/toy\.yaml: submission: .*not the labels.*'owl'"),
        ({"image": "{nr}.png"}, r"train\.csv: layout\.image: there is no column 'nr'; it has: id, age, kind, value"),
        (
            {"image": "a{id}.png"},
            r"competitions/toy\.yaml: layout\.image: 'a\{id\}\.png': 40 of 40 images are not there",
        ),
        ({"task": "{kind: multiclass, target: species}"}, r"competitions/toy\.yaml: .*'species'"),
        (
            {
                "task": "{kind: regression, target: value}",
                "metric": "rmsle",
                "columns": "id, value",
                "scheme": "binned",
                "head": "head: ridge",
            },
            r"competitions/toy\.yaml: metric: rmsle: .*above -1",
        ),
        ({"scheme": "group"}, r"folds\.scheme: group needs a group"),
        (
            {"finetunes": "{net: {network: lenet, resize: {px: 32}, epochs: 1, batch: 64}}"},
            r"params\.yaml: finetunes\.net\.batch: 64 is more than the 2\d rows of a fold",
        ),
    ],
)
def test_what_would_fail_later_fails_now(checked, settings, message, monkeypatch):
    """One line names file and key."""
    no_image_is_opened(monkeypatch)
    with pytest.raises(PodiumError, match=message):
        checked(**settings)


def test_data_that_are_not_here_yet(tmp_path, checked, capsys):
    """It is said, and no error: the download comes later."""
    paths.raw("toy").rename(tmp_path / "elsewhere")
    assert "the data are not here yet" in checked()
