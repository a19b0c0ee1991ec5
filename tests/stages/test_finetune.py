"""finetune on disk: from images and folds to predictions, features and curves by id."""

import hashlib
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths, plugins
from podium.commands import try_fold, tune
from podium.config import Competition, Config, Params
from podium.contracts import features, models
from podium.contracts.folds import FoldTable
from podium.contracts.predictions import digest_of_folder
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, ROWS, TARGETS
from podium.errors import PodiumError
from podium.fitting.fit_inputs import FitInputs
from podium.fitting.scoring import Submission
from podium.imaging.views import Views
from podium.splits.folds import make
from podium.stages import augment, enlist, finetune, teach
from podium.tasks.binary import Task
from podium.teaching import Student
from podium.training import Finetune
from podium.training.finetuning import Finetuning

pytestmark = pytest.mark.keras

PX = 12
N_TRAIN, N_TEST = 60, 20
OUTPUTS = (
    paths.predictions("toy", "tiny"),
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
        members={},
        fusions={},
        students={"pupil": Student(finetune=Finetune(**TINY | spec | {"seed": 1}), rounds=2)},
    )
    return Config.model_construct(params=params, competition=Competition.model_construct(task=Task(target="x")))


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
    FoldTable(folds.assign(group=folds["row_id"]), "plain").write(paths.dataset("toy"))
    augment.run(make_config())
    return truth


def work_of(**spec):
    """Return what the stage works on."""
    config = make_config(**spec)
    spec, task = config.params.finetunes["tiny"], config.competition.task
    return Finetuning.read("toy", spec, task, 1, "params.yaml: finetunes.tiny")


def written():
    """Return output -> a digest of its bytes."""
    return {path: digest_of_folder(path) if path.is_dir() else path.read_bytes() for path in OUTPUTS}


def folds_of():
    """Return row_id -> fold."""
    return FoldTable.read(paths.dataset("toy")).table.set_index("row_id")["fold"]


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
    rows, folds = ROWS.read(paths.data("toy", "rows.parquet")), folds_of().reset_index()
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


def test_test_rows_by_one_network_of_all_rows(given):
    """Out of fold nothing changes, to the bit; the folds' networks are not trained again."""
    finetune.run(make_config(epochs=2), "tiny")
    before = Scores.read(paths.predictions("toy", "tiny")).table().set_index("row_id")["p_0"]
    done = finetune.run(make_config(epochs=2, refit="full"), "tiny")
    assert done["networks trained"] == 1
    work = work_of(epochs=2, refit="full")
    assert work.everyone.split.train.tolist() == sorted(given.loc[given["split"] == "train", "row_id"])
    after = Scores.read(paths.predictions("toy", "tiny")).table().set_index("row_id")["p_0"]
    is_test = given.set_index("row_id")["split"].eq("test")[after.index]
    assert (before == after)[~is_test].all()
    assert not (before == after)[is_test].any()
    folder = paths.models("toy", "tiny")
    assert models.that_predict(folder) == ["full"]
    ids = after.index[is_test].to_numpy(object)
    asked = work.everyone.asked(ids, ("identity", "hflip"), None, models.load(folder, "full"))
    np.testing.assert_allclose(after[ids], asked[:, 0], rtol=1e-6)
    assert set(pd.read_csv(paths.finetune("toy", "tiny", "csv"))["fold"]) == {-1, 0, 1, 2}


def test_a_network_teaches_another_what_it_says_of_test_rows(given):
    """Labels of one fold reach neither the lessons nor the predictions of that fold, over two rounds, to the bit."""
    tables = []
    for _ in range(2):
        for stage, name in ((finetune, "tiny"), (enlist, "pupil"), (teach, "pupil")):
            stage.run(make_config(epochs=2), name)
        targets = TARGETS.read(paths.student("toy", "pupil", "targets.parquet"))
        found = Scores.read(paths.student("toy", "pupil", "predictions")).table()
        folds, rows = folds_of().reset_index(), ROWS.read(paths.data("toy", "rows.parquet"))
        found = found.merge(folds, on="row_id", how="left")
        tables.append([part[part["fold"] == 1].reset_index(drop=True) for part in (targets, found)])
        tables[-1].append(found[found["fold"] != 1].reset_index(drop=True))
        turned = rows["row_id"].isin(folds.loc[folds["fold"] == 1, "row_id"])
        labels = dict(rows.attrs)
        rows.loc[turned, "y"] = 1 - rows.loc[turned, "y"]
        ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    before, after = tables
    assert [a.equals(b) for a, b in zip(before, after, strict=True)] == [True, True, False]
    is_test = before[0]["row_id"].isin(given.loc[given["split"] == "test", "row_id"])
    assert is_test.sum() == N_TEST
    assert before[0].loc[is_test, "p_0"].between(0.01, 0.99).all()
    assert len(before[1]) == N_TRAIN / 3


