"""`podium try`: one fold's scores are those of the whole run, and nothing is written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podium import metrics, paths
from podium.commands import try_fold
from podium.commands.try_fold import with_settings
from podium.config import Competition, Config, Params
from podium.contracts import features
from podium.contracts.folds import FoldTable
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, ROWS
from podium.errors import PodiumError
from podium.fitting.member import Member
from podium.fitting.scoring import Submission
from podium.heads.logistic import Head
from podium.imaging.views import Views
from podium.splits.folds import Folds
from podium.stages import fit, fold
from podium.tasks.binary import Task
from podium.training import Finetune

pytestmark = pytest.mark.slow

N = 90


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A member that has been fitted in three folds."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N)]
    x = rng.normal(size=(N, 8)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=N) > 0).astype(float)
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y, "weight": 1.0, "group": ids})
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"], "task": "binary"})
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "source": "s", "split": "train"})
    IMAGES.write(images.assign(width=1, height=1, digest="d"), paths.data("toy", "images.parquet"))
    index = pd.DataFrame({"image_id": ids, "view": "identity"})
    features.write(paths.features("toy", "one"), index, iter(x), n_columns=8, dtype="float32", attributes={})
    params = Params.model_construct(
        competition="toy",
        seed=1,
        folds=Folds(k=3),
        views=Views(),
        members={"plain": Member(backbones=("one",), head=Head(C=1.0))},
        fusions={},
        finetunes={},
        students={},
        submission=Submission(),
    )
    competition = Competition.model_construct(
        title="Toy", task=Task(target="x"), metric="log_loss", metrics=("accuracy",)
    )
    config = Config.model_construct(params=params, competition=competition)
    fold.run(config)
    fit.run(config, "plain")
    return config


def files():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_a_fold_is_scored_as_in_the_whole_run(config, capsys):
    """Scores and errors are those of the stage's predictions of these rows, by hand; no file changes."""
    before = files()
    try_fold.run(config, "plain", 1, [])
    shown = capsys.readouterr().out
    table = Scores.read(paths.predictions("toy", "plain")).table().set_index("row_id")
    rows = ROWS.read(paths.data("toy", "rows.parquet")).set_index("row_id")
    ids = FoldTable.read(paths.dataset("toy")).table.query("fold == 1")["row_id"]
    y, p = rows.loc[ids, "y"].to_numpy(), table.loc[ids, ["p_0"]].to_numpy()
    loss = -np.log(np.where(y == 1, p[:, 0], 1 - p[:, 0]))
    error = loss.std(ddof=1) / np.sqrt(len(loss))
    found = re.search(r"log_loss ([\d.]+) ± ([\d.]+), accuracy ([\d.]+)", shown)
    assert float(found[1]) == pytest.approx(loss.mean(), abs=1e-4)
    assert float(found[2]) == pytest.approx(error, rel=0.05)
    assert float(found[3]) == pytest.approx(((p[:, 0] >= 0.5) == y).mean(), abs=1e-4)
    assert "60 rows learnt, 30 scored" in shown
    assert "the same rows have log_loss" in shown
    assert "the same (+0.0000" in shown
    assert files() == before
    assert metrics.METRICS["log_loss"](y, p) == pytest.approx(loss.mean())


def test_another_setting(config, capsys):
    """It is tried without a change of params.yaml: a head that learns nothing has the log loss of a coin."""
    try_fold.run(config, "plain", 0, ["C=1e-6"])
    shown = capsys.readouterr().out
    assert "plain with C=1e-6, fold 0: log_loss 0.6931 ± 0.0000" in shown
    assert re.search(r"cannot tell \(-0\.\d+ ± 0\.\d+\)", shown)


@pytest.mark.parametrize(
    ("name", "fold_", "settings", "message"),
    [
        ("none", 0, [], r"params\.yaml: no member, fusion or finetune 'none'; choose one of: plain"),
        ("plain", 3, [], r"--fold 3: choose one of: 0, 1, 2"),
        ("plain", 0, ["C"], "--set C: it takes KEY=VALUE"),
        ("plain", 0, ["c=1"], r"params\.yaml: members\.plain\.c: unknown key; choose one of: .*C"),
    ],
)
def test_what_cannot_be_tried_is_one_line(config, name, fold_, settings, message):
    """It names the argument and the choices."""
    with pytest.raises(PodiumError, match=message):
        try_fold.run(config, name, fold_, settings)


def test_what_is_not_set_stays_as_it_is():
    """Augmentation, too, whose operations have types of their own."""
    spec = Finetune(network="lenet", resize={"px": 32}, epochs=3, augment=[{"shift": 0.1}, {"mixup": {"alpha": 0.1}}])
    assert with_settings(spec, [], "finetunes.a") == spec
    tried = with_settings(spec, ["epochs=5"], "finetunes.a")
    assert tried.epochs == 5
    assert tried.augment.names == ["shift", "mixup"]
