"""Competitions without images: from a table that comes with scikit-learn to a submission and its report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from podium import config, paths
from podium.commands import leaks, prune
from podium.contracts import models
from podium.contracts.scores import Scores
from podium.stages import augment, bank, download, ensemble, fit, fold, fuse, gather, prepare, report, score, submit
from podium.storage import yaml_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return the function that runs a shipped recipe, with some of its members, up to the report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    shutil.copytree(ROOT / "competitions", "competitions")

    def run(name, *members, **fusions):
        read = yaml_file.read(ROOT / f"recipes/{name}.yaml")
        read["members"] = {member: read["members"][member] for member in members}
        Path("params.yaml").write_text(json.dumps(read | {"fusions": fusions}))
        loaded = config.load()
        for stage in (download, prepare, fold, augment):
            stage.run(loaded)
        for member in members:
            fit.run(loaded, member)
        for fusion in fusions:
            gather.run(loaded, fusion)
            fuse.run(loaded, fusion)
        for stage in (bank, ensemble, submit, score, report):
            stage.run(loaded)
        return loaded

    return run


def test_iris_is_told_by_its_lengths(table, capsys):
    """At least 0.95 of flowers that no model saw; the report has no gallery, and nothing is stale or leaks."""
    loaded = table("iris", "logistic", both={"backbones": ["metadata"], "head": "logistic", "select": "forward"})
    scores = json.loads(paths.METRICS_ENSEMBLE.read_text())
    assert scores["cross_fitted"]["accuracy"] >= 0.95
    assert json.loads(paths.METRICS_HELDOUT.read_text())["accuracy"] >= 0.95
    assert len(pd.read_csv(paths.submission("iris"))) == 30
    page = paths.report("iris", "report.html").read_text(encoding="utf-8")
    assert "120 scored rows.</p>" in page
    assert 'id="gallery"' not in page
    assert 'href="#gallery' not in page
    about = json.loads((paths.models("iris", "logistic") / "about.json").read_text())
    assert [column["name"] for column in about["metadata"]] == list(loaded.competition.layout.metadata)
    capsys.readouterr()
    leaks.run(loaded)
    prune.run(loaded)
    out = capsys.readouterr().out
    assert "no leak found" in out
    assert "nothing to remove" in out


def test_linear_regression_is_scikit_learn_s(table):
    """Out of fold on the same folds, and for test rows the mean of the folds' models."""
    table("diabetes", "linear")
    rows = pd.read_parquet(paths.data("diabetes", "rows.parquet")).set_index("row_id")
    x = rows.filter(like="meta_").astype(float)
    train, test = rows.index[rows["split"] == "train"], rows.index[rows["split"] == "test"]
    folds = pd.read_parquet(paths.data("diabetes", "folds.parquet")).set_index("row_id")["fold"]
    found = Scores.read(paths.predictions("diabetes", "linear")).table().set_index("row_id")["y"]
    expected = []
    for number in range(5):
        inside = train[folds[train] == number]
        model = LinearRegression().fit(x.loc[train.difference(inside)], rows.loc[train.difference(inside), "y"])
        np.testing.assert_allclose(found[inside], model.predict(x.loc[inside]), rtol=1e-3)
        expected.append(model.predict(x.loc[test]))
    np.testing.assert_allclose(found[test], np.mean(expected, axis=0), rtol=1e-3)
    assert models.names(paths.models("diabetes", "linear")) == [f"r0f{number}" for number in range(5)]
