"""`podium explain`: pictures of the evidence, from the models that did not see the image."""

import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import config as config_module
from podium import paths
from podium.analysis import heatmaps
from podium.commands import explain
from podium.contracts import blends, features, models
from podium.contracts.folds import FoldTable
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, ROWS
from podium.errors import PodiumError
from podium.heads.kernel_ridge import Head as KernelRidge
from podium.heads.logistic import Head
from podium.imaging.images import Resize
from podium.stages import augment, finetune, fit, fuse, gather
from podium.tasks.binary import Task
from podium.tasks.multiclass import Task as MulticlassTask
from podium.training import Finetune

pytestmark = pytest.mark.slow

N, D = 40, 5


def make_config(network="efficientnet_lite0"):
    """Params and competition without their files."""
    member = config_module.Member.model_construct(backbones=("trunk",), head=Head(C=1.0))
    params = config_module.Params.model_construct(
        competition="toy",
        seed=1,
        views=config_module.Views(),
        backbones={
            "trunk": config_module.Backbone(network=network, engine="auto", precision="auto"),
            "wide": config_module.Backbone(network=network, engine="auto", precision="auto", resize={"px": 96}),
        },
        members={"logistic": member},
        fusions={
            "both": config_module.Member.model_construct(backbones=("trunk", "wide"), head=Head(C=1.0), select="all"),
            "kernel": config_module.Member.model_construct(
                backbones=("trunk", "wide"), head=KernelRidge(), select="all"
            ),
        },
        students={},
        imports=config_module.Imports(),
        finetunes={"tiny": Finetune(network="residual", options={"width": 2}, epochs=2, batch=8, resize={"px": 16})},
    )
    competition = config_module.Competition.model_construct(title="Toy", task=Task(target="x"), metric="log_loss")
    return config_module.Config.model_construct(params=params, competition=competition)


