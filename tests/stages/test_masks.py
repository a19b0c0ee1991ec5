"""Masks from drawn pictures to the report, stage by stage."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import config, paths
from podium.cli import main
from podium.contracts import rle
from podium.contracts.dataset import Dataset
from podium.contracts.masks import Masks
from podium.errors import PodiumError
from podium.serving import networks
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

pytestmark = pytest.mark.keras
COMPETITION = """\
title: Discs
source: {kind: folder, path: files}
layout: {kind: files, images: "pictures/a{id}.png", id: "a{id}", test: {images: "pictures/b{id}.png", id: "b{id}"}}
task: {kind: masks, labels: [disc], image: {source: "masks/{path.stem}.png"}, test: true}
metric: pixel_f1
metrics: [mean_dice, mean_iou, mean_iou_precision]
holdout: null
submission: {columns: [id, disc]}
"""
SAMPLE = "data/discs/sample_submission.csv"
PARAMS = """\
competition: discs
seed: 1
limit: null
folds: {scheme: stratified, k: 2, repeats: 1, file: null}
views: {train: [identity], test: [identity, rot90]}
backbones: {}
members: {}
fusions: {}
imports: {predictions: {theirs: theirs.csv}, features: {}}
finetunes:
  unet:
    network: unet
    options: {width: 4, depth: 2}
    resize: {width: 40, height: 28}
    masks: {crop: 16, crops: 8}
    augment: [hflip, {brightness: 0.1}]
    epochs: 8
    batch: 8
    learning_rate: 0.01
    dropout: 0.0
ensemble: {method: auto}
submission: {clip: null}
"""


def drawn(folder, name, seed):
    """Write a picture of a bright disc, 40 by 28, and its mask; one in four shows none."""
    rng = np.random.default_rng(seed)
    picture, mask = rng.integers(60, 100, (28, 40, 3), dtype=np.uint8), np.zeros((28, 40), np.uint8)
    if seed % 4:
        cv2.circle(mask, (int(rng.integers(8, 32)), int(rng.integers(8, 20))), 6, 255, -1)
    picture[mask > 0] = 220
    cv2.imwrite(str(folder / f"pictures/{name}.png"), picture)
    cv2.imwrite(str(folder / f"masks/{name}.png"), mask)
    return mask > 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder in which all stages have run, its config, and the masks that were drawn."""
    here = tmp_path_factory.mktemp("discs")
    for name in ("competitions", "files/pictures", "files/masks"):
        (here / name).mkdir(parents=True)
    names = [*(f"a{k:02d}" for k in range(12)), *(f"b{k:02d}" for k in range(4))]
    masks = {name: drawn(here / "files", name, seed) for seed, name in enumerate(names)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PODIUM_CACHE", str(here / "cache"))
        (here / "competitions/discs.yaml").write_text(COMPETITION)
        (here / "params.yaml").write_text(PARAMS)
        runs = [rle.encode(np.roll(masks[name], 1, axis=1)) for name in names]
        pd.DataFrame({"row_id": names, "disc": runs}).to_csv("theirs.csv", index=False)
        loaded = config.load()
        for stage in (download, prepare, fold, augment):
            stage.run(loaded)
        import_predictions.run(loaded, "theirs")
        finetune.run(loaded, "unet")
        for stage in (bank, ensemble, submit, score, report):
            stage.run(loaded)
        yield here, loaded, masks


def test_the_submitted_masks_are_scored_against_those_that_were_drawn(finished):
    """The held-out score is that of the file's own runs, pixel by pixel; and it is good."""
    here, _, masks = finished
    submitted = pd.read_csv(here / "submissions/discs.csv", dtype=str, keep_default_na=False).set_index("id")["disc"]
    found = {name: rle.decode(runs, (28, 40)) for name, runs in submitted.items()}
    both = sum((found[name] & masks[name]).sum() for name in found)
    total = sum(found[name].sum() + masks[name].sum() for name in found)
    held_out = json.loads((here / "metrics/heldout.json").read_text())
    assert held_out["pixel_f1"] == pytest.approx(2 * both / total, abs=1e-6)
    assert held_out["pixel_f1"] > 0.9


def test_an_out_of_fold_prediction_is_the_mean_of_its_turned_back_views(finished, monkeypatch):
    """By the network that did not see the row, computed anew: a view that is not undone would not fit."""
    here, loaded, _ = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    spec = loaded.params.finetunes["unet"]
    work = finetune.Finetuning.read("discs", spec, loaded.competition.task, 1, "params.yaml: finetunes.unet")
    model = work.models[1]
    row_id = model.split.valid[0]
    picture = work.pixels[work.images.set_index("row_id")["place"][row_id]]
    network = work.problem.build(0)
    network.restore(model.kept[0])
    straight = work.problem.kept(network, [picture]).reshape(28, 40)
    turned = np.rot90(work.problem.kept(network, [np.rot90(picture).copy()]).reshape(40, 28), -1)
    kept = Masks.read(here / "predictions/discs/unet").by_id([row_id], "here")
    np.testing.assert_allclose(kept.maps[0]()[0], (straight + turned) / 2, atol=1.01)


def test_test_rows_have_the_mean_of_both_folds_networks(finished):
    """All rows are there once, with their images' own sizes."""
    here, _, masks = finished
    predictions = Masks.read(here / "predictions/discs/unet")
    assert sorted(predictions.row_id) == sorted(masks)
    assert (predictions.shape == (28, 40)).all()
    assert set(predictions.split[[name[0] == "b" for name in predictions.row_id]]) == {"test"}


@pytest.mark.parametrize("most", [networks._MOST_BYTES, 1])
def test_new_pictures_get_the_very_masks_of_the_networks_test_rows(finished, tmp_path, monkeypatch, capsys, most):
    """Decoded, turned and averaged anew, however many at once; the imported member cannot follow."""
    monkeypatch.setattr(networks, "_MOST_BYTES", most)
    here, loaded, _ = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    out = tmp_path / "p.csv"
    assert main(["predict", "files/pictures", "--sample", SAMPLE, "--out", str(out)]) == 0
    assert "without theirs: its predictions are imported; cross-fitted pixel_f1" in capsys.readouterr().err
    model, _ = of_networks(loaded)
    assert model.names == ("unet",)
    task, test = loaded.competition.task, Masks.read(here / "predictions/discs/unet").of_split("test")
    expected = task.submission(model.combine(task, [test]), Dataset(paths.dataset("discs")), ["disc"])
    found = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert found["id"].tolist() == ["b00", "b01", "b02", "b03"]
    assert found["disc"].tolist() == expected.set_index("row_id").loc[found["id"], "disc"].tolist()
    (tmp_path / "broken.png").write_text("no picture")
    assert main(["predict", "files/pictures/b02.png", str(tmp_path / "broken.png"), "--rows", "{path.stem}"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["id,disc", f"b02,{found['disc'][2]}"]
    assert "broken.png: it is no image" in said.err
    assert main(["predict", str(tmp_path / "broken.png")]) == 2
    assert "not one of 1 pictures can be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["files/pictures/b00.png", "--sample", "data/discs/sample_submission.csv"],
            "no picture of 'b01', 'b02', 'b03'",
        ),
        (["files/pictures", "--pictures", "drawn"], "--pictures: is for classes and values only, and not for masks"),
        (
            ["files/masks", "--rows", "x-{path.stem}", "--sample", SAMPLE],
            "say how by --rows",
        ),
    ],
)
def test_what_predict_cannot_do_is_said_before_any_work(finished, monkeypatch, capsys, words, reason):
    """One line each."""
    here, _, _ = finished
    monkeypatch.chdir(here)
    assert main(["predict", *words]) == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]


