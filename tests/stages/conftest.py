"""A small competition whose members have predicted already, for the stages from bank to report."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Competition, Config, Imports, Params
from podium.contracts.folds import FoldTable
from podium.contracts.scores import Scores
from podium.contracts.tables import ROWS
from podium.ensembles.hill_climb import Ensemble
from podium.fitting.member import Member
from podium.fitting.scoring import Submission
from podium.tasks.binary import Task

N_TRAIN, N_TEST = 120, 30


def make_config(members=("good", "poor"), clip=(0.02, 0.98)):
    """Params and competition without their files, which these stages never read."""
    params = Params.model_construct(
        competition="toy",
        seed=1,
        limit=None,
        members={name: Member.model_construct() for name in members},
        fusions={},
        finetunes={},
        students={},
        imports=Imports(),
        ensemble={"hill_climb": Ensemble(rounds=20)},
        submission=Submission(clip=clip),
    )
    competition = Competition.model_construct(
        title="Toy", task=Task(target="x"), metric="log_loss", metrics=("accuracy", "auc")
    )
    return Config.model_construct(params=params, competition=competition)


@pytest.fixture
def banked(tmp_path, monkeypatch):
    """Rows, folds, predictions and a sample on disk; test row t03 and train row r05 have no readable image."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    train, test = [f"r{k:02d}" for k in range(N_TRAIN)], [f"t{k:02d}" for k in range(N_TEST)]
    y = rng.integers(0, 2, N_TRAIN + N_TEST).astype(float)
    rows = pd.DataFrame({"row_id": train + test, "split": ["train"] * N_TRAIN + ["test"] * N_TEST, "y": y})
    truth = rows.copy()
    rows["y"] = rows["y"].where(rows["split"] == "train")
    rows = rows.assign(weight=1.0, group=rows["row_id"])
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"], "task": "binary"})
    folds = pd.DataFrame({"row_id": train, "repeat": 0, "fold": rng.integers(0, 4, N_TRAIN)})
    FoldTable(folds.assign(group=folds["row_id"]), "plain").write(paths.dataset("toy"))

    read = truth[~truth["row_id"].isin(["r05", "t03"])]
    for name, skill in {"good": 0.4, "poor": 0.3}.items():
        p = skill * read["y"] + (1 - skill) * rng.random(len(read))
        write_predictions(name, read.assign(p_0=p)[["row_id", "split", "p_0"]])
    order = rng.permutation(test)
    pd.DataFrame({"cell": order, "defective": 0.5}).to_csv(paths.data("toy", "sample_submission.csv"), index=False)
    solution = paths.data("toy", "solution/solution.csv")
    solution.parent.mkdir()
    truth.loc[truth["split"] == "test", ["row_id", "y"]].to_csv(solution, index=False)
    return SimpleNamespace(config=make_config(), make_config=make_config, rows=rows, truth=truth, folds=folds)


def write_predictions(name, frame):
    """Write one member's file."""
    Scores.of_table(frame, ["no", "yes"]).write(paths.predictions("toy", name))
