"""fold, fit, gather and fuse, on disk: from rows and features files to predictions by id."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.config import Competition, Config, Params
from podium.contracts import features
from podium.contracts.folds import FoldTable
from podium.contracts.predictions import digest_of_folder
from podium.contracts.scores import Scores
from podium.contracts.tables import IMAGES, ROWS
from podium.errors import PodiumError
from podium.fitting.member import Member
from podium.heads.logistic import Head
from podium.imaging.views import Views
from podium.splits.folds import Folds
from podium.stages import fit, fold, fuse, gather
from podium.storage.files import digest
from podium.tasks.binary import Task

N = 60
VIEWS = ("hflip", "identity")


def make_config(**folds):
    """Params and competition without their files."""
    params = Params.model_construct(
        competition="toy",
        seed=1,
        folds=Folds(**{"k": 3} | folds),
        views=Views(train=("identity",), test=VIEWS),
        members={"alone": Member(backbones=("one",), head=Head(C=1.0))},
        fusions={
            "both": Member(backbones=("two", "one"), head=Head(C=1.0)),
            "chosen": Member(backbones=("one", "noise", "two"), head=Head(C=1.0), select="forward"),
        },
    )
    competition = Competition.model_construct(title="Toy", task=Task(target="x"))
    return Config.model_construct(params=params, competition=competition)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Forty train and twenty test rows; backbone one tells half of the truth, backbone two the other half."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"r{k:02d}" for k in range(N)]
    parts = rng.normal(size=(N, 2))
    y = (parts.sum(axis=1) > 0).astype(float)
    split = np.where(np.arange(N) < 40, "train", "test")
    rows = pd.DataFrame({"row_id": ids, "split": split, "y": y, "weight": 1.0, "group": ids})
    ROWS.write(rows, paths.data("toy", "rows.parquet"), {"labels": ["no", "yes"], "task": "binary"})
    images = pd.DataFrame({"image_id": [f"i{k}" for k in ids], "row_id": ids, "source": "s", "split": split})
    IMAGES.write(images.assign(width=1, height=1, digest="d"), paths.data("toy", "images.parquet"))
    index = pd.DataFrame([(i, v) for i in images["image_id"] for v in VIEWS], columns=["image_id", "view"])
    for name, part in {"one": parts[:, 0], "two": parts[:, 1], "noise": rng.normal(size=N)}.items():
        x = np.repeat(part[:, None], 2, axis=0).astype(np.float32)
        features.write(
            paths.features("toy", name),
            index,
            iter(x),
            n_columns=1,
            dtype="float32",
            attributes={"backbone": name},
        )
    return rows


def accuracy(name, rows):
    """Return the share of right decisions for train rows and for test rows."""
    found = Scores.read(paths.predictions("toy", name)).table().merge(rows, on=["row_id", "split"], validate="1:1")
    assert len(found) == N
    return (found["p_0"].ge(0.5) == found["y"].eq(1)).groupby(found["split"]).mean()


def test_a_member_predicts_every_row_and_a_fusion_more_of_the_truth(given):
    """Two halves of the truth side by side beat one, for train rows out of fold and for test rows."""
    config = make_config()
    fold.run(config)
    fit.run(config, "alone")
    gather.run(config, "both")
    fuse.run(config, "both")
    assert (accuracy("alone", given) < 0.9).all()
    assert (accuracy("both", given) > 0.85).all()
    assert Scores.read(paths.predictions("toy", "both")).labels == ("no", "yes")


def test_stages_write_the_same_bytes_again(given):
    """Whatever the order of the rows in the file."""
    config, written = make_config(), []
    for _ in range(2):
        fold.run(config)
        fit.run(config, "alone")
        written.append(
            [digest(paths.data("toy", "folds.parquet")), digest_of_folder(paths.predictions("toy", "alone"))]
        )
        path = paths.data("toy", "images.parquet")
        IMAGES.read(path).sample(frac=1, random_state=1).to_parquet(path, index=False)
    assert written[0] == written[1]


def test_folds_of_the_users_own_are_checked_and_taken(given):
    """A file without repeats is one repeat; one that lacks a row is refused in one line."""
    train = given.loc[given["split"] == "train", "row_id"]
    own = pd.DataFrame({"row_id": train, "fold": np.arange(40) % 3})
    own.to_csv("own.csv", index=False)
    config = make_config(file="own.csv")
    fold.run(config)
    taken = FoldTable.read(paths.dataset("toy"))
    assert taken.table["fold"].tolist() == own["fold"].tolist()
    assert taken.scheme == "stratified"
    own[1:].to_csv("own.csv", index=False)
    with pytest.raises(PodiumError, match=r"own\.csv: repeat 0 has no fold for row_id 'r00'"):
        fold.run(config)
    with pytest.raises(PodiumError, match=r"params\.yaml: folds\.file: there is no none\.csv"):
        fold.run(make_config(file="none.csv"))


def test_the_manifest_lists_exactly_what_the_fusion_names(given):
    """By digest and sorted; a file more in the folder is no matter, a file that lacks is one line."""
    config = make_config()
    (paths.features("toy", "three")).write_bytes(b"another")
    gather.run(config, "both")
    manifest = json.loads(paths.fusion("toy", "both").read_text())
    assert manifest == {name: digest(paths.features("toy", name)) for name in ("one", "two")}
    paths.features("toy", "two").unlink()
    with pytest.raises(PodiumError, match=r"features/toy/two\.h5: .* the fusion both needs it"):
        gather.run(config, "both")


def test_a_fusion_refuses_files_that_its_manifest_does_not_list(given):
    """Features made anew after the manifest was written would go unnoticed by DVC."""
    config = make_config()
    fold.run(config)
    gather.run(config, "both")
    with h5py.File(paths.features("toy", "two"), "r+") as file:
        file["features"][0] = 7
    with pytest.raises(PodiumError, match=r"features/toy/two\.h5: not the file that data/toy/fusions/both\.json lists"):
        fuse.run(config, "both")


def test_forward_selection_leaves_out_what_does_not_help(given):
    """Noise is refused, the predictions are those of the fusion of the others, and the path is written."""
    config = make_config()
    fold.run(config)
    for name in ("both", "chosen"):
        gather.run(config, name)
        fuse.run(config, name)
    both, chosen = (Scores.read(paths.predictions("toy", name)).table() for name in ("both", "chosen"))
    np.testing.assert_allclose(both["p_0"], chosen["p_0"], atol=1e-3)
    path = pd.read_csv(paths.fusion_path("toy", "chosen", "csv"))
    assert sorted(path["added"]) == ["one", "two"]
    assert path["gain"].isna().tolist() == [True, False]
    assert path["gain"][1] == pytest.approx(path["loss"][0] - path["loss"][1])
    assert path["gain"][1] > 0
    assert paths.fusion_path("toy", "chosen", "png").read_bytes().startswith(b"\x89PNG")
    assert pd.read_csv(paths.fusion_path("toy", "both", "csv"))["added"].tolist() == ["two + one"]
