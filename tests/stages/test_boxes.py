"""Boxes from raw photographs to the report, stage by stage."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import config, paths
from podium.cli import main
from podium.contracts import models
from podium.contracts.boxes import Boxes
from podium.contracts.dataset import Dataset
from podium.errors import PodiumError
from podium.fitting.scoring import Scoring, Submission
from podium.serving.ensemble import of_networks
from podium.stages import (
    augment,
    bank,
    download,
    ensemble,
    finetune,
    fold,
    import_predictions,
    prepare,
    report,
    score,
    submit,
)

pytestmark = [pytest.mark.keras, pytest.mark.slow]  # 50 s of CPU: three networks
COMPETITION = """\
title: Squares
source: {kind: folder, path: raw}
layout: {kind: photographs, images: [a.png], test: [b.png], block: 64, tile: 64, overlap: 24}
task:
  kind: boxes
  classes: [square]
  annotations: {format: csv, source: all.csv, image: photograph, row: photograph}
  min_visible: 0.5
metric: f1@0.5
metrics: [ap@0.5]
holdout: null
submission: {columns: [photograph, PredictionString]}
"""
PARAMS = """\
competition: squares
seed: 1
limit: null
folds: {scheme: plain, k: 2, repeats: 1, file: null}
views: {train: [identity], test: [identity, hflip]}
backbones: {}
members: {}
fusions: {}
imports: {predictions: {theirs: theirs.csv}, features: {}}
finetunes:
  finder:
    network: efficientnet_lite0
    layers: [block2, block3]
    resize: {px: 64, mode: pad}
    augment: [hflip]
    head_epochs: 16
    head_learning_rate: 0.003
    epochs: 16
    batch: 2
    refit: full
    boxes: {width: 16, depth: 1, candidates: 40}
ensemble: {method: auto}
submission: {clip: null}
"""


def photograph(path, shape, seed):
    """Write a photograph of dark squares, and return their boxes."""
    rng = np.random.default_rng(seed)
    picture, boxes = rng.integers(100, 150, (*shape, 3)).astype(np.uint8), []
    for y in range(0, shape[0] - 31, 32):
        for x in range(0, shape[1] - 31, 32):
            side = int(rng.integers(12, 20))
            left, top = x + int(rng.integers(4, 10)), y + int(rng.integers(4, 10))
            picture[top : top + side, left : left + side] = rng.integers(0, 50, 3)
            boxes.append((left, top, left + side, top + side))
    cv2.imwrite(str(path), picture)
    return boxes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder in which all stages have run, and its config."""
    here = tmp_path_factory.mktemp("squares")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PODIUM_CACHE", str(here / "cache"))
        for folder in ("competitions", "raw"):
            (here / folder).mkdir()
        (here / "competitions/squares.yaml").write_text(COMPETITION)
        (here / "params.yaml").write_text(PARAMS)
        lines = [("a", *box) for box in photograph(here / "raw/a.png", (192, 256), 0)]
        lines += [("b", *box) for box in photograph(here / "raw/b.png", (96, 128), 1)]
        pd.DataFrame(lines, columns=["photograph", "x1", "y1", "x2", "y2"]).to_csv(here / "raw/all.csv", index=False)
        loaded = config.load()
        for stage in (download, prepare, fold, augment):
            stage.run(loaded)
        rows = pd.read_parquet(paths.data("squares", "rows.parquet"))
        theirs = rows[["row_id"]].assign(x1=1, y1=1, x2=9, y2=9, score=0.05, label="square")
        theirs.to_csv("theirs.csv", index=False)
        import_predictions.run(loaded, "theirs")
        finetune.run(loaded, "finder")
        for stage in (bank, ensemble, submit, score, report):
            stage.run(loaded)
        yield here, loaded


def test_blocks_train_and_a_whole_photograph_is_predicted(finished):
    """Its tiles' boxes are in its own pixels, each object once."""
    here, loaded = finished
    p = Boxes.read(here / "ensembles/squares")
    assert p.split.tolist().count("test") == 1
    data = config.load().competition.task
    ids, y = data.read_solution(here / "data/squares/solution")
    assert ids == ["b"]
    assert len(y[0]) == 12
    found = p.by_id(ids, "here")
    assert found.xyxy[:, 2].max() > 100  # right of the first tile
    scoring = Scoring(loaded.competition.task, config.all_metrics(loaded), Submission())
    assert scoring.scores(y, found)["f1@0.5"] > 0.8
    held_out = json.loads((here / "metrics/heldout.json").read_text())
    assert held_out["f1@0.5"] > 0.8


def test_out_of_fold_agrees_with_what_was_hidden(finished):
    """One network a row: the cut that is learnt on out-of-fold boxes fits the boxes of the network of all rows."""
    here, _ = finished
    scores = json.loads((here / "metrics/ensemble.json").read_text())
    held_out = json.loads((here / "metrics/heldout.json").read_text())
    error = 2 * scores["standard_error"]["f1@0.5"] + 0.1  # twelve objects are few
    assert abs(scores["cross_fitted"]["f1@0.5"] - held_out["f1@0.5"]) < error
    assert models.that_predict(here / "models/squares/finder") == ["full"]


def test_a_new_photograph_gets_the_very_boxes_of_the_networks_test_row(finished, tmp_path, monkeypatch):
    """In the layout's tiles, as a test row is seen; the imported member cannot follow."""
    here, loaded = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    out = tmp_path / "p.csv"
    assert main(["predict", "raw/b.png", "--rows", "{path.stem}", "--out", str(out)]) == 0
    model, _ = of_networks(loaded)
    task, test = loaded.competition.task, Boxes.read(here / "predictions/squares/finder").of_split("test")
    data = Dataset(paths.dataset("squares"))
    expected = task.submission(model.combine(task, [test]), data, ["PredictionString"])
    found = pd.read_csv(out, dtype=str)
    assert found["photograph"].tolist() == ["b"]
    assert found["PredictionString"].tolist() == expected["PredictionString"].tolist()
    assert len(found["PredictionString"][0].split()) >= 12 * 5


def test_another_fusion_trains_nothing(finished, monkeypatch, capsys):
    """Its settings are the ensemble's."""
    here, _ = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    (here / "other.yaml").write_text(PARAMS.replace("method: auto", "method: boxes, methods: [nms], iou: [0.3]"))
    finetune.run(config.load(here / "other.yaml"), "finder")
    assert "0 of 3 networks trained, 0 rows computed" in capsys.readouterr().out


def test_what_cannot_fuse_boxes_is_refused(finished, monkeypatch):
    """By name, before any work."""
    here, _ = finished
    monkeypatch.chdir(here)
    for text, reason in (
        (PARAMS.replace("method: auto", "method: mean"), "ensemble.method: mean cannot fuse boxes; take boxes"),
        (PARAMS.replace("repeats: 1", "repeats: 2"), "folds.repeats: must be 1"),
    ):
        (here / "wrong.yaml").write_text(text)
        with pytest.raises(PodiumError, match=reason):
            config.load(here / "wrong.yaml")


def test_the_report_shows_boxes(finished):
    """Its page is there, with the curve."""
    here, _ = finished
    assert "Right boxes and false alarms by score" in (here / "reports/squares/report.html").read_text()
    assert len(pd.read_csv(here / "reports/squares/precision_recall.csv"))
