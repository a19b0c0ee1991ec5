"""From a folder or a Kaggle competition to a YAML that works, on real competitions' layouts rebuilt small."""

import io
import re
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from podium import config
from podium.commands import check, new, use
from podium.contracts.tables import ROWS
from podium.errors import PodiumError
from podium.layouts.guess_columns import roles
from podium.layouts.guess_task import answer_of, separator_of
from podium.stages import augment, bank, download, ensemble, extract, finetune, fit, fold, fuse, gather, score, submit

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def image():
    return cv2.imencode(".jpg", RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8))[1].tobytes()


def images(pattern, ids):
    return {pattern.format(name): image() for name in ids}


def table(header, lines):
    return "\n".join([header, *lines]).encode() + b"\n"


def dogs_vs_cats():
    """Labels in the file names, one archive for each split, ids 1 to n."""
    return {
        "train.zip": zipped(images("train/cat.{}.jpg", range(12)) | images("train/dog.{}.jpg", range(12))),
        "test.zip": zipped(images("test/{}.jpg", range(1, 6))),
        "sample_submission.csv": table("id,label", [f"{n},0.5" for n in range(1, 6)]),
    }


def plant_pathology():
    """One folder for both splits, and a column of 0 and 1 per class."""
    classes = "healthy,multiple_diseases,rust,scab"
    marks = [",".join(str(int(n % 4 == place)) for place in range(4)) for n in range(16)]
    members = {
        **images("images/Train_{}.jpg", range(16)),
        **images("images/Test_{}.jpg", range(4)),
        "train.csv": table(f"image_id,{classes}", [f"Train_{n},{marks[n]}" for n in range(16)]),
        "test.csv": table("image_id", [f"Test_{n}" for n in range(4)]),
        "sample_submission.csv": table(f"image_id,{classes}", [f"Test_{n},0.25,0.25,0.25,0.25" for n in range(4)]),
    }
    return {"plants.zip": zipped(members)}


def dog_breed():
    """A table of labels, and a sample of 120 columns."""
    breeds = [f"breed_{n:03d}" for n in range(120)]
    members = {
        **images("train/{:04x}.jpg", range(240)),
        **images("test/{:04x}.jpg", range(300, 304)),
        "labels.csv": table("id,breed", [f"{n:04x},{breeds[n % 120]}" for n in range(240)]),
        "sample_submission.csv": table(
            ",".join(["id", *breeds]), [",".join([f"{n:04x}", *["0.0083"] * 120]) for n in range(300, 304)]
        ),
    }
    return {"breeds.zip": zipped(members)}


def pawpularity():
    """Values, and metadata in the tables of both splits."""
    members = {
        **images("train/{:04x}.jpg", range(30)),
        **images("test/{:04x}.jpg", range(40, 44)),
        "train.csv": table("Id,Subject Focus,Eyes,Pawpularity", [f"{n:04x},{n % 2},1,{n + 1}" for n in range(30)]),
        "test.csv": table("Id,Subject Focus,Eyes", [f"{n:04x},0,1" for n in range(40, 44)]),
        "sample_submission.csv": table("Id,Pawpularity", [f"{n:04x},38.4" for n in range(40, 44)]),
    }
    return {"pets.zip": zipped(members)}


def planet():
    """Several words a row, and folders called otherwise."""
    tags = ["clear primary", "cloudy", "haze road water", "clear", "primary road", "clear water", "haze primary"]
    return {
        **images("train-jpg/train_{}.jpg", range(21)),
        **images("test-jpg/test_{}.jpg", range(3)),
        "train_v2.csv": table("image_name,tags", [f"train_{n},{tags[n % 7]}" for n in range(21)]),
        "sample_submission_v2.csv": table("image_name,tags", [f"test_{n},primary clear" for n in range(3)]),
    }


def cifar():
    """Ids that both splits use, in archives of their own."""
    return {
        "all.zip": zipped(
            {
                "train.zip": zipped(images("train/{}.jpg", range(1, 21))),
                "test.zip": zipped(images("test/{}.jpg", range(1, 6))),
                "trainLabels.csv": table("id,label", [f"{n},{['cat', 'dog', 'frog'][n % 3]}" for n in range(1, 21)]),
                "sampleSubmission.csv": table("id,label", [f"{n},cat" for n in range(1, 6)]),
            }
        )
    }


def whales():
    """File names as ids, and five labels a row."""
    return {
        **images("train/{:04x}.jpg", range(20)),
        **images("test/{:04x}.jpg", range(30, 33)),
        "train.csv": table("Image,Id", [f"{n:04x}.jpg,w_{n % 6}" for n in range(20)]),
        "sample_submission.csv": table("Image,Id", [f"{n:04x}.jpg,w_0 w_1 w_2 w_3 w_4" for n in range(30, 33)]),
    }


