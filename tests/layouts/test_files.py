import zipfile

import pytest

from podium.errors import PodiumError
from podium.layouts.files import Layout


@pytest.fixture
def folder(tmp_path):
    """Dogs against cats as Kaggle has them: labels in the file names of an archive, and loose test images."""
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for name in ("train/cat.0.jpg", "train/cat.1.JPG", "train/dog.0.jpg", "train/Thumbs.db", "train/readme.txt"):
            archive.writestr(name, b"")
    (tmp_path / "test").mkdir()
    for name in ("1.jpg", "2.png", "notes.csv"):
        (tmp_path / "test" / name).write_bytes(b"")
    for name in ("left/ann_1.jpg", "left/ann_2.jpg", "right/bob_1.jpg"):
        (tmp_path / "people" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / name).write_bytes(b"")
    return tmp_path


def test_labels_in_file_names(folder):
    """`cat.0.jpg`: what is no image does not count, and neither does the extension's case."""
    layout = Layout(images="train.zip#train/{label}.{n}.jpg", id="{label}.{n}", test={"images": "test/{id}.*"})
    listing = layout.read(folder)
    assert listing.rows["row_id"].tolist() == ["cat.0", "cat.1", "dog.0", "1", "2"]
    assert listing.rows["label"].tolist()[:3] == ["cat", "cat", "dog"]
    assert listing.rows["split"].tolist() == ["train"] * 3 + ["test"] * 2
    assert listing.images["source"].tolist()[1] == "train.zip#train/cat.1.JPG"
    assert listing.images["source"].tolist()[3:] == ["test/1.jpg", "test/2.png"]


def test_the_order_of_a_row_s_images(folder):
    """By a number in their names."""
    listing = Layout(images="people/{side}/{name}_{n}.*", id="{path.stem}", row="name", order="n").read(folder)
    assert listing.images["position"].tolist() == [1, 2, 1]


def test_a_folder_per_class_and_several_images_per_row(folder):
    """The folder is the label; both of Ann's images belong to one row."""
    listing = Layout(images="people/{side}/{name}_{n}.*", id="{path.stem}", row="name").read(folder)
    assert listing.rows["side"].tolist() == ["left", "left", "right"]
    assert listing.images.to_dict("list") == {
        "image_id": ["ann_1", "ann_2", "bob_1"],
        "row_id": ["ann", "ann", "bob"],
        "source": ["people/left/ann_1.jpg", "people/left/ann_2.jpg", "people/right/bob_1.jpg"],
    }


def test_a_part_takes_no_slash(folder):
    """`{label}` is one folder, not two."""
    assert Layout(images="{label}/{id}.*").read(folder).rows["label"].tolist() == ["test", "test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"images": "nowhere/{id}.jpg"},
            "layout.images: 'nowhere/{id}.jpg' fits none of 8 images; one of them is 'people/left",
        ),
        ({"images": "test/{id}.*", "id": "number"}, "layout.id: there is no column 'number'; it has: id, path"),
        ({"images": "test/{a b}.*"}, "layout.images: {a b} must be a word of its own, and not path"),
        ({"images": "test/{id}{id}.*"}, "layout.images: {id} must be a word of its own, and not path"),
        (
            {"images": "test/{id}.*", "test": {"images": "x/{id}.*"}},
            "layout.test.images: 'x/{id}.*' fits none of 8 images",
        ),
    ],
)
def test_a_pattern_that_does_not_fit_shows_an_image(folder, options, message):
    """One line that names the key."""
    with pytest.raises(PodiumError) as error:
        Layout(**options).read(folder)
    assert str(error.value).startswith(message)
