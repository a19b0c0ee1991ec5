"""finetune on disk: from images and folds to predictions, features and curves by id."""

import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Competition, Config, Params, Views
from podium.contracts.tables import FOLDS, IMAGES, PROBABILITIES, ROWS
from podium.stages import augment, finetune
from podium.tasks.binary import Task
from podium.training import Finetune

PX = 12
N_TRAIN, N_TEST = 60, 20
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
    table = PROBABILITIES.read(paths.predictions("toy", "tiny")).merge(given, on="row_id", validate="1:1")
    assert len(table) == N_TRAIN + N_TEST
    assert ((table["p_0"] > 0.5) == (table["y"] == 1)).all()
    curves = pd.read_csv(paths.finetune("toy", "tiny", "csv"))
    loss = curves.pivot_table("loss", "fold", "epoch")
    assert loss.shape == (3, 12)
    assert (loss[12] < 0.5 * loss[1]).all()