def flowers():
    """A folder per class and nothing else."""
    return images("photos/daisy/d{}.jpg", range(8)) | images("photos/rose/r{}.jpg", range(8))


def skin_lesions():
    """Several photographs a row, of patients that test does not share, with metadata of both."""
    lines = [
        f"m{n // 2},m{n // 2}_{n % 2},p{n // 6},{30 + n // 2 % 7},{['arm', 'leg', 'back'][n % 3]}" for n in range(36)
    ]
    asked = [f"m{n // 2},m{n // 2}_{n % 2},p{n // 6},{30 + n // 2 % 7},arm" for n in range(36, 48)]
    grades = ["benign", "malign", "benign"]
    return {
        **images("photos/{}.jpg", [f"m{n // 2}_{n % 2}" for n in range(48)]),
        "train.csv": table(
            "lesion,image,patient_id,age,site,diagnosis",
            [f"{line},{grades[n // 2 % 3]}" for n, line in enumerate(lines)],
        ),
        "test.csv": table("lesion,image,patient_id,age,site", asked),
        "sample_submission.csv": table("lesion,target", [f"m{n},0.5" for n in range(18, 24)]),
    }


def proteins():
    """A name with a suffix for each colour, and numbers of labels between bars."""
    names = [f"{n:04x}_{colour}" for n in range(16) for colour in ("green", "red")]
    asked = [f"{n:04x}_{colour}" for n in range(40, 43) for colour in ("green", "red")]
    return {
        **images("train/{}.png", names),
        **images("test/{}.png", asked),
        "train.csv": table("Id,Target", [f"{n:04x},{['0', '1|2', '2', '0|1'][n % 4]}" for n in range(16)]),
        "sample_submission.csv": table("Id,Predicted", [f"{n:04x},0" for n in range(40, 43)]),
    }


def adoption():
    """One to three photographs a row, numbered."""
    names = [f"pet{n}-{k}" for n in range(24) for k in range(1, 2 + n % 3)]
    return {
        **images("train_images/{}.jpg", [name for name in names if int(name[3:].split("-")[0]) < 18]),
        **images("test_images/{}.jpg", [name for name in names if int(name[3:].split("-")[0]) >= 18]),
        "train.csv": table("PetID,Age,AdoptionSpeed", [f"pet{n},{n % 5},{n * 1.5}" for n in range(18)]),
        "test.csv": table("PetID,Age", [f"pet{n},{n % 5}" for n in range(18, 24)]),
        "sample_submission.csv": table("PetID,AdoptionSpeed", [f"pet{n},7.5" for n in range(18, 24)]),
    }


def captions():
    """A text file for each image, in a folder of its own; a label may have a space."""
    kinds = ["big cat", "small cat", "big dog", "small dog"]
    return images("data/images/{}.png", range(24)) | {
        f"data/labels/{n}.txt": f"{kinds[n % 4]}\n".encode() for n in range(24)
    }


def split_folders():
    """A folder per class for each split."""
    return {
        **images("set/train/big cat/{}.jpg", range(9)),
        **images("set/train/dog/{}.jpg", range(9)),
        **images("set/train/owl/{}.jpg", range(9)),
        **images("set/test/big cat/{}.jpg", range(2)),
        **images("set/test/dog/{}.jpg", range(2)),
        **images("set/test/owl/{}.jpg", range(2)),
    }


def paths_in_a_table():
    """Paths below a folder as ids, labels that are two words, and nothing to predict but a part of these."""
    kinds = ["big cat", "small cat", "big dog", "small dog", "big owl", "small owl"]
    return {
        **images("data/cam1/{}.jpg", range(18)),
        "data/index.csv": table("path,kind", [f"cam1/{n}.jpg,{kinds[n % 6]}" for n in range(18)]),
    }


