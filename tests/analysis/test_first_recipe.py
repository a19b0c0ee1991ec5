"""A first recipe: each choice follows from what the data are, and the whole is a params.yaml that loads."""

import io

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from podium import config, paths, plugins
from podium.analysis import first_recipe
from podium.analysis.first_recipe import Facts, Look
from podium.analysis.mirrors import Mirrored
from podium.config import Competition
from podium.layouts.table import Layout

SAME = {view: Mirrored(view, 0.5, 1.0, 1.0, is_allowed=True) for view in ("hflip", "vflip", "transpose")}
UPRIGHT = SAME | {view: Mirrored(view, 0.9, 1.0, 1.0, is_allowed=False) for view in ("vflip", "transpose")}
LOOK = Look(px=300, is_gray=False, seconds=0.001, mirrored=SAME)


def facts(y=None, task=None, metric="log_loss", look=LOOK, labels=("a", "b"), n=400, **more):
    """Return facts of a binary competition, or another."""
    y = np.arange(n) % 2 if y is None else np.asarray(y)
    ids = [f"r{k:04d}" for k in range(len(y))]
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y.astype(float), "weight": 1.0, "group": ids})
    rows = rows.assign(**{key: more.pop(key) for key in list(more) if key == "group"})
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "split": "train"}) if look else pd.DataFrame()
    layout = more.pop("layout", Layout(table="t.csv", image="{id}.png"))
    task = plugins.make("tasks", *(task or ("binary", {"target": "x"})), "test")
    competition = Competition.model_construct(title="Toy", task=task, layout=layout, metric=metric)
    hashes = more.pop("hashes", pd.Series(dtype="str"))
    return Facts("toy", competition, rows, images, list(labels), hashes, look, **more)


@pytest.fixture
def draft(tmp_path, monkeypatch):
    """Return the function from facts to the recipe as a mapping; its text loads as a params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(first_recipe, "_flops", lambda: 2e11)

    def made(*args, **kwargs):
        made.text = first_recipe.text(facts(*args, **kwargs))
        paths.PARAMS.write_text(made.text)
        config.load_params(paths.PARAMS)
        return YAML(typ="safe").load(io.StringIO(made.text))

    return made


def test_views_are_those_that_the_pictures_allow(draft):
    """All mirrors, one, none, and none where labels have a direction; few images are a question."""
    assert draft()["views"]["test"] == ["identity", "hflip", "vflip", "rot180"]
    upright = draft(look=Look(300, False, 0.001, UPRIGHT))
    assert upright["views"]["train"] == ["identity", "hflip"]
    assert "# vflip is told from the picture itself in 90% of cases" in draft.text
    assert draft(look=Look(300, False, 0.001, SAME, "digits"))["views"]["test"] == ["identity"]
    assert draft(look=Look(300, False, 0.001, {}))["views"]["test"] == ["identity"]
    assert "# ? too few images to tell whether they may be mirrored: may they?\nviews:" in draft.text
    assert draft(n=6000)["views"]["test"] == ["identity", "hflip"]


@pytest.mark.parametrize(
    ("px", "is_gray", "networks", "resized"),
    [
        (300, False, ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"], None),
        (32, False, ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"], 128),
        (28, True, ["hog"], None),
        (16, False, ["hog", "color_histogram"], None),
    ],
)
def test_backbones_follow_the_sizes(draft, px, is_gray, networks, resized):
    """Photographs at the networks' own size, small ones enlarged at most four times, tiny ones by descriptors."""
    found = draft(look=Look(px, is_gray, 0.001, SAME))["backbones"]
    assert [one["network"] for one in found.values()] == networks
    assert {one.get("resize", {}).get("px") for one in found.values()} == {resized}


def test_many_images_get_one_backbone(draft):
    """What would take more than five minutes is left for later, and named."""
    assert list(draft(n=60_000)["backbones"]) == ["lite0"]
    assert "with more time: efficientnet_lite1, efficientnet_lite2" in draft.text


def test_slow_heads_are_for_few_rows(draft):
    """Kernel ridge is not for thousands of rows, so that a first score comes soon."""
    assert "kernel_all" in draft(n=2000)["fusions"]
    assert "kernel_all" not in draft(n=6000)["fusions"]


def test_folds_follow_task_and_groups(draft):
    """Classes, tenths of values, labels, groups and time."""
    assert draft()["folds"] == {"scheme": "stratified", "k": 5, "repeats": 1, "file": None}
    group = [f"g{k // 4}" for k in range(400)]
    layout = Layout(table="t.csv", image="{id}.png", group="patient", metadata=("day",))
    assert draft(group=group, layout=layout)["folds"]["scheme"] == "stratified_group"
    assert "rows of one patient share a fold" in draft.text
    timed = draft(layout=layout, time="day")["folds"]
    assert (timed["scheme"], timed["time"]) == ("time", "day")
    value = draft(np.arange(400.0), ("regression", {"target": "x"}), "rmse", labels=())
    assert value["folds"]["scheme"] == "binned"
    assert value["submission"]["clip"] == [0.0, 399.0]
    assert {one["head"] for one in value["members"].values()} == {"ridge"}
    assert draft(n=40)["folds"]["k"] == 3


def test_near_duplicates_share_a_fold(draft):
    """A few pairs do; where a third of all look alike, the hash is no judge, and that is a question."""
    codes = [np.random.default_rng(n).bytes(32).hex() for n in range(100)]
    assert draft(hashes=pd.Series([*codes, codes[0]]))["folds"]["near_duplicates"] == 24
    assert "near_duplicates" not in draft(hashes=pd.Series(codes))["folds"]
    assert "near_duplicates" not in draft(hashes=pd.Series([*codes, *codes]))["folds"]
    assert "# ? very many images look alike" in draft.text


def test_clip_is_for_log_loss(draft):
    """Wider for fewer rows, less for many classes; other metrics need none."""
    assert draft(n=2000)["submission"]["clip"] == [0.005, 0.995]
    assert draft(metric="auc")["submission"]["clip"] is None
    many = draft(np.arange(2000) % 100, ("multiclass", {"target": "x"}), labels=[f"c{k}" for k in range(100)])
    assert many["submission"]["clip"][0] == pytest.approx(5e-5)


def test_classes_of_one_row_are_named(draft):
    """They are scored in no fold."""
    y = [0, 1] * 30 + [2]
    draft(y, ("multiclass", {"target": "x"}), labels=["cat", "dog", "owl"])
    assert "# classes of one row, trained on in every fold and scored in none: owl" in draft.text


def test_a_table_without_images(draft):
    """Heads see metadata."""
    made = draft(look=None, layout=Layout(table="t.csv", metadata=("age",)))
    assert made["backbones"] == {}
    assert {one["backbone"] for one in made["members"].values()} == {"metadata"}
