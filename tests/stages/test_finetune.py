"""finetune on disk: from images and folds to predictions, features and curves by id."""

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Competition, Config, Params
from podium.contracts import features, models
from podium.contracts.scores import Scores
from podium.contracts.steps import predict
from podium.contracts.tables import FOLDS, IMAGES, ROWS
from podium.errors import PodiumError
from podium.imaging.views import Views
from podium.stages import augment, finetune
from podium.tasks.binary import Task
from podium.training import Finetune
from podium.training.finetuning import Finetuning

pytestmark = pytest.mark.keras

PX = 12
N_TRAIN, N_TEST = 60, 20
OUTPUTS = (
    paths.predictions("toy", "tiny") / "scores.parquet",
    paths.models("toy", "tiny") / "r0f0.npz",
    paths.features("toy", "tiny"),
    paths.finetune("toy", "tiny", "csv"),
    paths.finetune("toy", "tiny", "png"),
)
TINY = {"network": "mlp", "options": {"hidden": [16]}, "resize": {"px": PX}, "epochs": 12, "batch": 8}


def make_config(**spec):
    """Params and competition without their files."""
    params = Params.model_construct(
        competition="toy",
        seed=1,
        views=Views(train=("identity", "vflip"), test=("identity", "hflip")),
        finetunes={"tiny": Finetune(**TINY | spec)},
    )
    return Config.model_construct(params=params, competition=Competition.model_construct(task=Task(target="x")))


def read(config):
    """Return what the stage trains."""
    spec, where = config.params.finetunes["tiny"], "params.yaml: finetunes.tiny"
    return Finetuning.read("toy", spec, config.competition.task, config.params.seed, where)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Rows whose images are reddish or bluish, in three folds; classes come one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N_TRAIN + N_TEST)]
    split = np.where(np.arange(len(ids)) < N_TRAIN, "train", "test")
    y = (np.arange(len(ids)) >= N_TRAIN // 2).astype(float)
    y[N_TRAIN + N_TEST // 2 :] = 0
    raw = paths.raw("toy")
    raw.mkdir(parents=True)
    for name, red in zip(ids, y == 0, strict=True):
        rgb = rng.normal([160, 100, 90] if red else [90, 100, 160], 30, (PX, PX, 3)).clip(0, 255).astype(np.uint8)
        assert cv2.imwrite(str(raw / f"{name}.png"), rgb[..., ::-1])
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": y, "weight": 1.0, "group": ids})
    truth = rows.copy()
    rows["y"] = rows["y"].where(rows["split"] == "train")
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["red", "blue"], "task": "binary"})
    images = pd.DataFrame({"image_id": [f"i{k}" for k in ids], "row_id": ids, "source": [f"{k}.png" for k in ids]})
    images = images.assign(
        split=split, width=PX, height=PX, digest=[hashlib.sha256(k.encode()).hexdigest() for k in ids]
    )
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    folds = pd.DataFrame({"row_id": ids[:N_TRAIN], "repeat": 0, "fold": rng.permutation(N_TRAIN) % 3})
    FOLDS.write(folds, paths.data("toy", "folds.parquet"))
    augment.run(make_config())
    return truth


def test_separable_rows_are_all_predicted_right(given):
    """Train rows out of fold, test rows by the mean of the folds' networks; the loss fell in every fold."""
    finetune.run(make_config(), "tiny")
    table = Scores.read(paths.predictions("toy", "tiny")).table().merge(given, on="row_id", validate="1:1")
    assert len(table) == N_TRAIN + N_TEST
    assert ((table["p_0"] > 0.5) == (table["y"] == 1)).all()
    curves = pd.read_csv(paths.finetune("toy", "tiny", "csv"))
    loss = curves.pivot_table("loss", "fold", "epoch")
    assert loss.shape == (3, 12)
    assert (loss[12] < 0.5 * loss[1]).all()


def test_a_network_learns_from_none_of_its_own_fold(given):
    """Turned labels in one fold: its predictions are as they were, to the bit, and the other folds' are not."""
    finetune.run(make_config(epochs=2), "tiny")
    before = Scores.read(paths.predictions("toy", "tiny")).table()
    rows, folds = ROWS.read(paths.data("toy", "rows.parquet")), FOLDS.read(paths.data("toy", "folds.parquet"))
    turned = rows["row_id"].isin(folds.loc[folds["fold"] == 1, "row_id"])
    labels = dict(rows.attrs)
    rows.loc[turned, "y"] = 1 - rows.loc[turned, "y"]
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    finetune.run(make_config(epochs=2), "tiny")
    after = Scores.read(paths.predictions("toy", "tiny")).table()
    table = before.merge(after, on="row_id").merge(folds, on="row_id")
    same = table["p_0_x"] == table["p_0_y"]
    assert same[table["fold"] == 1].all()
    assert not same[table["fold"] != 1].any()