TABLE = {"kind": "table"}
CASES = {
    skin_lesions: (
        TABLE
        | {"id": "image", "row": "lesion", "image": "photos/{image}.jpg", "group": "patient_id"}
        | {"metadata": ["age"], "test": {"table": "test.csv"}},
        {"kind": "binary", "target": "diagnosis", "positive": "malign"},
        "log_loss",
        (18, 6),
    ),
    proteins: (
        TABLE | {"image": ["train/{Id}_green.png", "train/{Id}_red.png"]},
        {"kind": "multilabel", "target": "Target", "separator": "|"},
        "f1_micro",
        (16, 3),
    ),
    adoption: (
        TABLE | {"image": "train_images/{PetID}-*.jpg", "metadata": ["Age"]},
        {"kind": "regression", "target": "AdoptionSpeed"},
        "rmse",
        (18, 6),
    ),
    captions: (
        {"kind": "label_files", "images": "data/images/{name}.*", "labels": "data/labels/{name}.txt"},
        {"kind": "multiclass", "target": "label"},
        "accuracy",
        (18, 6),
    ),
    split_folders: (
        {"kind": "files", "images": "set/train/{label}/{name}.*"},
        {"kind": "multiclass", "target": "label"},
        "accuracy",
        (27, 6),
    ),
    paths_in_a_table: (
        TABLE | {"table": "data/index.csv", "image": "data/{path}"},
        {"kind": "multiclass", "target": "kind"},
        "accuracy",
        (14, 4),
    ),
    dogs_vs_cats: (
        {"kind": "files", "images": "train.zip#train/{label}.{number}.*", "test": {"images": "test.zip#test/{id}.jpg"}},
        {"kind": "binary", "target": "label", "positive": "dog"},
        "log_loss",
        (24, 5),
    ),
    plant_pathology: (
        TABLE | {"table": "plants.zip#train.csv", "image": "plants.zip#images/{image_id}.jpg"},
        {"kind": "multiclass", "targets_of": ["healthy", "multiple_diseases", "rust", "scab"]},
        "log_loss",
        (16, 4),
    ),
    dog_breed: (
        TABLE | {"table": "breeds.zip#labels.csv", "id": "id"},
        {"kind": "multiclass", "target": "breed"},
        "log_loss",
        (240, 4),
    ),
    pawpularity: (
        TABLE | {"metadata": ["Subject Focus", "Eyes"]},
        {"kind": "regression", "target": "Pawpularity"},
        "rmse",
        (30, 4),
    ),
    planet: (
        TABLE | {"image": "train-jpg/{image_name}.jpg"},
        {"kind": "multilabel", "target": "tags"},
        "f1_micro",
        (21, 3),
    ),
    cifar: (TABLE | {"id": "train_{id}"}, {"kind": "multiclass", "target": "label"}, "accuracy", (20, 5)),
    whales: (TABLE | {"image": "train/{Image}"}, {"kind": "multiclass", "target": "Id", "top": 5}, "map@5", (20, 3)),
    flowers: (
        {"kind": "files", "images": "photos/{label}/{name}.*"},
        {"kind": "binary", "target": "label", "positive": "rose"},
        "log_loss",
        (12, 4),
    ),
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_layout_is_guessed(root, case, capsys):
    """The YAML loads, its main guesses are right, and the audit has prepared all rows with labels for train only."""
    layout, task, metric, (n_train, n_test) = CASES[case]
    put(root / "My Files", case())
    new.run("My Files")
    written = YAML(typ="safe").load(config.paths.competition("my-files").read_text())
    assert written["layout"].items() >= layout.items()
    assert written["task"] == task
    assert written["metric"] == metric
    assert config.load_competition("my-files").task.kind == task["kind"]
    rows = ROWS.read(config.paths.data("my-files", "rows.parquet"))
    assert rows["split"].value_counts().to_dict() == {"train": n_train, "test": n_test}
    labels = rows.filter(regex=r"^y(_\d+)?$")
    assert labels[rows["split"] == "train"].notna().all(axis=None)
    assert labels[rows["split"] == "test"].isna().all(axis=None)
    assert config.load_params(config.paths.RECIPES / "my-files.yaml").competition == "my-files"
    out = capsys.readouterr().out
    assert "competitions/my-files.yaml is written; look through it" in out
    assert "not known: metric" in out
    assert "quarantined" not in out


SUBMITTED = {
    skin_lesions: r"m18,0\.\d+",
    proteins: r"0028,[0-2|]*",
    adoption: r"pet18,\d+\.\d+",
    captions: r"\d+,(big|small) (cat|dog)",
    split_folders: r"test/big cat/0,(big cat|dog|owl)",
    paths_in_a_table: r"cam1/\d+\.jpg,(big|small) (cat|dog|owl)",
    dogs_vs_cats: r"1,0\.\d+",
    plant_pathology: r"Test_0(,0\.\d+){4}",
    dog_breed: r"012c(,[\d.e-]+){120}",
    pawpularity: r"0028,\d+\.\d+",
    planet: r"test_0,[a-z ]*",
    cifar: r"1,(cat|dog|frog)",
    whales: r"001e\.jpg,(w_\d ?){5}",
    flowers: r"(daisy/d|rose/r)\d,0\.\d+",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_draft_leads_to_a_submission(root, case, monkeypatch):
    """Every stage runs on both drafts as they are, and the gate lets the submission through: a first hour."""
    monkeypatch.setenv("PODIUM_CACHE", str(root / "cache"))
    put(root / "files", case())
    new.run("files")
    use.run("files")
    loaded = config.load()
    for stage in (fold, augment):
        stage.run(loaded)
    for stage, names in (
        (extract, loaded.params.backbones),
        (fit, loaded.params.members),
        (gather, loaded.params.fusions),
        (fuse, loaded.params.fusions),
    ):
        for name in names:
            stage.run(loaded, name)
    for stage in (bank, ensemble, submit, score):
        stage.run(loaded)
    check.run(loaded, None)
    header, first, *_ = (root / "submissions/files.csv").read_text().splitlines()
    assert re.fullmatch(SUBMITTED[case], first)
    assert header == (root / "data/files/sample_submission.csv").read_text().splitlines()[0]


def test_the_made_up_labels_of_a_sample_are_no_solution(root):
    """A held-out score against them would mean nothing."""
    put(root / "files", cifar())
    new.run("files")
    assert config.paths.data("files", "solution/solution.csv").read_text() == "row_id,y\n"


def test_guesses_have_their_reasons(root):
    """A comment above each section."""
    put(root / "files", dog_breed())
    new.run("files")
    text = config.paths.competition("files").read_text()
    assert "# guessed: 100% of id in breeds.zip#labels.csv name images; 100% of id in breeds.zip#sample" in text
    assert "# guessed: the sample has 120 columns, one per label\ntask:" in text
    assert "holdout: null\n" in text


def test_a_competition_of_kaggle_is_not_downloaded_twice(root, kaggle, capsys):
    """What `podium new` fetched is there for the first `dvc repro`."""
    kaggle.data = plant_pathology()["plants.zip"]
    new.run("toy")
    assert "competition: toy" in config.paths.competition("toy").read_text()
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in config.paths.raw("toy").iterdir()}
    params = config.Params.model_construct(competition="toy")
    download.run(config.Config.model_construct(params=params, competition=config.load_competition("toy")))
    assert "Skipping, found more recently modified local copy" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in config.paths.raw("toy").iterdir()} == before


