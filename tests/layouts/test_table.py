import pytest

from podium.errors import PodiumError
from podium.layouts.table import Layout


@pytest.fixture
def folder(tmp_path):
    """Two tables, as a competition has them."""
    (tmp_path / "train.csv").write_text("Id,file,label,split\n007,x/one.jpg,cat,left\n1e5,x/two.PNG,,right\n")
    (tmp_path / "test.csv").write_text("Id\n42\n")
    return tmp_path


def test_templates_name_ids_and_images(folder):
    """A column, a text around a column, and the stem of a path; ids stay text."""
    layout = Layout(
        table="train.csv",
        id="{file.stem}",
        image="train/{file}",
        test={"table": "test.csv", "id": "Id", "image": "test/{Id}.jpg"},
    )
    listing = layout.read(folder)
    assert listing.images.to_dict("list") == {
        "image_id": ["one", "two", "42"],
        "row_id": ["one", "two", "42"],
        "source": ["train/x/one.jpg", "train/x/two.PNG", "test/42.jpg"],
    }
    assert listing.rows["split"].tolist() == ["train", "train", "test"]
    assert listing.rows["label"].isna().tolist() == [False, True, True]
    assert listing.rows["Id"].tolist()[:2] == ["007", "1e5"]


def test_labels_of_test_rows_are_read_only_where_that_is_said(folder):
    """A sample submission has a column of made-up ones."""
    (folder / "test.csv").write_text("Id,label,side\n42,cat,left\n")
    test = {"table": "test.csv", "id": "Id", "image": "test/{Id}.jpg"}
    for labelled in (False, True):
        layout = Layout(
            table="train.csv", id="Id", image="file", metadata=["split_"], test=test | {"labelled": labelled}
        )
        rows = layout.read(folder).rows
        assert rows["label"].isna().tolist() == [False, True, not labelled]


def test_a_column_called_split_gets_another_name(folder):
    """The pipeline's own column of this name must not hide it."""
    listing = Layout(table="train.csv", id="Id", image="{file}").read(folder)
    assert listing.rows["split_"].tolist() == ["left", "right"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "labels.csv"}, "layout.table: there is no labels.csv; there are: 'test.csv', 'train.csv'"),
        ({"id": "id"}, "train.csv: layout.id: there is no column 'id'; it has: Id, file, label, split"),
        ({"image": "{name}.jpg"}, "train.csv: layout.image: there is no column 'name'; it has: Id, file, label, split"),
        ({"image": "{label}.jpg"}, "train.csv: layout.image: line 2 of the table has no label"),
        (
            {"image": "{file.parent}"},
            "train.csv: layout.image: '{file.parent}': of a cell, only .name and .stem can be taken",
        ),
        (
            {"test": {"table": "test.csv", "id": "id", "image": "x"}},
            "test.csv: layout.test.id: there is no column 'id'; it has: Id",
        ),
    ],
)
def test_a_wrong_name_is_told_with_the_right_ones(folder, options, message):
    """One line: file, key, and what there is."""
    with pytest.raises(PodiumError) as error:
        Layout(**({"table": "train.csv", "id": "Id", "image": "{file}"} | options)).read(folder)
    assert str(error.value) == message


@pytest.fixture
def images(tmp_path):
    """Tables whose ids and file names do not quite agree, as they come."""
    for name in ("a.jpg", "B.JPG", "c.jpeg", "c.png", "d.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "ids.csv").write_text("id,label\na,1\nb,0\nc,1\nd,0\ne,1\n")
    (tmp_path / "eyes.csv").write_text("patient,left,right,label\np1,a.jpg,b.jpg,1\np2,c.png,d.png,0\n")
    (tmp_path / "shots.csv").write_text("patient,file,label\np1,a.jpg,1\np1,B.JPG,1\np2,d.png,0\n")
    return tmp_path


def test_extensions_are_found_and_case_does_not_count(images):
    """`.*` finds the one image of that name; none or two stay as they are, to be quarantined."""
    listing = Layout(table="ids.csv", image="{id}.*").read(images)
    assert listing.images["source"].tolist() == ["a.jpg", "B.JPG", "c.*", "d.png", "e.*"]
    listing = Layout(table="ids.csv", image="{id}.jpg").read(images)
    assert listing.images["source"].tolist() == ["a.jpg", "B.JPG", "c.jpg", "d.jpg", "e.jpg"]


def test_several_images_in_a_line(images):
    """Each has an id of its own and shares the line's row."""
    listing = Layout(table="eyes.csv", id="patient", image=["left", "right"]).read(images)
    assert listing.images.to_dict("list") == {
        "image_id": ["p1/0", "p2/0", "p1/1", "p2/1"],
        "row_id": ["p1", "p2", "p1", "p2"],
        "source": ["a.jpg", "c.png", "B.JPG", "d.png"],
    }
    assert listing.rows["row_id"].tolist() == ["p1", "p2"]


def test_several_lines_of_a_row(images):
    """An id of the image's, and one of the row's."""
    listing = Layout(table="shots.csv", id="{file.stem}", row="patient", image="file").read(images)
    assert listing.images["image_id"].tolist() == ["a", "B", "d"]
    assert listing.images["row_id"].tolist() == listing.rows["row_id"].tolist() == ["p1", "p1", "p2"]


def test_the_order_of_a_row_s_images(tmp_path):
    """By a column of numbers, of both tables; what is no number is refused, and so is a column that is not there."""
    (tmp_path / "train.csv").write_text("file,scan,slice\na.png,s1,10\nb.png,s1,9\n")
    (tmp_path / "test.csv").write_text("file,scan,slice\nc.png,s2,1.5\n")
    part = {"id": "{file.stem}", "row": "scan", "image": "file"}
    layout = Layout(table="train.csv", order="slice", test={"table": "test.csv", **part}, **part)
    assert layout.read(tmp_path).images["position"].tolist() == [10, 9, 1.5]
    assert "position" not in Layout(table="train.csv", **part).read(tmp_path).images
    with pytest.raises(PodiumError, match=r"layout\.order: no column 'depth'; choose one of: file, scan, slice"):
        Layout(table="train.csv", order="depth", **part).read(tmp_path)
    with pytest.raises(PodiumError, match=r"layout\.order: scan: no number in 's1'"):
        Layout(table="train.csv", order="scan", **part).read(tmp_path)


def test_rows_may_have_no_images(folder):
    """Then metadata are what is learnt from, in the table of test rows too."""
    layout = Layout(table="train.csv", id="Id", metadata=["label"], test={"table": "test.csv", "id": "Id"})
    assert not layout.has_images
    listing = layout.read(folder)
    assert listing.rows["row_id"].tolist() == ["007", "1e5", "42"]
    assert listing.images.columns.tolist() == ["image_id", "row_id", "source"]
    assert listing.images.empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "`image` is missing; where rows have none, name the columns"),
        ({"metadata": ["label"], "test": {"table": "test.csv", "image": "{Id}.jpg"}}, "in `test` too, or in neither"),
        ({"image": "{Id}.jpg", "test": {"table": "test.csv", "image": None}}, "in `test` too, or in neither"),
    ],
)
def test_a_forgotten_image_is_told(options, message):
    """A layout without any is meant only where something else is learnt from."""
    with pytest.raises(ValueError, match=message):
        Layout(table="train.csv", **options)
