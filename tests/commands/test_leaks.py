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
students: {}
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


def test_heads_on_imported_features_are_noted(prepared, capsys):
    """Nobody here knows what the network behind them was trained on."""
    assert prepared() == []
    params = paths.PARAMS.read_text()
    imports = "imports: {predictions: {}, features: {theirs: theirs.csv}}"
    members = "members: {on_theirs: {backbone: theirs, head: logistic}, "
    params = params.replace("imports: {predictions: {}, features: {}}", imports).replace("members: {", members)
    paths.PARAMS.write_text(params)
    leaks.run(config.load())
    told = capsys.readouterr().out
    assert "note: on_theirs: theirs was made elsewhere: if its network was trained on rows of this competition" in told
    assert "no leak found" in told


def test_as_many_bits_as_folds_join_are_copies(prepared, capsys):
    """`folds.near_duplicates` says what a copy is, also where it is 0: only pictures that look the same."""

    def alike(raw, y):
        picture = cv2.imread(str(raw / "000.png"))
        picture[0, :8] = 255 - picture[0, :8]
        for n in np.flatnonzero(y == y[0])[1:9]:
            cv2.imwrite(str(raw / f"{n:03d}.png"), picture + np.uint8(n))

    assert {"copies in different folds"} <= {finding["check"] for finding in prepared(alike)}
    paths.PARAMS.write_text(paths.PARAMS.read_text().replace("k: 4}", "k: 4, near_duplicates: 0}"))
    capsys.readouterr()
    leaks.run(config.load())
    findings = json.loads(paths.report("toy", "leaks.json").read_text())
    assert all(pair["distance"] == 0 for finding in findings for pair in finding["details"].get("pairs", []))


def test_the_order_of_the_table_and_the_ids_are_checked(prepared, capsys):
    """A CSV that lists one class first, and ids that say it, whatever the order of the files."""

    def sorted_table(raw, y):
        order = np.argsort(y, kind="stable")
        (raw / "labels.csv").write_text("id,label\n" + "".join(f"{n:03d},{y[n]}\n" for n in order))

    assert [finding["details"]["column"] for finding in prepared(sorted_table)] == ["row order"]

    def named(raw, y):
        (raw / "labels.csv").write_text(
            "id,label\n" + "".join(f"{'ab'[label]}{n},{label}\n" for n, label in enumerate(y))
        )
        for n, label in enumerate(y):
            (raw / f"{n:03d}.png").rename(raw / f"{'ab'[label]}{n}.png")

    columns = {finding["details"]["column"] for finding in prepared(named)}
    assert "words of the id" in columns


def test_no_more_than_one_file_is_in_memory(prepared, monkeypatch):
    """Files are read one by one, and of features only the rows that are compared."""
    assert prepared() == []
    images = pd.read_parquet(paths.data("toy", "images.parquet"))
    index = images[["image_id"]].assign(view="identity")
    x = np.random.default_rng(1).normal(size=(200, 8))
    features.write(paths.features("toy", "b"), index, x, n_columns=8, dtype="float32", attributes={})
    shapes = []
    monkeypatch.setattr(leaks.leaks, "adversarial", lambda train, test, ids, where: shapes.append(len(train)) or [])
    monkeypatch.setattr(leaks, "_MOST", 30)
    leaks.run(config.load())
    assert shapes == [30]