def test_a_yaml_that_is_there_is_kept(root):
    """Somebody's work is in it."""
    put(root / "competitions", {"files.yaml": b"mine"})
    put(root / "files", flowers())
    with pytest.raises(PodiumError, match=r"competitions/files\.yaml: is there already"):
        new.run("files")
    assert (root / "competitions/files.yaml").read_bytes() == b"mine"


@pytest.mark.parametrize("what", ["No/Such/Folder", "Capital", "a b"])
def test_neither_a_folder_nor_a_name(root, what):
    """One line that says what both are."""
    with pytest.raises(PodiumError, match="is neither a folder here nor the name of a Kaggle competition"):
        new.run(what)


def test_files_that_tell_no_labels(root, capsys):
    """What is missing stands as a question in the draft."""
    put(root / "files", images("{}.jpg", ["a", "b"]))
    new.run("files")
    text = config.paths.competition("files").read_text()
    assert "# ? layout: no table, folder or file name tells the labels; where are they?\nlayout:" in text
    assert "# ? task: what is to be predicted?\ntask:" in text
    assert "not known: layout: no table" in capsys.readouterr().out


def voc(n):
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>7</ymax></bndbox>"
    kind = ["dog", "big cat"][n % 2]
    size = "<size><width>8</width><height>8</height><depth>3</depth></size>"
    return f"<annotation>{size}<object><name>{kind}</name>{box}</object></annotation>".encode()


