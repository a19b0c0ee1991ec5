"""The bank and its ensemble beside AutoGluon Tabular: the same features, the same seconds, five held-out splits.

    python -m venv peer && peer/bin/pip install "autogluon.tabular[lightgbm,catboost,xgboost,fastai]"
    python benchmarks/autogluon.py --peer peer/bin/python [--splits 5] [--seconds 0]

Run it in a repository whose `dvc repro` is done: it takes the competition's labelled rows, those held out too, deals
new splits of three quarters and one, fits every member of params.yaml on extracted features, and the ensemble. The
peer gets the same rows' features (of all backbones, the mean of the views), `best_quality`, and as many seconds as
podium took, or `--seconds`. Its dynamic stacking is off: the trial fit that this adds takes a quarter of the time, and
fails where that is less than its first model needs. Prints the held-out loss of both for each split, and the paired
difference.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from podium import config, metrics, paths
from podium.contracts import features
from podium.contracts.predictions import value_columns
from podium.contracts.tables import IMAGES, ROWS, by_id
from podium.ensembles import EnsembleObjective
from podium.fitting.choose_method import judge
from podium.fitting.crossfit import block
from podium.splits import folds, sampling
from podium.stages.fit import FitInputs
from podium.storage import csv_table

PEER = """
import json, sys
import pandas as pd
from autogluon.tabular import TabularPredictor

folder, seconds, kind = sys.argv[1], float(sys.argv[2]), sys.argv[3]
train, test = pd.read_parquet(f"{folder}/train.parquet"), pd.read_parquet(f"{folder}/test.parquet")
predictor = TabularPredictor("y", problem_type=kind, eval_metric="log_loss", path=f"{folder}/models", verbosity=1)
predictor.fit(train, presets="best_quality", time_limit=seconds, dynamic_stacking=False, num_cpus=2)
p = predictor.predict_proba(test)
print(json.dumps({"p": p.to_numpy().tolist(), "models": len(predictor.model_names())}))
"""


def labelled(name: str) -> pd.DataFrame:
    """Return the rows whose targets are known, to the competition's own leaderboard too."""
    rows = ROWS.read(paths.data(name, "rows.parquet"))
    labels = rows.attrs["labels"]
    solution = csv_table.read(paths.data(name, "solution.csv").read_bytes(), "solution.csv").set_index("row_id")["y"]
    rows["y"] = rows["y"].fillna(rows["row_id"].map(solution.astype("float64")))
    rows = rows[rows["y"].notna()].reset_index(drop=True)
    rows.attrs["labels"] = labels
    return rows


def split_of(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows with a quarter of each class in the test split."""
    chosen = sampling.choose(rows["row_id"], sampling.strata(rows[["y"]]), round(0.25 * len(rows)), seed)
    split = rows.assign(split=np.where(chosen, "test", "train"))
    split.attrs = rows.attrs
    return split


def ours(read: FitInputs, rows: pd.DataFrame, chosen: config.Config, loss: EnsembleObjective) -> pd.Series:
    """Return podium's test predictions: every member cross-fitted, and the ensemble of them."""
    params, task = chosen.params, chosen.competition.task
    dealt = folds.make(rows, params.folds.scheme, params.folds.k, repeats=params.folds.repeats, seed=params.seed)
    given = FitInputs(rows, dealt, read.train_features, read.predict_features)
    tables = [given.predict(chosen, model.head, model.backbones) for model in params.models().values()]
    columns = value_columns(tables[0])
    ids = {side: tables[0].loc[tables[0]["split"] == side, "row_id"].tolist() for side in ("train", "test")}
    train, test = (np.stack([by_id(t, ids[side], "table")[columns].to_numpy() for t in tables]) for side in ids)
    y = task.targets(by_id(rows, ids["train"], "rows"))
    fold_of = by_id(dealt[dealt["repeat"] == 0], ids["train"], "folds")[["fold"]].to_numpy()
    verdict = judge(params.ensemble, train, y, fold_of, loss=loss, seed=params.seed)
    return pd.Series(list(verdict.blend.predict(test)), index=ids["test"])


def theirs(read: FitInputs, rows: pd.DataFrame, kind: str, peer: str, seconds: float) -> pd.Series:
    """Return AutoGluon's test predictions."""
    x = np.concatenate([found.of(rows["row_id"]).mean(axis=1) for found in read.predict_features.values()], axis=1)
    table = pd.DataFrame(x, columns=[f"f{j}" for j in range(x.shape[1])])
    is_test = (rows["split"] == "test").to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        table[~is_test].assign(y=rows.loc[~is_test, "y"].astype(int)).to_parquet(Path(folder) / "train.parquet")
        table[is_test].to_parquet(Path(folder) / "test.parquet")
        command = [peer, "-c", PEER, folder, str(seconds), kind]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    answer = json.loads(done.stdout.splitlines()[-1])
    p = np.array(answer["p"])
    return pd.Series(list(p[:, 1:] if kind == "binary" else p), index=rows.loc[is_test, "row_id"])


def main() -> None:
    """Compare over the splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has autogluon.tabular")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0, help="for the peer; 0: as many as podium took")
    arguments = parser.parse_args()
    chosen = config.load()
    params, task, name = chosen.params, chosen.competition.task, chosen.params.competition
    images, rows = IMAGES.read(paths.data(name, "images.parquet")), labelled(name)
    images = images[images["row_id"].isin(rows["row_id"])]
    found = {backbone: features.read(paths.features(name, backbone)) for backbone in params.backbones}
    learn, ask = (
        {backbone: block(one, images, views, backbone) for backbone, one in found.items()}
        for views in (params.views.train, params.views.test)
    )
    read = FitInputs(rows, rows, learn, ask)
    metric = metrics.METRICS["log_loss"]
    loss = EnsembleObjective(
        lambda y, p, w: metric.loss(y, p, task, w), limits=params.submission.clip or (0.0, 1.0), metric="log_loss"
    )

    differences = []
    print(f"{name}: {len(rows)} rows, {sum(one.matrix.shape[1] for one in found.values())} features; log loss held out")
    for seed in range(arguments.splits):
        dealt = split_of(rows, seed)
        start = time.perf_counter()
        mine = ours(read, dealt, chosen, loss)
        seconds = time.perf_counter() - start
        peer = theirs(read, dealt, task.kind, arguments.peer, arguments.seconds or seconds)
        y = task.targets(by_id(dealt, mine.index, "rows"))
        scores = [loss(y, np.stack(list(p[mine.index]))) for p in (mine, peer)]
        differences.append(scores[0] - scores[1])
        print(
            f"split {seed}: podium {scores[0]:.4f} ({seconds:.0f} s)   AutoGluon {scores[1]:.4f}"
            f"   difference {differences[-1]:+.4f}",
            flush=True,
        )
    error = np.std(differences, ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else np.nan
    print(f"mean difference {np.mean(differences):+.4f} ± {error:.4f} (negative: podium is better)")


if __name__ == "__main__":
    main()
