"""Mutated tables from elsewhere: imported, or refused in one line that names the file."""

import datetime as dt
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from podium import paths
from podium.config import Imports
from podium.contracts import features
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, VIEWS
from podium.errors import PodiumError
from podium.stages import import_features, import_predictions

pytestmark = pytest.mark.slow

MANY = settings(
    deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
CELLS = [
    None,
    np.nan,
    np.inf,
    1e39,
    1e300,
    "x",
    "",
    "1_0",
    b"x",
    True,
    2**62,
    dt.date(2020, 1, 1),
    [1],
    {"a": 1},
    1 + 2j,
]
NAMES = ["image_id", "row_id", "view", "fold", "f0", "p_0", "no", "yes", 7, "a\nb"]


def mutated(table, rng):
    """Return the table with one to three cells, columns, names or lines changed."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, column = rng.randrange(max(len(table), 1)), rng.randrange(table.shape[1])
        change = rng.choice(["cell", "cell", "cells", "cut", "double", "drop", "name"])
        if change == "cell" and len(table):
            table = table.astype(object)
            other = table.iloc[rng.randrange(len(table)), column]
            table.iat[at, column] = rng.choice([*CELLS, other])  # noqa: PD009  # iloc would take a list apart
        elif change == "cells":
            table = table.assign(**{str(table.columns[column]): rng.choice(CELLS[:8])})
        elif change == "cut":
            table = table[:at]
        elif change == "double":
            table = pd.concat([table, table[at:]])
        elif change == "drop" and table.shape[1] > 1:
            table = table.drop(columns=table.columns[column])
        elif change == "name":
            names = [*table.columns]
            names[column] = rng.choice(NAMES)
            table = table.set_axis(names, axis=1)
    return table


def write(table, rng):
    """Write it as CSV or as Parquet; return the name, or None where Parquet itself refuses such a table."""
    try:
        if rng.random() < 0.5:
            table.to_csv("mate.csv", index=False)
            return "mate.csv"
        table.to_parquet("mate.parquet", index=False)
    except Exception:  # noqa: BLE001  # pyarrow has many for a column of several types
        return None
    return "mate.parquet"


def imported(stage, config, kind, file):
    """Import the file; return whether it was accepted, which must else be said in one line."""
    object.__setattr__(config.params, "imports", Imports(**{kind: {"mate": file}}))
    try:
        stage.run(config, "mate")
    except PodiumError as error:
        refusal = str(error)
    else:
        return True
    assert refusal.startswith((file, "predictions/toy/mate"))
    assert "\n" not in refusal
    return False


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@settings(MANY, max_examples=200)
@given(seed=st.integers(0, 2**32))
def test_mutated_features(tmp_path, monkeypatch, seed):
    """Whatever is accepted is finite, of every view."""
    rng = random.Random(seed)
    monkeypatch.chdir(tmp_path)
    plan = pd.DataFrame([(i, v, v, "{}") for i in ("010", "b", "c") for v in ("hflip", "identity")])
    VIEWS.write(
        plan.set_axis(["image_id", "view", "operation", "parameters"], axis=1), paths.data("toy", "views.parquet")
    )
    table = pd.DataFrame({"image_id": ["c", "010", "b"], "f0": [3.0, 1.0, 2.0], "f1": [30.0, 10.0, 20.0]})
    by_view = pd.concat([table.assign(view=view) for view in ("identity", "hflip")])
    file = write(mutated(rng.choice([table, by_view]), rng), rng)
    config = SimpleNamespace(params=SimpleNamespace(competition="toy"))
    if file and imported(import_features, config, "features", file):
        assert len(features.read(paths.features("toy", "mate")).matrix) == 6


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@settings(MANY, max_examples=200)
@given(seed=st.integers(0, 2**32))
def test_mutated_predictions(banked, seed):
    """Whatever is accepted is a prediction of every row."""
    rng, rows = random.Random(seed), banked.truth
    images = pd.DataFrame({"image_id": rows["row_id"], "row_id": rows["row_id"], "split": rows["split"]})
    IMAGES.write(images.assign(source="x", width=1, height=1, digest=""), paths.data("toy", "images.parquet"))
    table = pd.DataFrame({"row_id": rows["row_id"], "p_0": 0.5}).merge(
        banked.folds[["row_id", "fold"]].drop_duplicates("row_id"), how="left"
    )
    file = write(mutated(table, rng), rng)
    if file and imported(import_predictions, banked.config, "predictions", file):
        assert len(Scores.read(paths.predictions("toy", "mate"))) == len(rows)
