from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from podium.contracts.tables import IMAGES
from podium.stages import augment


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two train images, an extra one and a test image, of one colour and a white top left corner each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/toy/raw").mkdir(parents=True)
    for n in range(4):
        picture = np.full((16, 16, 3), (0, 0, 200), np.uint8)  # BGR: red
        picture[:4, :4] = 255
        cv2.imwrite(str(tmp_path / f"data/toy/raw/{n}.png"), picture)
    frame = pd.DataFrame(
        {"image_id": list("0123"), "row_id": list("0123"), "split": ["train", "extra", "test", "train"]}
    )
    frame = frame.assign(source=frame["image_id"] + ".png", width=16, height=16, digest="")
    IMAGES.write(frame, tmp_path / "data/toy/images.parquet")
    return tmp_path / "data/toy"


def run(train, test):
    views = SimpleNamespace(train=train, test=test)
    augment.run(SimpleNamespace(params=SimpleNamespace(competition="toy", views=views)))


def test_train_images_have_the_views_of_both_roles(images):
    """A train row is predicted from test views too, so that what is scored is what is submitted."""
    run(("identity", "hflip"), ("identity", "rot90"))
    plan = pd.read_parquet(images / "views.parquet")
    views = plan.groupby("image_id")["view"].agg(set).to_dict()
    assert views == {"2": {"identity", "rot90"}} | {name: {"identity", "hflip", "rot90"} for name in "013"}
    line = plan[plan["view"] == "rot90"].iloc[0]
    assert (line["operation"], line["parameters"]) == ("rotate", '{"quarter_turns": 1}')


def test_the_order_of_views_changes_nothing(images):
    """Reordered params give the same plan, byte for byte."""
    run(("identity", "hflip"), ("identity",))
    before = (images / "views.parquet").read_bytes()
    run(("hflip", "identity"), ("identity",))
    assert (images / "views.parquet").read_bytes() == before


def test_the_sheet_shows_each_train_image_in_each_view(images):
    """Three lines and two columns; red is red, and the white corner moves to the right in the flip."""
    run(("identity",), ("hflip",))
    sheet = cv2.imread(str(images / "views.png"))[..., ::-1]
    assert sheet.shape == (24 + 3 * 164, 2 * 164, 3)
    for line in range(3):
        top = 24 + line * 164
        assert sheet[top + 100, 80].tolist() == [200, 0, 0]
        assert sheet[top + 10, 10].tolist() == sheet[top + 10, 164 + 150].tolist() == [255, 255, 255]
        assert sheet[top + 10, 150].tolist() == sheet[top + 10, 164 + 10].tolist() == [200, 0, 0]