def test_features_are_by_every_fold_s_network(given):
    """The saved head of each network, on that network's features, gives what the network predicts."""
    finetune.run(make_config(epochs=2, features=True), "tiny")
    found = features.read(paths.features("toy", "tiny"))
    assert sorted(set(found.index["view"])) == ["hflip", "identity", "vflip"]
    assert found.attributes["network"] == "mlp"
    assert found.networks == ("r0f0", "r0f1", "r0f2")
    folds, p = folds_of(), Scores.read(paths.predictions("toy", "tiny")).table().set_index("row_id")["p_0"]
    heads = {name: models.load(paths.models("toy", "tiny"), name) for name in found.networks}

    def by(name, row_id):
        at = (found.index["image_id"] == f"i{row_id}") & found.index["view"].isin(["identity", "hflip"])
        return heads[name].predict(found.of_network(name).matrix[at.to_numpy()].astype(np.float32)).mean()

    for row_id in given["row_id"][:10]:
        assert by(f"r0f{folds[row_id]}", row_id) == pytest.approx(p[row_id], abs=1e-6)
    assert np.mean([by(name, "r70") for name in found.networks]) == pytest.approx(p["r70"], abs=1e-6)


@pytest.mark.parametrize("patience", [None, 2])
def test_heads_on_trained_networks_score_alike_out_of_fold_and_on_hidden_labels(given, patience):
    """Rows that are hard to tell, and networks from scratch, early stopped or not: the two scores agree."""
    rng = np.random.default_rng(1)
    ids = [f"s{k:03d}" for k in range(480)]
    split, y = np.where(np.arange(480) < 160, "train", "test"), rng.integers(0, 2, 480).astype(float)
    for name, label in zip(ids, y, strict=True):
        rgb = rng.normal([127 + 7 * (1 - 2 * label), 127, 127], 60, (PX, PX, 3)).clip(0, 255).astype(np.uint8)
        assert cv2.imwrite(str(paths.raw("toy") / f"{name}.png"), rgb[..., ::-1])
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": np.where(split == "train", y, np.nan), "group": ids})
    ROWS.write(rows.assign(weight=1.0), paths.data("toy", "rows.parquet"), {"labels": ["a", "b"], "task": "binary"})
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "source": [f"{k}.png" for k in ids], "split": split})
    images["digest"] = [hashlib.sha256(k.encode()).hexdigest() for k in ids]
    IMAGES.write(images.assign(width=PX, height=PX), paths.data("toy", "images.parquet"))
    make(rows.assign(weight=1.0), "stratified", 3, seed=1).write(paths.dataset("toy"))
    config = make_config(features=True, epochs=6, patience=patience)
    augment.run(config)
    finetune.run(config, "tiny")
    inputs = FitInputs.read("toy", ["tiny"], config.params.views)
    head = plugins.make("heads", "logistic", {"C": 0.1}, "x")
    for found in (
        Scores.read(paths.predictions("toy", "tiny")),
        inputs.predict(Task(target="x"), head, ["tiny"], 1),
    ):
        right = (found.p[:, 0] > 0.5) == (pd.Series(y, ids).loc[found.row_id].to_numpy() == 1)
        own, hidden = right[found.split == "train"], right[found.split == "test"]
        assert hidden.mean() > 0.6
        assert abs(own.mean() - hidden.mean()) < 3 * np.hypot(own.std() / 160**0.5, hidden.std() / 320**0.5)


def test_features_are_computed_for_heads_only(given):
    """Without `features` the file is there, empty; with it no network is trained again."""
    assert finetune.run(make_config(epochs=2), "tiny") == {"networks trained": 3, "rows computed": 3 * 2 * 40}
    assert len(features.read(paths.features("toy", "tiny")).index) == 0
    done = finetune.run(make_config(epochs=2, features=True), "tiny")
    assert done == {"networks trained": 0, "rows computed": 3 * (3 * 60 + 2 * 20 - 2 * 40)}


def test_a_finished_fold_is_not_trained_again(given, capsys):
    """Same bytes from the cache, without Keras; with a row's weight changed, the folds that learn from it are new."""
    finetune.run(make_config(epochs=2), "tiny")
    before = written()
    capsys.readouterr()
    assert finetune.run(make_config(epochs=2), "tiny") == {"networks trained": 0, "rows computed": 0}
    assert written() == before
    rows = ROWS.read(paths.data("toy", "rows.parquet"))
    labels = dict(rows.attrs)
    rows.loc[rows["row_id"] == "r00", "weight"] = 2.0
    ROWS.write(rows, paths.data("toy", "rows.parquet"), labels)
    assert finetune.run(make_config(epochs=2), "tiny")["networks trained"] == 2