@pytest.fixture
def extracted(tmp_path, monkeypatch):
    """Images with a feature map each: its mean is in the features file, as an engine would give it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N)]
    split = np.where(np.arange(N) < N - 4, "train", "test")
    y = rng.integers(2, size=N).astype(float)
    maps = {f"{name}.png": rng.gamma(1, 1, (3, 3, D)).astype(np.float32) for name in ids}
    for k, one in enumerate(maps.values()):
        one[1, 2, 0] += 6 * y[k]  # the evidence, at one place
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": np.where(split == "train", y, np.nan)})
    ROWS.write(rows.assign(weight=1.0, group=ids), paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"]})
    folds = pd.DataFrame({"row_id": ids[:-4], "repeat": 0, "fold": np.arange(N - 4) % 4, "group": ids[:-4]})
    FoldTable(folds, "plain").write(paths.dataset("toy"))
    images = pd.DataFrame({"image_id": [*maps], "row_id": ids, "source": [*maps], "split": split, "digest": "d"})
    IMAGES.write(images.assign(width=24, height=30), paths.data("toy", "images.parquet"))
    index = pd.DataFrame({"image_id": [*maps], "view": "identity"})
    pooled = (one.mean(axis=(0, 1)) for one in maps.values())
    features.write(paths.features("toy", "trunk"), index, pooled, n_columns=D, dtype="float32", attributes={})
    paths.raw("toy").mkdir(parents=True)
    for name in maps:
        assert cv2.imwrite(str(paths.raw("toy") / name), np.full((30, 24, 3), 128, np.uint8))
    paths.bank_table("toy").parent.mkdir(parents=True)
    paths.bank_table("toy").write_text("member,log_loss\nforest,0.1\nlogistic,0.2\n")
    monkeypatch.setattr(
        heatmaps, "maps_of", lambda extraction, pairs, reader, models: ((i, [maps[i]]) for i, _ in pairs)
    )
    return maps


@pytest.fixture
def fused(extracted, monkeypatch):
    """The same competition by two backbones; what the second one sees tells nothing, on a map of other places."""
    rng = np.random.default_rng(1)
    wide = {name: rng.gamma(1, 1, (4, 4, 3)).astype(np.float32) for name in extracted}
    index = pd.DataFrame({"image_id": [*wide], "view": "identity"})
    pooled = (one.mean(axis=(0, 1)) for one in wide.values())
    features.write(paths.features("toy", "wide"), index, pooled, n_columns=3, dtype="float32", attributes={})
    by_px = {224: extracted, 96: wide}
    monkeypatch.setattr(
        heatmaps,
        "maps_of",
        lambda extraction, pairs, reader, models: ((i, [by_px[extraction.px][i]]) for i, _ in pairs),
    )
    config = make_config()
    for name in config.params.fusions:
        gather.run(config, name)
        fuse.run(config, name)
    return config


def explained(config, member, ids):
    images = IMAGES.read(paths.data("toy", "images.parquet"))
    return explain._explain(config, explain._choose(config, member), images[images["image_id"].isin(ids)])


@pytest.mark.parametrize("fusion", ["both", "kernel"])
def test_a_fusion_sees_by_all_of_its_backbones(fused, fusion):
    """The planted place is found by a linear head and by any other, in train images and in test images."""
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    positive = [f"{row_id}.png" for row_id in rows.loc[rows["y"] == 1, "row_id"]]
    found = explained(fused, fusion, [*positive, "r39.png"])
    assert {*found} == {*positive, "r39.png"}
    places = np.mean([found[image_id].places for image_id in positive], axis=0)
    assert places.shape == (30, 24)
    assert np.unravel_index(places.argmax(), places.shape) == pytest.approx((15, 20), abs=5)


def test_a_linear_fusion_s_heatmap_is_its_logit(fused, extracted):
    """Its mean is what the saved model of the other folds says."""
    model = models.load(paths.models("toy", "both"), "r0f1")
    found = explained(fused, "both", ["r01.png"])["r01.png"].places
    table = {name: features.read(paths.features("toy", name)) for name in ("trunk", "wide")}
    x = np.concatenate([one.matrix[one.index["image_id"] == "r01.png"][0] for one in table.values()])
    p = float(model.predict(x[None].astype(np.float64))[0, 0])
    assert found.mean() == pytest.approx(np.log(p / (1 - p)), abs=0.1)  # a cubic spline spreads the places


def write_ensemble(names, weights):
    blend = blends.WeightedSum(np.array(weights))
    models.save(blends.EnsembleModel(names, blend, None, None), paths.models("toy", "ensemble"), models.FULL)
    table = Scores.read(paths.predictions("toy", "both"))
    table.write(paths.ensemble("toy"))


def test_the_ensemble_is_its_members_by_weight(fused, capsys):
    """Heatmaps of the saved members times the saved weights; nothing is fitted, and no other member is read."""
    fit.run(fused, "logistic")
    write_ensemble(("both", "logistic", "kernel"), [0.6, 0.4, 0.0])
    shutil.rmtree(paths.models("toy", "kernel"))
    ids = ["r01.png", "r39.png"]
    found, parts = explained(fused, "ensemble", ids), [explained(fused, name, ids) for name in ("both", "logistic")]
    for image_id in ids:
        expected = 0.6 * parts[0][image_id].places + 0.4 * parts[1][image_id].places
        assert found[image_id].places == pytest.approx(expected, abs=1e-9)
    explain.run(fused, ids, "ensemble")
    assert "2 images explained by ensemble\n" in capsys.readouterr().out


def test_what_cannot_be_shown_of_the_ensemble_is_named(fused, capsys):
    """An imported member has no models here: the others speak, and their share of the weight is said."""
    write_ensemble(("both", "imported"), [0.75, 0.25])
    explain.run(fused, ["r01.png"], "ensemble")
    assert "1 images explained by ensemble, 75% of its weight: imported cannot be shown" in capsys.readouterr().out
    write_ensemble(("imported",), [1.0])
    with pytest.raises(PodiumError, match="models/toy/ensemble: heatmaps need members on means or maxima"):
        explain.run(fused, ["r01.png"], "ensemble")


def test_without_ids_the_report_s_gallery_is_explained(fused, capsys):
    """In a copy of the report, over its own pictures; without a report, one line says how to make it."""
    with pytest.raises(PodiumError, match=r"reports/toy/report.html: there is no such file; run `dvc repro report`"):
        explain.run(fused, [], "both")
    tile = '<button class="tile" data-id="{}">\n<span class="picture"><img src="data:image/jpeg;base64,AA"></span>'
    page = '<p class="summary">40 rows.</p>' + tile.format("r01.png") + tile.format("r39.png")
    paths.report("toy", "report.html").parent.mkdir(parents=True)
    paths.report("toy", "report.html").write_text(page)
    explain.run(fused, [], "both")
    found = paths.heatmap("toy", "report.html").read_text()
    assert found.count('<img class="heat" alt="" src="data:image/png;base64,') == 2
    assert '<p class="summary">40 rows. Heatmaps of both: red' in found
    assert paths.heatmap("toy", "r39.png.png").exists()


def test_members_are_asked_for_the_ensemble_s_label(fused, monkeypatch):
    """And for their own where they are explained alone."""
    asked = []
    evidence = heatmaps.evidence
    monkeypatch.setattr(
        heatmaps, "evidence", lambda model, seen, label: asked.append(label) or evidence(model, seen, label)
    )
    write_ensemble(("both",), [1.0])
    monkeypatch.setattr(explain, "_labels", lambda config, images: dict.fromkeys(images["image_id"], 0))
    explained(fused, "ensemble", ["r01.png"])
    explained(fused, "both", ["r01.png"])
    assert asked == [0, None]


def test_members_of_the_ensemble_speak_of_its_label(extracted, monkeypatch):
    """Of several classes each member's evidence is for the class that the ensemble names, and not for its own."""
    ids, labels = [*extracted][:3], ("a", "b", "c")
    p = np.eye(3, dtype=np.float32)[[2, 0, 1]]
    scores = Scores(
        np.array([i.removesuffix(".png") for i in ids], object),
        np.full(3, "train", object),
        p,
        ("p_0", "p_1", "p_2"),
        labels,
    )
    scores.write(paths.ensemble("toy"))
    images = IMAGES.read(paths.data("toy", "images.parquet"))
    assert explain._labels(make_config(), images) == dict(zip(ids, (2, 0, 1), strict=True))
    seen = [heatmaps.Pooled([extracted[ids[0]]], "avg", Resize())]
    model = SimpleNamespace(predict=lambda x: np.exp(x[:, :3]) / np.exp(x[:, :3]).sum(axis=1, keepdims=True))
    head = explain._Head(model, MulticlassTask(target="x"), images)
    for is_linear in (True, False):
        assert [head.heatmap(seen, (30, 24), label, is_linear=is_linear).label for label in (2, 0, 1)] == [2, 0, 1]


