"""Tuning: better settings are found, kept and written; the study goes on where it ended."""

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from podium import paths
from podium.commands import tune
from podium.config import Competition, Config, Params
from podium.contracts import features
from podium.contracts.tables import IMAGES, ROWS
from podium.errors import PodiumError
from podium.fitting.member import Member
from podium.fitting.scoring import Submission
from podium.heads.logistic import Head
from podium.imaging.views import Views
from podium.splits.folds import Folds
from podium.stages import fold
from podium.tasks.binary import Task

N = 80
PARAMS = """\
# The head of the file.
members:  # one head on one backbone each
  other: {backbone: one, head: logistic, C: 0.5}  # seen: 0.4
  weak: {backbone: one, head: logistic, C: 10.0}  # tuned by hand

fusions: {}
# The end.
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Rows whose features are mostly noise, so that the present C, 10, is far too weak a penalty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N)]
    x = rng.normal(size=(N, 30)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=N) > 0).astype(float)
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y, "weight": 1.0, "group": ids})
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"], "task": "binary"})
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "source": "s", "split": "train"})
    IMAGES.write(images.assign(width=1, height=1, digest="d"), paths.data("toy", "images.parquet"))
    index = pd.DataFrame({"image_id": ids, "view": "identity"})
    features.write(paths.features("toy", "one"), index, iter(x), n_columns=30, dtype="float32", attributes={})
    Path("params.yaml").write_text(PARAMS)
    return config_of(C=10.0)


def config_of(C, seed=1):
    """The configuration of PARAMS, dealt to folds."""
    params = Params.model_construct(
        competition="toy",
        seed=seed,
        folds=Folds(k=2),
        views=Views(),
        members={"weak": Member(backbones=("one",), head=Head(C=C))},
        fusions={},
        finetunes={},
        students={},
        submission=Submission(),
    )
    competition = Competition.model_construct(title="Toy", task=Task(target="x"), metric="log_loss", metrics=())
    config = Config.model_construct(params=params, competition=competition)
    fold.run(config)
    return config


def studies():
    """Return the trials of every study in the database."""
    storage = f"sqlite:///{paths.cache()}/tune/toy.db"
    return {
        s.study_name: optuna.load_study(study_name=s.study_name, storage=storage).trials
        for s in optuna.get_all_study_summaries(storage)
    }


def test_better_settings_are_written_where_they_belong(config, capsys):
    """Only the member's own number changes: comments, other members and layout stay to the byte."""
    tune.run(config, "weak", 12)
    text = Path("params.yaml").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("  weak: ")]
    C = float(line.split("C: ")[1].split("}")[0])
    assert C < 1
    assert line.endswith("# tuned by hand")
    assert text.replace(line, "WEAK") == PARAMS.replace(PARAMS.splitlines()[3], "WEAK")
    shown = capsys.readouterr().out
    assert "12 trials" in shown
    assert f"C {C:g}\n" in shown


def test_the_study_goes_on_and_is_another_where_the_data_is(config):
    """Trials add up, none comes twice, and those of other folds are not mixed with these."""
    tune.run(config, "weak", 3)
    tune.run(config_of(C=0.5), "weak", 3)
    [trials] = studies().values()
    assert len({trial.params["C"] for trial in trials}) == 6
    assert [trials[0].params["C"], trials[3].params["C"]] == [10.0, 0.5]
    tune.run(config_of(C=0.5, seed=2), "weak", 1)
    assert sorted(len(trials) for trials in studies().values()) == [1, 6]


def test_the_present_settings_stay_where_none_is_better(config):
    """One trial is the present settings: the file is not touched."""
    tune.run(config, "weak", 1)
    assert Path("params.yaml").read_text() == PARAMS


def test_what_cannot_be_tuned_is_one_line(config):
    """A wrong name lists the members; a head whose strengths are a grid has no single number."""
    with pytest.raises(PodiumError, match="no member 'none'; choose one of: weak"):
        tune.run(config, "none", 1)
    with pytest.raises(PodiumError, match="--trials 0: at least 1 is needed"):
        tune.run(config, "weak", 0)
    with pytest.raises(PodiumError, match=r"weak: this head has no single number"):
        tune.run(config_of(C=(0.1, 1.0)), "weak", 1)