def test_features_are_of_the_network_that_did_not_see_the_row(given):
    """A head of the fold's own network on them gives the out-of-fold prediction, averaged over the views."""
    config = make_config(epochs=2)
    finetune.run(config, "tiny")
    found = features.read(paths.features("toy", "tiny"))
    assert sorted(set(found.index["view"])) == ["hflip", "identity", "vflip"]
    assert found.attributes["network"] == "mlp"
    folds = FOLDS.read(paths.data("toy", "folds.parquet")).set_index("row_id")["fold"]
    p = Scores.read(paths.predictions("toy", "tiny")).table().set_index("row_id")["p_0"]
    for row_id in given["row_id"][:10]:
        at = (found.index["image_id"] == f"i{row_id}") & found.index["view"].isin(["identity", "hflip"])
        x = found.matrix[at.to_numpy()]
        saved = models.load(paths.models("toy", "tiny"), models.of_fold(0, folds[row_id]))
        assert predict(saved, x.astype(np.float32)).mean() == pytest.approx(p[row_id], abs=1e-6)


def test_test_rows_are_described_by_all_networks_and_predicted_by_their_mean(given):
    """One network's features each, by the image's digest; predictions are the mean over the three."""
    config = make_config(epochs=2)
    finetune.run(config, "tiny")
    work = read(config)
    is_test = (work.plan["split"] == "test").to_numpy()
    assert set(work.owners[is_test]) == {0, 1, 2}
    plan = work.plan[is_test & (work.plan["row_id"] == "r70").to_numpy()]
    saved = [models.load(paths.models("toy", "tiny"), models.of_fold(0, fold)) for fold in range(3)]
    by_hand = np.mean([model.predict(plan, head)["p_0"]["r70"] for model, head in zip(work.models, saved, strict=True)])
    p = Scores.read(paths.predictions("toy", "tiny")).table().set_index("row_id")["p_0"]
    assert p["r70"] == pytest.approx(by_hand, abs=1e-6)


def test_a_finished_fold_is_not_trained_again(given, capsys):
    """Same bytes from the cache, without Keras; with a row's weight changed, the folds that learn from it are new."""
    finetune.run(make_config(epochs=2), "tiny")
    before = {path: path.read_bytes() for path in OUTPUTS}
    capsys.readouterr()
    assert finetune.run(make_config(epochs=2), "tiny") == {"networks trained": 0, "rows computed": 0}
    assert {path: path.read_bytes() for path in OUTPUTS} == before
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    labels = dict(rows.attrs)
    rows.loc[rows["row_id"] == "r00", "weight"] = 2.0
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    assert finetune.run(make_config(epochs=2), "tiny")["networks trained"] == 2


def test_the_images_of_a_row_share_its_weight(given):
    """A row with three images counts no more than one with a single image, and has one prediction: the mean."""
    images = IMAGES.read(paths.data("toy", "images.parquet"))
    images.loc[images["row_id"].isin(["r01", "r02"]), "row_id"] = "r00"
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    work = read(make_config())
    model = next(model for model in work.models if "r00" not in model.split.valid)
    train_set, _, _ = model.examples
    of = work.images["row_id"].to_numpy(object)[train_set.place]
    alone = next(name for name in of if name != "r00")
    assert train_set.weight[of == "r00"].sum() == pytest.approx(train_set.weight[of == alone].sum(), rel=1e-5)
    assert (of == "r00").sum() == 3


def test_class_weights_balance_the_classes(given):
    """By number of rows, or by label."""
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    labels = dict(rows.attrs)
    rows.loc[rows["row_id"].isin([f"r{k:02d}" for k in range(10, 30)]), "y"] = 1.0
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    train_set, _, _ = read(make_config(class_weight="balanced")).models[0].examples
    sums = [train_set.weight[train_set.stratum == code].sum() for code in (0, 1)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    train_set, _, _ = read(make_config(class_weight={"red": 3})).models[0].examples
    means = [train_set.weight[train_set.stratum == code].mean() for code in (0, 1)]
    assert means[0] == pytest.approx(3 * means[1], rel=1e-5)
    with pytest.raises(PodiumError, match=r"tiny\.class_weight: no label 'green'; choose from: 'red', 'blue'"):
        _ = read(make_config(class_weight={"green": 3})).models[0].examples


def test_early_stopping_judges_by_whole_groups_of_the_training_rows(given):
    """None of the fold that is predicted, none that is learnt from, no group on both sides."""
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    labels = dict(rows.attrs)
    rows["group"] = [f"g{k // 2}" for k in range(len(rows))]
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    work = read(make_config(patience=2))
    group = work.images.merge(rows[["row_id", "group"]], on="row_id")["group"].to_numpy(object)
    for model in work.models:
        train_set, valid_set, _ = model.examples
        assert set(group[train_set.place]).isdisjoint(group[valid_set.place])
        ids = work.images["row_id"].to_numpy(object)[np.concatenate([train_set.place, valid_set.place])]
        assert set(ids) == set(model.split.train)


def test_a_class_that_is_absent_from_a_fold_is_named(given):
    """One line, before anything is trained."""
    folds = FOLDS.read(paths.data("toy", "folds.parquet"))
    folds["fold"] = (folds["row_id"] >= "r30").astype(int)
    FOLDS.write(folds, paths.data("toy", "folds.parquet"))
    with pytest.raises(PodiumError, match=r"finetunes\.tiny: the training rows of a fold have no 'red'; choose other"):
        finetune.run(make_config(), "tiny")


def test_tensorboard_gets_its_files_on_request(given, monkeypatch, tmp_path):
    """One folder a fold."""
    monkeypatch.setenv("PODIUM_TENSORBOARD", str(tmp_path / "board"))
    finetune.run(make_config(epochs=1), "tiny")
    assert len(list((tmp_path / "board").glob("*/events*"))) == 3
