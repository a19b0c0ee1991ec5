import json
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import config
from podium.errors import PodiumError
from podium.layouts.table import Layout
from podium.stages import prepare

COMPETITION = """\
title: Toy
source: {kind: folder, path: incoming}
layout: {kind: table, table: labels.csv, image: "{id}.png", max_unreadable: 0.1, metadata: [camera]}
task: {kind: binary, target: defect, above: 0.5}
metric: log_loss
metrics: []
"""
HOLDOUT = "holdout: {fraction: 0.25, stratify: [defect, camera], seed: 1}\n"


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """The raw folder of a competition of 40 images; the labels and cameras alternate."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/toy/raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(40):
        cv2.imwrite(str(folder / f"{n:03d}.png"), rng.integers(0, 256, (4, 5 + n % 2, 3), dtype=np.uint8))
    lines = [f"{n:03d},{n % 2},{'ab'[n // 2 % 2]}" for n in range(40)]
    (folder / "labels.csv").write_text("\n".join(["id,defect,camera", *lines]) + "\n")
    return folder


def prepared(competition=COMPETITION + HOLDOUT, limit=None):
    """Run the stage; return its tables and its audit."""
    (paths := config.paths).COMPETITIONS.mkdir(exist_ok=True)
    for key, default in (("holdout", "null"), ("submission", "{}")):
        competition += "" if f"\n{key}: " in competition else f"{key}: {default}\n"
    paths.competition("toy").write_text(competition)
    loaded = SimpleNamespace(
        params=SimpleNamespace(competition="toy", limit=limit), competition=config.load_competition("toy")
    )
    prepare.run(loaded)
    tables = {name: pd.read_parquet(paths.data("toy", f"{name}.parquet")) for name in ("images", "rows")}
    files = {"solution": "solution/solution.csv", "sample_submission": "sample_submission.csv"}
    tables |= {name: pd.read_csv(paths.data("toy", file), dtype=str) for name, file in files.items()}
    return SimpleNamespace(**tables, audit=json.loads(paths.data("toy", "audit.json").read_text()))


def test_a_quarter_is_held_out_and_its_labels_leave_the_rows(raw):
    """Ten rows of forty, of every label and camera; only solution.csv knows their labels."""
    done = prepared()
    test = done.rows[done.rows["split"] == "test"]
    assert len(test) == 10
    assert test["y"].isna().all()
    assert done.rows.loc[done.rows["split"] == "train", "y"].notna().all()
    assert "defect" not in "".join(done.rows.columns)
    assert done.solution["row_id"].tolist() == sorted(test["row_id"])
    assert (done.solution["y"].astype(float) == done.solution["row_id"].astype(int) % 2).all()
    assert set(test["row_id"].astype(int) % 4) == {0, 1, 2, 3}
    assert done.rows["meta_camera"].tolist() == ["ab"[n // 2 % 2] for n in range(40)]


def test_images_share_their_rows_split_and_say_their_size(raw):
    """Width before height, and a digest per image."""
    done = prepared()
    joined = done.images.merge(done.rows, on="row_id", suffixes=("", "_row"))
    assert (joined["split"] == joined["split_row"]).all()
    assert (done.images["width"] == 5 + done.images["image_id"].astype(int) % 2).all()
    assert (done.images["height"] == 4).all()
    assert done.images["digest"].nunique() == 40


def test_the_sample_submission_lists_the_test_rows(raw):
    """Sorted ids under the columns that the competition names."""
    done = prepared(COMPETITION + HOLDOUT + "submission: {columns: [cell, defective]}\n")
    assert done.sample_submission.columns.tolist() == ["cell", "defective"]
    assert done.sample_submission["cell"].tolist() == done.solution["row_id"].tolist()


def test_limit_keeps_the_shares_of_splits_and_labels(raw):
    """16 of 40 rows: 12 to train on and 4 to predict, half of each defective."""
    done = prepared(limit=16)
    assert done.rows["split"].value_counts().to_dict() == {"train": 12, "test": 4}
    assert done.rows["y"].mean() == 0.5
    assert done.solution["y"].astype(float).mean() == 0.5
    assert len(done.images) == 16
    every = set(prepared().rows.query("split == 'test'")["row_id"])
    assert every > set(done.rows.query("split == 'test'")["row_id"])
    assert set(done.sample_submission["id"]) == every  # the gate holds a trial's submission against all of them


def test_what_cannot_be_read_is_quarantined_and_keeps_its_row(raw):
    """A cut file, a web page and a missing file are listed with a reason, and the run goes on."""
    (raw / "001.png").write_bytes((raw / "001.png").read_bytes()[:40])
    (raw / "002.png").write_text("<html>")
    (raw / "003.png").unlink()
    (raw / "005.png").write_bytes((raw / "004.png").read_bytes())
    done = prepared()
    assert [(bad["image_id"], bad["reason"]) for bad in done.audit["quarantined"]] == [
        ("001", "it is damaged or cut short"),
        ("002", "it is text (a web page or a message?), no image"),
        ("003", "no file 003.png"),
    ]
    assert done.audit["rows_without_image"] == ["001", "002", "003"]
    assert done.audit["duplicates"] == [["004", "005"]]
    assert done.audit["sizes"] == {"5x4": 20, "6x4": 17}
    assert len(done.images) == 37
    assert len(done.rows) == 40


def test_unlabelled_train_rows_are_left_out_and_listed(raw):
    """Where there is a test table of its own, a row without a label can be neither trained on nor scored."""
    (raw / "labels.csv").write_text("id,defect,camera\n000,1,a\n001,,a\n002,0,b\n")
    (raw / "test.csv").write_text("id,camera\n010,b\n011,a\n")
    test = 'layout: {kind: table, table: labels.csv, image: "{id}.png", test: {table: test.csv, image: "{id}.png"}}'
    done = prepared(COMPETITION.replace(COMPETITION.splitlines()[2], test))
    assert done.audit["rows_without_label"] == ["001"]
    assert done.rows["row_id"].tolist() == ["000", "002", "010", "011"]
    assert done.solution.columns.tolist() == ["row_id", "y"]
    assert done.solution.empty


def test_unlabelled_train_rows_are_kept_for_students_on_request(raw):
    """As extra rows that weigh nothing, so that no model takes their label, which there is none of."""
    (raw / "labels.csv").write_text("id,defect,camera\n000,1,a\n001,,a\n002,0,b\n003,,b\n")
    done = prepared(COMPETITION.replace("max_unreadable: 0.1", "unlabelled: extra"))
    rows = done.rows.set_index("row_id")
    assert rows["split"].to_dict() == {"000": "train", "001": "extra", "002": "train", "003": "extra"}
    assert rows["weight"].tolist() == [1, 0, 1, 0]
    assert rows["y"].isna().tolist() == [False, True, False, True]
    assert done.images["split"].tolist() == ["train", "extra", "train", "extra"]
    assert done.audit["rows_without_label"] == ["001", "003"]


def test_the_competitions_own_sample_submission_is_kept(raw):
    """Its ids, its order and its columns; whole, however few rows a trial is of."""
    (raw / "labels.csv").write_text("id,defect,camera\n" + "".join(f"{n:03d},{n % 2},a\n" for n in range(20)))
    (raw / "sample.csv").write_text("id,p\n" + "".join(f"{n:03d},0.5\n" for n in range(39, 19, -1)))
    own = 'layout: {kind: table, table: labels.csv, image: "{id}.png", test: {table: sample.csv, image: "{id}.png"}}'
    yaml = COMPETITION.replace(COMPETITION.splitlines()[2], own) + "submission: {sample: sample.csv}\n"
    assert prepared(yaml).sample_submission["id"].tolist() == [f"{n:03d}" for n in range(39, 19, -1)]
    ids = prepared(yaml, limit=20).sample_submission["id"].tolist()
    assert ids == [f"{n:03d}" for n in range(39, 19, -1)]


@pytest.mark.parametrize(("kept", "message"), [(19, "it lacks these test rows"), (21, "no row for row_id '019'")])
def test_a_sample_that_disagrees_with_the_test_rows_is_refused(raw, kept, message):
    """One line with the ids on one side only."""
    (raw / "test.csv").write_text("id\n" + "".join(f"{n:03d}\n" for n in range(20, 40)))
    (raw / "sample.csv").write_text("id,p\n" + "".join(f"{n:03d},0.5\n" for n in range(40 - kept, 40)))
    (raw / "labels.csv").write_text("id,defect\n000,1\n001,0\n")
    own = 'layout: {kind: table, table: labels.csv, image: "{id}.png", test: {table: test.csv, image: "{id}.png"}}'
    with pytest.raises(PodiumError, match=message):
        prepared(COMPETITION.replace(COMPETITION.splitlines()[2], own) + "submission: {sample: sample.csv}\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[camera]}", "[camra]}"), "competitions/toy.yaml: layout.metadata: there is no column 'camra'"),
        (("[defect, camera]", "[Defect]"), "competitions/toy.yaml: holdout.stratify: there is no column 'Defect'"),
        (("metadata", "group: x, metadata"), "competitions/toy.yaml: layout.group: there is no column 'x'"),
        (
            ("metadata", "weight: camera, metadata"),
            "competitions/toy.yaml: column 'weight' has no value for row_id '000'",
        ),
    ],
)
def test_columns_that_do_not_exist_are_told_with_file_and_key(raw, change, message):
    """Before any image is opened."""
    with pytest.raises(PodiumError) as error:
        prepared((COMPETITION + HOLDOUT).replace(*change))
    assert str(error.value).startswith(message)


def test_an_id_that_comes_twice_is_refused(raw):
    """Two rows of one id could not be told apart in a submission."""
    with (raw / "labels.csv").open("a") as file:
        file.write("007,1,a\n")
    with pytest.raises(PodiumError, match=r"competitions/toy\.yaml: row_id must be unique; these come twice: '007'"):
        prepared()


ROWS_OF_TWO = 'layout: {kind: table, table: labels.csv, row: camera, image: "{id}.png"}'


def test_several_images_make_one_row(raw):
    """Lines of one row agree in their label; their images keep ids of their own."""
    (raw / "labels.csv").write_text("id,defect,camera\n000,1,a\n001,1,a\n002,0,b\n003,0,c\n004,0,c\n005,1,d\n")
    done = prepared(COMPETITION.replace(COMPETITION.splitlines()[2], ROWS_OF_TWO) + HOLDOUT.replace(", camera", ""))
    assert done.rows["row_id"].tolist() == ["a", "b", "c", "d"]
    assert done.images["row_id"].tolist() == ["a", "a", "b", "c", "c", "d"]
    assert done.images.groupby("row_id")["split"].nunique().max() == 1


def test_images_of_one_row_that_disagree_in_their_label_are_refused(raw):
    """Nobody knows which is right."""
    (raw / "labels.csv").write_text("id,defect,camera\n000,1,a\n001,0,a\n002,0,b\n")
    with pytest.raises(PodiumError, match="row_id must be unique; these come twice: 'a'"):
        prepared(COMPETITION.replace(COMPETITION.splitlines()[2], ROWS_OF_TWO))


def test_a_group_is_held_out_whole(raw):
    """Images of one camera on both sides would make the held-out score too good."""
    lines = [f"{n:03d},{n % 2},camera{n // 4}" for n in range(40)]
    (raw / "labels.csv").write_text("\n".join(["id,defect,camera", *lines]) + "\n")
    done = prepared((COMPETITION + HOLDOUT.replace(", camera", "")).replace("metadata", "group: camera, metadata"))
    assert done.rows.groupby("group")["split"].nunique().max() == 1
    assert done.rows["split"].value_counts()["test"] in (8, 12)


def test_images_that_no_row_names_are_counted(raw):
    """A folder that a template forgot shows up here."""
    (raw / "labels.csv").write_text("id,defect,camera\n" + "".join(f"{n:03d},{n % 2},a\n" for n in range(30)))
    audit = prepared().audit
    assert audit["unused_images"] == 10
    assert audit["first_unused_images"] == [f"{n:03d}.png" for n in range(30, 35)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("000,1,a\n001,1,a\n", "competitions/toy.yaml: task: defect puts all 2 rows to train on into one class"),
        ("000,,a\n001,,a\n", "competitions/toy.yaml: layout: not one row has a label to train on"),
    ],
)
def test_one_class_only_or_no_label_is_refused(raw, lines, message):
    """Before any image is opened."""
    (raw / "labels.csv").write_text("id,defect,camera\n" + lines)
    with pytest.raises(PodiumError) as error:
        prepared()
    assert str(error.value) == message


def test_metadata_may_not_tell_the_label(raw):
    """It would stay with the held-out rows."""
    with pytest.raises(PodiumError, match=r"layout\.metadata: 'defect' is what is to be predicted"):
        prepared((COMPETITION + HOLDOUT).replace("[camera]}", "[camera, defect]}"))


@pytest.mark.parametrize("allowed", ["0.1", "1.0"])
def test_no_readable_image_at_all_is_an_error(raw, allowed):
    """A wrong folder in `image` looks like this, whatever share is allowed: the template, a reason, what is there."""
    with pytest.raises(PodiumError) as error:
        prepared(
            (COMPETITION + HOLDOUT).replace('"{id}', '"x/{id}').replace("unreadable: 0.1", f"unreadable: {allowed}")
        )
    assert str(error.value).startswith(
        "competitions/toy.yaml: layout.image: 'x/{id}.png': 40 of 40 train images cannot be read, such as x/000.png"
        " (no file x/000.png); the nearest files are: '000.png', "
    )


def test_more_unreadable_images_than_allowed_are_refused(raw, capsys):
    """Of each part by itself: one bad test image of ten is a tenth. Up to the share it is said, and goes on."""
    (raw / "test.csv").write_text("id\n" + "".join(f"{n:03d}\n" for n in range(30, 40)))
    lines = (raw / "labels.csv").read_text().splitlines()[:31]
    (raw / "labels.csv").write_text("\n".join(lines) + "\n")
    own = '"{id}.png", test: {table: test.csv, image: "{id}.png"}, max_unreadable: %s}'
    competition = COMPETITION.replace('"{id}.png", max_unreadable: 0.1, metadata: [camera]}', own)
    (raw / "035.png").rename(raw / "x035.png")
    (raw / "003.png").write_text("<html>")
    done = prepared(competition % 0.1)
    assert [bad["image_id"] for bad in done.audit["quarantined"]] == ["003", "035"]
    out = capsys.readouterr().out
    assert "prepare: quarantined: 1 of 10 test images cannot be read, such as 035.png (no file 035.png)" in out
    assert "prepare: quarantined: 1 of 30 train images cannot be read, such as 003.png (it is text" in out
    with pytest.raises(PodiumError, match=r"layout\.test\.image: '\{id\}\.png': 1 of 10 test .* are: 'x035\.png', "):
        prepared(competition % 0.05)
    with pytest.raises(PodiumError, match=r"layout\.(test\.)?image: "):
        prepared(competition.replace(", max_unreadable: %s", ""))  # a hundredth is the default


def test_a_hundredth_is_allowed_by_default():
    """Most competitions have no bad image at all."""
    assert Layout(table="x.csv", image="{id}.png").max_unreadable == 0.01


def test_the_same_input_gives_the_same_bytes(raw):
    """Whatever the order of the labels' lines."""
    names = ["images.parquet", "rows.parquet", "sample_submission.csv", "solution/solution.csv", "audit.json"]
    prepared()
    before = [(raw.parent / name).read_bytes() for name in names]
    header, *lines = (raw / "labels.csv").read_text().splitlines()
    (raw / "labels.csv").write_text("\n".join([header, *reversed(lines)]))
    prepared()
    assert [(raw.parent / name).read_bytes() for name in names] == before


def test_copies_among_the_rows_to_train_on_share_a_group(raw):
    """The same file under three names: one group, so one fold; a copy in the test set changes nothing."""
    first = prepared()
    train = first.rows.loc[first.rows["split"] == "train", "row_id"].tolist()
    test = first.rows.loc[first.rows["split"] == "test", "row_id"].iloc[0]
    for name in (train[5], train[9], test):
        (raw / f"{name}.png").write_bytes((raw / f"{train[2]}.png").read_bytes())
    group = prepared().rows.set_index("row_id")["group"]
    assert group[train[5]] == group[train[9]] == group[train[2]] == train[2]
    assert group[test] == test
    assert group.nunique() == 38


def test_every_image_has_a_perceptual_hash(raw):
    """For finding copies that are no longer the same file."""
    prepared()
    hashes = pd.read_parquet(config.paths.data("toy", "hashes.parquet"))
    assert hashes.columns.tolist() == ["image_id", "row_id", "split", "hash"]
    assert hashes["hash"].is_unique
