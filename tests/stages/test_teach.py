"""enlist and teach, on disk: heads and networks that learn from each fold's own teachers."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Competition, Config, Params
from podium.contracts import features, models
from podium.contracts.folds import FoldTable
from podium.contracts.predictions import digest_of_folder
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, ROWS, TARGETS
from podium.errors import PodiumError
from podium.fitting.member import Member
from podium.heads.logistic import Head
from podium.imaging.views import Views
from podium.splits.folds import Folds
from podium.stages import enlist, fit, fold, teach
from podium.tasks.binary import Task
from podium.teaching import Student

pytestmark = pytest.mark.slow

N, N_TRAIN, N_EXTRA = 90, 40, 20
PUPIL = Student(member=Member(backbones=("one", "two"), head=Head(C=1.0)), rounds=2, distill=0.3)


def make_config(student=PUPIL):
    """Params and competition without their files."""
    params = Params.model_construct(
        competition="toy",
        seed=1,
        folds=Folds(k=3),
        views=Views(train=("identity",), test=("identity",)),
        members={name: Member(backbones=(name,), head=Head(C=1.0)) for name in ("one", "two")},
        fusions={},
        finetunes={},
        students={"pupil": student},
    )
    competition = Competition.model_construct(title="Toy", task=Task(target="x"))
    return Config.model_construct(params=params, competition=competition)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Train rows, extra rows without labels and test rows; each backbone tells half of the truth; two members."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N)]
    parts = rng.normal(size=(N, 2))
    truth = pd.Series((parts.sum(axis=1) > 0).astype(float), ids)
    split = np.repeat(["train", "extra", "test"], [N_TRAIN, N_EXTRA, N - N_TRAIN - N_EXTRA])
    is_train = split == "train"
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": truth.where(is_train).to_numpy(), "group": ids})
    ROWS.write(rows.assign(weight=is_train.astype(float)), paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"]})
    images = pd.DataFrame({"image_id": [f"i{k}" for k in ids], "row_id": ids, "source": "s", "split": split})
    IMAGES.write(images.assign(width=1, height=1, digest="d"), paths.data("toy", "images.parquet"))
    index = images[["image_id"]].assign(view="identity")
    for name, part in {"one": parts[:, 0], "two": parts[:, 1]}.items():
        x = iter(part[:, None].astype(np.float32))
        features.write(paths.features("toy", name), index, x, n_columns=1, dtype="float32", attributes={})
    fold.run(make_config())
    for name in ("one", "two"):
        fit.run(make_config(), name)
    return SimpleNamespace(truth=truth, split=pd.Series(split, ids))


def taught(config=None):
    config = config or make_config()
    enlist.run(config, "pupil")
    teach.run(config, "pupil")
    return Scores.read(paths.student("toy", "pupil", "predictions"))


def test_a_student_predicts_every_row_and_keeps_what_it_was_taught(given):
    """Its targets lie beside its models, for each fold: labels, mixed, and the teachers' word on all other rows."""
    found = taught().table().set_index("row_id")
    assert found["split"].value_counts().to_dict() == {"train": N_TRAIN, "test": N - N_TRAIN - N_EXTRA}
    assert (found["p_0"].ge(0.5) == given.truth[found.index].eq(1)).mean() > 0.85
    assert models.folds(paths.student("toy", "pupil", "models")) == ["r0f0", "r0f1", "r0f2"]
    targets = TARGETS.read(paths.student("toy", "pupil", "targets.parquet"))
    folds = FoldTable.read(paths.dataset("toy")).assigned.set_index("row_id")["fold"]
    for number, part in targets.groupby("fold"):
        known = part[part["row_id"].isin(folds.index)]
        assert set(known["row_id"]) == set(folds.index[folds != number])
        assert np.allclose(known["weight"], 1)
        mixed = known["p_0"] - 0.7 * given.truth[known["row_id"]].to_numpy()
        assert mixed.between(0, 0.3).all()
        assert set(part["row_id"]) - set(known["row_id"]) == set(given.split.index[given.split != "train"])


def test_the_same_params_give_the_same_bytes(given):
    """Targets, models and predictions."""
    digests = []
    for _ in range(2):
        taught()
        digests.append(digest_of_folder(paths.student("toy", "pupil", "models").parent))
    assert digests[0] == digests[1]


def test_extra_rows_alone(given):
    """Test rows are left to the competition."""
    taught(make_config(PUPIL.model_copy(update={"splits": ("extra",)})))
    targets = TARGETS.read(paths.student("toy", "pupil", "targets.parquet"))
    assert set(given.split[targets["row_id"]]) == {"train", "extra"}


def test_teachers_that_may_have_seen_the_fold_are_refused(given):
    """Other folds than theirs, or no model of a fold: one line that names the teacher."""
    config = make_config()
    enlist.run(config, "pupil")
    about = paths.models("toy", "one") / "about.json"
    facts = json.loads(about.read_text())
    about.write_text(json.dumps(facts | {"folds": "0" * 32}))
    with pytest.raises(PodiumError, match=r"pupil\.teachers: one: the models in models/toy/one were fitted on"):
        teach.run(config, "pupil")
    about.write_text(json.dumps(facts))
    for file in paths.models("toy", "two").glob("r0f1.*"):
        file.unlink()
    with pytest.raises(PodiumError, match=r"teachers: two: models/toy/two has no models 'r0f1', so none that did not"):
        teach.run(config, "pupil")


def test_new_folds_make_other_models(given):
    """The digest of the folds is that of who was held out when; it is the same after they were read again."""
    table = FoldTable.read(paths.dataset("toy"))
    assert json.loads((paths.models("toy", "one") / "about.json").read_text())["folds"] == table.digest
    moved = table.table.assign(fold=(table.table["fold"] + 1) % 3)
    assert FoldTable(moved, table.scheme).digest != table.digest
    assert FoldTable(table.table.sample(frac=1, random_state=0), table.scheme).digest == table.digest


def test_what_was_enlisted_is_what_is_read(given):
    """A features file or predictions of another content are refused; so is a teacher without predictions."""
    config = make_config()
    enlist.run(config, "pupil")
    manifest = paths.teachers("toy", "pupil", "features")
    manifest.write_text(manifest.read_text().replace('"two": "', '"two": "0'))
    with pytest.raises(PodiumError, match=r"features/toy/two\.h5: not the file that"):
        teach.run(config, "pupil")
    enlist.run(config, "pupil")
    fit.run(
        Config.model_construct(
            params=config.params.model_copy(update={"members": {"one": Member(backbones=("one",), head=Head(C=0.5))}}),
            competition=config.competition,
        ),
        "one",
    )
    with pytest.raises(PodiumError, match=r"predictions/toy/one: not the predictions that"):
        teach.run(config, "pupil")