def test_the_evidence_is_where_it_was_planted(extracted, capsys):
    """A picture of the image's own size, red at the planted place, for a train and a test image."""
    fit.run(make_config(), "logistic")
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    positive = rows.loc[rows["y"] == 1, "row_id"].iloc[0]
    explain.run(make_config(), [f"{positive}.png", "r39.png"], None)
    assert "2 images explained by logistic" in capsys.readouterr().out
    picture = cv2.imread(str(paths.heatmap("toy", f"{positive}.png.png"))).astype(int)
    assert picture.shape == (30, 24, 3)
    redness = picture[..., 2] - picture[..., 0]
    assert np.unravel_index(redness.argmax(), redness.shape) == pytest.approx((15, 20), abs=5)
    assert paths.heatmap("toy", "r39.png.png").exists()


def test_an_image_is_explained_by_models_that_did_not_see_it(extracted):
    """One fold's model for a train image, all four for a test image."""
    config = make_config()
    fit.run(config, "logistic")
    images = IMAGES.read(paths.data("toy", "images.parquet"))
    asked = images[images["row_id"].isin(["r00", "r01", "r39"])]
    own = [list(part["row_id"]) for _, part in explain._models_of(config, "logistic", asked)]
    assert own == [["r00", "r39"], ["r01", "r39"], ["r39"], ["r39"]]  # r00 is of fold 0, r01 of fold 1
    explain.run(config, ["r00.png"], None)
    shutil.rmtree(paths.models("toy", "logistic"))
    with pytest.raises(PodiumError, match=r"models/toy/logistic/r0f0\.json: there is no such model"):
        explain.run(config, ["r00.png"], None)


@pytest.mark.parametrize(
    ("ids", "member", "message"),
    [
        (["nobody.png"], None, "no image_id 'nobody.png'"),
        (["r00.png"], "nobody", "members: no 'nobody'; choose one of: both, kernel, logistic, tiny, ensemble"),
    ],
)
def test_wrong_names_are_told(extracted, ids, member, message):
    """One line, before anything is computed."""
    with pytest.raises(PodiumError, match=message):
        explain.run(make_config(), ids, member)


def test_features_without_a_map_cannot_be_explained(extracted):
    """HOG has no places to point at."""
    with pytest.raises(PodiumError, match="none has a linear head on means or maxima"):
        explain.run(make_config("hog"), ["r00.png"], None)


@pytest.mark.keras
def test_a_finetune_looks_with_the_trunks_that_did_not_see_the_image(extracted, monkeypatch):
    """A train image with one fold's network, a test image with all four; before its stage ran, one line says so."""
    monkeypatch.setenv("PODIUM_CACHE", "cache")
    config, asked = make_config(), []
    augment.run(config)
    with pytest.raises(PodiumError, match="there is no such model"):
        explain.run(config, ["r00.png"], "tiny")
    finetune.run(config, "tiny")
    looked = heatmaps.maps_of_finetune

    def noted(encoder, weights, pixels):
        asked.append(len(pixels))
        return looked(encoder, weights, pixels)

    monkeypatch.setattr(heatmaps, "maps_of_finetune", noted)
    explain.run(config, ["r01.png", "r39.png"], "tiny")
    assert asked == [1, 2, 1, 1]  # r01 is of fold 1
    assert cv2.imread(str(paths.heatmap("toy", "r01.png.png"))).shape == (30, 24, 3)


def test_of_several_models_those_speak_that_agree():
    """Evidence for another label is evidence of something else."""
    each = [heatmaps.Heatmap(label, np.full((2, 2), value)) for label, value in ((1, 3.0), (0, 9.0), (1, 5.0))]
    found = explain._mean(each)
    assert (found.label, found.places.tolist()) == (1, [[4.0, 4.0], [4.0, 4.0]])