def test_folds_share_the_empty_masks(finished):
    """Three of twelve show nothing: each of two folds has one at least."""
    here, _, masks = finished
    folds = pd.read_parquet(here / "data/discs/folds.parquet").set_index("row_id")["fold"]
    empty = [name for name in folds.index if not masks[name].any()]
    assert folds[empty].nunique() == 2


def test_the_ensemble_is_no_worse_than_either_member(finished):
    """Masks that were made elsewhere, a pixel off, join by id."""
    here, _, _ = finished
    scores = json.loads((here / "metrics/ensemble.json").read_text())
    table = pd.read_csv(here / paths.bank_table("discs"))
    assert set(table["member"]) == {"theirs", "unet"}
    assert scores["naive"]["pixel_f1"] >= table["pixel_f1"].max() - 0.02
    assert scores["standard_error"]["mean_dice"] > 0


def test_test_masks_stay_in_the_solution(finished):
    """Other stages read targets of train rows alone."""
    here, _, _ = finished
    targets = pd.read_parquet(here / "data/discs/targets/masks.parquet")
    assert set(targets["row_id"].str[0]) == {"a"}
    rows = pd.read_parquet(here / "data/discs/rows.parquet")
    assert rows.loc[rows["split"] == "test", "y"].isna().all()


def test_the_report_paints_what_is_right_false_and_missed(finished):
    """Over the pictures; and a table of each chart for DVC to plot."""
    here, _, _ = finished
    page = (here / "reports/discs/report.html").read_text()
    assert "green is right, red false, blue missed" in page
    curve = pd.read_csv(here / "reports/discs/precision_recall.csv")
    assert curve["recall"].is_monotonic_increasing
    assert len(pd.read_csv(here / "reports/discs/images.csv")) == 12


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("network: unet\n    options: {width: 4, depth: 2}", "network: lenet"), r"network: lenet makes no masks"),
        (("crop: 16", "crop: 18"), r"finetunes\.unet\.masks\.crop: the sides must be multiples of 4"),
        (("{method: auto}", "{method: stack}"), r"ensemble\.method: stack combines vectors; for masks take hill_climb"),
    ],
)
def test_what_masks_cannot_have_is_refused_in_one_line(finished, monkeypatch, change, reason):
    """By its place in params.yaml."""
    here, _, _ = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    (here / "other.yaml").write_text(PARAMS.replace(*change))
    with pytest.raises(PodiumError, match=reason):
        finetune.run(config.load(here / "other.yaml"), "unet")
