"""`podium leaks` on a small competition: what it reads, prints and writes."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import config, paths
from podium.commands import leaks
from podium.contracts import features
from podium.contracts.scores import Scores
from podium.stages import fold, prepare

COMPETITION = """\
title: Toy
source: {kind: folder, path: incoming}
layout: {kind: table, table: labels.csv, image: "{id}.png"}
task: {kind: binary, target: label}
metric: log_loss
metrics: []
holdout: {fraction: 0.25, stratify: [label], seed: 1}
submission: {columns: [id, label]}
"""

PARAMS = """\
competition: toy
seed: 1
limit: null
folds: {scheme: stratified, k: 4}
views: {train: [identity], test: [identity]}
backbones: {b: {network: color_histogram}}
members: {m: {backbone: b, head: logistic}}
fusions: {}
finetunes: {}
imports: {predictions: {}, features: {}}
ensemble: {method: mean}
submission: {clip: null}
"""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """200 pictures of noise, prepared and dealt; `change(raw)` may plant something first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "competitions").mkdir()
    (tmp_path / "competitions/toy.yaml").write_text(COMPETITION)
    (tmp_path / "params.yaml").write_text(PARAMS)
    raw = paths.raw("toy")
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    for n in range(200):
        cv2.imwrite(str(raw / f"{n:03d}.png"), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    (raw / "labels.csv").write_text("id,label\n" + "".join(f"{n:03d},{label}\n" for n, label in enumerate(y)))

    def run(change=None):
        if change:
            change(raw, y)
        loaded = config.load()
        prepare.run(loaded)
        fold.run(loaded)
        leaks.run(loaded)
        return json.loads(paths.report("toy", "leaks.json").read_text())

    return run


def test_clean_data_is_called_clean(prepared, capsys):
    """Nothing found, and a line per out-of-fold prediction."""
    assert prepared() == []
    assert "no leak found; 150 out-of-fold predictions" in capsys.readouterr().out
    seen = pd.read_csv(paths.report("toy", "seen.csv"))
    assert len(seen) == 150
    assert seen["n_seen"].between(110, 115).all()
    assert seen["leaked"].isna().all()


def test_what_is_planted_is_told(prepared, capsys):
    """Files whose length tells the label, and features and predictions that tell train from test."""

    def longer(raw, y):
        for n in np.flatnonzero(y):
            with (raw / f"{n:03d}.png").open("ab") as file:
                file.write(b"\0" * 500)

    prepared(longer)
    images = pd.read_parquet(paths.data("toy", "images.parquet"))
    is_test = (images["split"] == "test").to_numpy()
    x = np.random.default_rng(1).normal(size=(200, 8)) + 3 * is_test[:, None]
    index = images[["image_id"]].assign(view="identity")
    features.write(paths.features("toy", "b"), index, x, n_columns=8, dtype="float32", attributes={})
    p = np.where(is_test, 0.5, 0.99) + np.random.default_rng(1).uniform(-0.01, 0.01, 200)
    table = images[["row_id", "split"]].assign(p_0=p)
    Scores.of_table(table, ["0", "1"]).write(paths.predictions("toy", "m"))
    leaks.run(config.load())
    told = capsys.readouterr().out
    assert "alarm: file size gives the target away: AUC 1.000" in told
    assert "alarm: b: train and test can be told apart" in told
    assert "alarm: m: surer of train rows" in told
    assert "3 alarms" in told


def test_copies_are_kept_together_by_default(prepared):
    """Two files of the same bytes share a fold, so that there is nothing to alarm."""

    def copied(raw, y):
        same = np.flatnonzero(y == y[0])
        for n in same[1:4]:
            (raw / f"{n:03d}.png").write_bytes((raw / "000.png").read_bytes())

    assert {finding["level"] for finding in prepared(copied)} <= {"note"}


def test_heads_on_trained_networks_are_noted(prepared, capsys):
    """What stands behind their training rows has seen the rows that they predict."""
    assert prepared() == []
    params = paths.PARAMS.read_text()
    spec = "finetunes: {tuned: {network: lenet}}"
    members = "members: {on_tuned: {backbone: tuned, head: logistic}, "
    paths.PARAMS.write_text(params.replace("finetunes: {}", spec).replace("members: {", members))
    leaks.run(config.load())
    told = capsys.readouterr().out
    assert "note: on_tuned: tuned saw none of the rows it describes" in told
    assert "no leak found" in told