QUESTIONS = {
    "yolo": (
        images("images/{}.jpg", range(6)) | {f"labels/{n}.txt": b"0 0.5 0.5 0.25 0.2\n" for n in range(6)},
        "task: 6 .txt files hold boxes (YOLO text), and boxes are a task of their own",
    ),
    "masks": (
        images("images/{}.png", range(6))
        | {"train.csv": table("ImageId,EncodedPixels", [f"{n // 2}.png,1 3 10 {n + 2}" for n in range(6)])},
        "task: EncodedPixels holds run-length encoded masks",
    ),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_marks_inside_of_images_are_asked_about(root, case, capsys):
    """No row has one answer there: the draft says what the files hold, in one line."""
    files, question = QUESTIONS[case]
    put(root / "files", files)
    new.run("files")
    assert question in capsys.readouterr().out
    assert f"# ? {question}" in config.paths.competition("files").read_text()


def bright_squares():
    """Run lengths of a bright square, and an image without one."""
    rng = np.random.default_rng(1)
    files, lines = {}, []
    for n in range(16):
        pixels, mask = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8), np.zeros((16, 16), bool)
        if n:
            mask[n % 5 : n % 5 + 6, 2 : 3 + n % 7] = True
        pixels[mask] += 150
        folder = "train" if n < 12 else "test"
        files[f"{folder}/{n:02x}.png"] = cv2.imencode(".png", pixels)[1].tobytes()
        down = np.flatnonzero(np.diff(np.pad(mask.ravel(order="F").astype(int), 1)))
        runs = " ".join(f"{start + 1} {end - start}" for start, end in down.reshape(-1, 2))
        lines.append(f"{n:02x}.png,{runs}")
    files["train.csv"] = table("ImageId,EncodedPixels", lines[:12])
    files["sample_submission.csv"] = table("ImageId,EncodedPixels", [f"{n:02x}.png,1 1" for n in range(12, 16)])
    return files


def test_boxes_in_voc_files(root, capsys):
    """The draft names the files and the classes in them, and prepare reads every box; a recipe is not guessed."""
    put(root / "files", images("JPEGImages/{}.jpg", range(8)) | {f"Annotations/{n}.xml": voc(n) for n in range(8)})
    new.run("files")
    competition = config.load_competition("files")
    assert competition.task.kind == "boxes"
    assert competition.task.classes == ("big cat", "dog")
    assert len(ROWS.read(config.paths.data("files", "rows.parquet"))) == 8
    out = capsys.readouterr().out
    assert "which of their classes are asked for?" in out
    assert "no recipe: for boxes, see docs/boxes.md" in out


@pytest.mark.keras
def test_masks_in_a_column_lead_to_a_submission(root, monkeypatch):
    """The drafts train a small network as they are; ids stay file names."""
    monkeypatch.setenv("PODIUM_CACHE", str(root / "cache"))
    put(root / "files", bright_squares())
    new.run("files")
    use.run("files")
    loaded = config.load()
    assert loaded.competition.task.kind == "masks"
    fold.run(loaded)
    augment.run(loaded)
    finetune.run(loaded, "unet")
    for stage in (bank, ensemble, submit, score):
        stage.run(loaded)
    check.run(loaded, None)
    header, *lines = (root / "submissions/files.csv").read_text().splitlines()
    assert header == "ImageId,EncodedPixels"
    assert [line.partition(",")[0] for line in lines] == ["0c.png", "0d.png", "0e.png", "0f.png"]


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["big cat", "small cat", "big dog", "small dog"], None),
        (["big cat", "small cat", "huge cat", "big dog", "small dog", "huge dog", "big owl", "small owl", "cat"], None),
        (["new york", "new delhi", "york"], None),
        (["clear", "clear primary", "primary road", "haze primary", "cloudy"], " "),
        (["a b", "b a", "a", "b"], " "),
        (["a|b", "b|c", "a"], "|"),
        (["red, round", "round, blue", "blue"], ", "),
        (["cat", "dog"], None),
    ],
)
def test_lists_of_labels_and_labels_of_several_words(labels, separator):
    """A word of a name keeps its place; one of a list does not."""
    assert separator_of(labels) == separator


def test_a_sample_of_one_name_is_no_list():
    """`big cat` in the sample never makes MAP@2."""
    values = pd.DataFrame({"kind": ["big cat", "small cat", "big dog"] * 5})
    answer = answer_of(values, "kind", ["kind"], pd.Series(["big cat"] * 4))
    assert answer.task == {"kind": "multiclass", "target": "kind"}
    assert answer.metric == "accuracy"
    assert any("'big cat' one label" in question for question in answer.questions)


def test_time_and_groups_are_told_from_metadata():
    """By the values of test: all later, none in common, or some."""
    n = np.arange(40)
    train = pd.DataFrame(
        {
            "taken": [f"2020-01-{1 + k % 28:02d}" for k in n],
            "farm": [f"f{k // 8}" for k in n],
            "age": (n % 7).astype(str),
            "note": [f"text {k}" for k in n],
            "label": (n % 2).astype(str),
        }
    )
    test = train.drop(columns="label").assign(taken="2020-03-01", farm="f9", note="text")
    found = roles(train, test, ["label"])
    assert (found.target, found.group, found.time, found.metadata) == ("label", "farm", "taken", ("taken", "age"))
    assert roles(train, test.assign(farm="f1"), ["label"]).group is None
