"""The competitions and recipes that come with the repository."""

import io
import zipfile
from pathlib import Path

import numpy as np
import py7zr
import pytest
from PIL import Image

from podium import config
from podium.contracts.dataset import Dataset
from podium.storage.archives import repack
from podium.storage.raw import Raw

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
COMPETITIONS = sorted(path.stem for path in (ROOT / "competitions").glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_loads_and_opens_with_its_command(name, monkeypatch, tmp_path):
    """Every name in it exists, and its heads can do its competition's task."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "competitions").symlink_to(ROOT / "competitions")
    text = (ROOT / f"recipes/{name}.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text)
    config.load()
    opening = text.partition("\ncompetition:")[0]
    assert "make submission" in opening


@pytest.mark.parametrize("name", COMPETITIONS)
def test_a_competition_loads_and_opens_with_its_command_and_score(name, monkeypatch):
    """The score to expect is marked as measured here or as published elsewhere."""
    monkeypatch.chdir(ROOT)
    config.load_competition(name)
    opening = (ROOT / f"competitions/{name}.yaml").read_text().partition("\ntitle:")[0].lower()
    assert "make submission" in opening
    assert "published" in opening or "measured" in opening


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def sevened(members):
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(content, name)
    return file.getvalue()


def picture(mode="RGB", px=4, paint=()):
    """Return a PNG of one colour, with a square of white at its top left."""
    image = Image.new(mode, (px, px))
    for x, y in paint:
        image.putpixel((x, y), 65535 if mode == "I;16" else 255)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


METADATA = "Subject Focus,Eyes,Face,Near,Action,Accessory,Group,Collage,Human,Occlusion,Info,Blur"
FILES = {
    "dogs-vs-cats-redux": {
        "train.zip": zipped({"train/cat.0.jpg": b"", "train/dog.0.jpg": b""}),
        "test.zip": zipped({"test/1.jpg": b""}),
        "sample_submission.csv": b"id,label\n1,0.5\n",
    },
    "dog-breed": {
        "train/00a.jpg": b"",
        "train/00b.jpg": b"",
        "test/00c.jpg": b"",
        "labels.csv": b"id,breed\n00a,pug\n00b,whippet\n",
        "sample_submission.csv": b"id,pug,whippet\n00c,0.5,0.5\n",
    },
    "plant-pathology-2020": {
        "images/Train_0.jpg": b"",
        "images/Train_1.jpg": b"",
        "images/Test_0.jpg": b"",
        "train.csv": b"image_id,healthy,multiple_diseases,rust,scab\nTrain_0,1,0,0,0\nTrain_1,0,0,0,1\n",
        "test.csv": b"image_id\nTest_0\n",
        "sample_submission.csv": b"image_id,healthy,multiple_diseases,rust,scab\nTest_0,0.25,0.25,0.25,0.25\n",
    },
    "petfinder-pawpularity": {
        "train/0a.jpg": b"",
        "train/0b.jpg": b"",
        "test/0c.jpg": b"",
        "train.csv": f"Id,{METADATA},Pawpularity\n0a{',0' * 12},63\n0b{',1' * 12},42\n".encode(),
        "test.csv": f"Id,{METADATA}\n0c{',0' * 12}\n".encode(),
        "sample_submission.csv": b"Id,Pawpularity\n0c,65.6\n",
    },
    "kaggle-cifar-10": {
        "train.7z": sevened({"train/1.png": b"", "train/2.png": b""}),
        "test.7z": sevened({"test/1.png": b""}),
        "trainLabels.csv": b"id,label\n1,frog\n2,truck\n",
        "sampleSubmission.csv": b"id,label\n1,cat\n",
    },
}


@pytest.mark.parametrize("name", FILES)
def test_kaggles_archive_is_read_as_it_comes(name, monkeypatch, tmp_path):
    """Two images to train on and one to predict, all found; two targets, and none of the test row's."""
    monkeypatch.chdir(ROOT)
    competition = config.load_competition(name)
    (tmp_path / f"{competition.source.competition}.zip").write_bytes(zipped(FILES[name]))
    repack(tmp_path)
    listing = competition.layout.read(tmp_path)
    with Raw(tmp_path) as raw:
        assert all(source in raw for source in listing.images["source"])
        assert competition.submission.sample in raw
    assert listing.rows["split"].tolist() == ["train", "train", "test"]
    targets = competition.task.encode(listing.rows, "x").columns
    assert targets.notna().all(axis=1).tolist() == [True, True, False]
    assert targets["y"].nunique() == 2


MASKS = {
    "tgs-salt": {
        "train.zip": zipped(
            {
                "images/a.png": picture(),
                "images/b.png": picture(),
                "masks/a.png": picture("I;16", paint=[(0, 1), (0, 2)]),
                "masks/b.png": picture("I;16"),
            }
        ),
        "test.zip": zipped({"images/c.png": picture()}),
        "depths.csv": b"id,z\na,306\nb,157\nc,111\n",
        "train.csv": b"id,rle_mask\na,2 2\nb,\n",
        "sample_submission.csv": b"id,rle_mask\nc,1 1\n",
    },
    "severstal-steel": {
        "train_images/a.jpg": picture(),
        "train_images/b.jpg": picture(),
        "test_images/c.jpg": picture(),
        "train.csv": b"ImageId,ClassId,EncodedPixels\na.jpg,3,2 2\n",
        "sample_submission.csv": b"ImageId_ClassId,EncodedPixels\n"
        + b"".join(b"c.jpg_%d,1 1\n" % k for k in range(1, 5)),
    },
    "hubmap-organ": {
        "train_images/1.tiff": picture(),
        "train_images/2.tiff": picture(),
        "test_images/10.tiff": picture(),
        "train.csv": b"id,organ,data_source,rle\n1,lung,HPA,2 2\n2,kidney,HPA,1 1\n",
        "test.csv": b"id,organ,data_source\n10,spleen,Hubmap\n",
        "sample_submission.csv": b"id,rle\n10,1 2\n",
    },
}


@pytest.mark.parametrize("name", MASKS)
def test_kaggles_masks_are_read_as_they_come(name, monkeypatch, tmp_path):
    """Two images to train on, of which the first has a mask of two pixels, and the lines that the sample asks for."""
    monkeypatch.chdir(ROOT)
    competition = config.load_competition(name)
    (tmp_path / f"{competition.source.competition}.zip").write_bytes(zipped(MASKS[name]))
    repack(tmp_path)
    listing, task = competition.layout.read(tmp_path), competition.task
    rows = task.read_files(listing.rows, listing.images, tmp_path, "x")
    encoded = task.encode(rows, "x")
    assert encoded.columns["y"].notna().tolist() == [True, True, False]
    encoded.files(rows["row_id"], tmp_path / "targets")
    truth = task.truth(Dataset(tmp_path), rows["row_id"][:2])
    label = 2 if name == "severstal-steel" else 0
    np.testing.assert_array_equal(np.argwhere(truth.masks(0)), [[label, 1, 0], [label, 2, 0]])
    sample = competition.submission.table(tmp_path, set(task.line_ids(rows["row_id"][2:])), "")
    assert len(sample) == (4 if name == "severstal-steel" else 1)