@pytest.mark.slow
def test_a_pool_changes_no_byte(given, monkeypatch, capsys):
    """Three networks by two processes, or one after the other in this one."""
    finetune.run(make_config(epochs=2), "tiny")
    alone = written()
    monkeypatch.setenv("PODIUM_CACHE", "another")
    monkeypatch.setenv("PODIUM_POOL", "local:2")
    assert finetune.run(make_config(epochs=2), "tiny")["networks trained"] == 3
    assert written() == alone


def test_the_images_of_a_row_share_its_weight(given):
    """A row with three images counts no more than one with a single image, and has one prediction: the mean."""
    images = IMAGES.read(paths.data("toy", "images.parquet"))
    images.loc[images["row_id"].isin(["r01", "r02"]), "row_id"] = "r00"
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    work = work_of()
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
    train_set, _, _ = work_of(class_weight="balanced").models[0].examples
    sums = [train_set.weight[train_set.stratum == code].sum() for code in (0, 1)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    train_set, _, _ = work_of(class_weight={"red": 3}).models[0].examples
    means = [train_set.weight[train_set.stratum == code].mean() for code in (0, 1)]
    assert means[0] == pytest.approx(3 * means[1], rel=1e-5)
    with pytest.raises(PodiumError, match=r"tiny\.class_weight: no label 'green'; choose from: 'red', 'blue'"):
        _ = work_of(class_weight={"green": 3}).models[0].examples


def test_early_stopping_judges_by_whole_groups_of_the_training_rows(given):
    """None of the fold that is predicted, none that is learnt from, no group of the folds on both sides."""
    folds = FoldTable.read(paths.dataset("toy")).table
    rows = folds.assign(group=[f"g{k // 2}" for k in range(len(folds))])
    FoldTable(rows, "plain").write(paths.dataset("toy"))
    work = work_of(patience=2)
    group = work.images.merge(rows[["row_id", "group"]], on="row_id")["group"].to_numpy(object)
    for model in work.models:
        train_set, valid_set, _ = model.examples
        assert set(group[train_set.place]).isdisjoint(group[valid_set.place])
        ids = work.images["row_id"].to_numpy(object)[np.concatenate([train_set.place, valid_set.place])]
        assert set(ids) == set(model.split.train)


def test_a_class_that_is_absent_from_a_fold_is_named(given):
    """One line, before anything is trained."""
    table = FoldTable.read(paths.dataset("toy")).table
    FoldTable(table.assign(fold=(table["row_id"] >= "r30").astype(int)), "plain").write(paths.dataset("toy"))
    with pytest.raises(PodiumError, match=r"finetunes\.tiny: the training rows of a fold have no 'red'; choose other"):
        finetune.run(make_config(), "tiny")


def test_tensorboard_gets_its_files_on_request(given, monkeypatch, tmp_path):
    """One folder a fold."""
    monkeypatch.setenv("PODIUM_TENSORBOARD", str(tmp_path / "board"))
    finetune.run(make_config(epochs=1), "tiny")
    assert len(list((tmp_path / "board").glob("*/events*"))) == 3


def scored_config(**spec):
    """The configuration with a metric."""
    params = make_config(**spec).params.model_copy(update={"submission": Submission()})
    competition = Competition.model_construct(task=Task(target="x"), metric="log_loss", metrics=())
    return Config.model_construct(params=params, competition=competition)


def test_one_fold_is_tried_and_kept(given, monkeypatch, capsys):
    """Its score is the whole run's for these rows, nothing is written, and the run after it trains the other folds."""
    config = scored_config(epochs=3)
    try_fold.run(config, "tiny", 1, [])
    tried = float(re.search(r"fold 1: log_loss ([\d.]+) ±", capsys.readouterr().out)[1])
    assert not any(path.exists() for path in OUTPUTS)
    finetune.run(config, "tiny")
    assert "2 of 3 networks trained" in capsys.readouterr().out
    table = Scores.read(paths.predictions("toy", "tiny")).table().merge(given, on="row_id", validate="1:1")
    ours = table[table["row_id"].map(folds_of()) == 1]
    loss = -np.log(np.where(ours["y"] == 1, ours["p_0"], 1 - ours["p_0"]))
    assert tried == pytest.approx(loss.mean(), abs=1e-4)


def test_rates_are_tuned_on_one_fold(given, capsys):
    """A far too small rate loses to another; the file gets it, and a second run begins with what won."""
    paths.PARAMS.write_text("members: {}\nfusions: {}\nfinetunes:\n  tiny: {epochs: 2, learning_rate: 0.0001}\n")
    tune.run(scored_config(epochs=2, learning_rate=1e-4), "tiny", 3)
    rate = float(re.search(r"learning_rate: ([\de.-]+)", paths.PARAMS.read_text())[1])
    assert rate > 1e-4
    assert "tiny has the best settings now" in capsys.readouterr().out
    tune.run(scored_config(epochs=2, learning_rate=rate), "tiny", 1)
    assert "4 trials" in capsys.readouterr().out
