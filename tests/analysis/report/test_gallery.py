"""Each image once, with every reason; nothing that cannot be shown is lost."""

from dataclasses import replace

import pandas as pd
import pytest

from podium.analysis.report import gallery
from podium.analysis.report.panels.scores import Panels

PANELS = Panels()


def images_of(results):
    """Return an Images table: two images for the first row, one for every other, and a test image."""
    rows = [results.ids[0], *results.ids, "test"]
    table = pd.DataFrame({"image_id": [f"i{k:04d}" for k in range(len(rows))], "row_id": rows})
    return table.assign(source=table["image_id"] + ".png", split=["train"] * (len(rows) - 1) + ["test"])


def tiles_of(results, images=None, quarantined=(), twins=()):
    texts = zip(PANELS.labels(results), PANELS.predictions(results), strict=True)
    return gallery.tiles(
        results.ids,
        PANELS.ranked(results),
        dict(zip(results.ids, texts, strict=True)),
        images_of(results) if images is None else images,
        quarantined,
        twins,
    )


def test_every_image_comes_once_with_all_its_reasons(results):
    """No reason holds more than its share, and ids and labels are those of the row."""
    images = images_of(results)
    tiles = tiles_of(results, images)
    ids = [tile.image_id for tile in tiles]
    assert len(ids) == len(set(ids))
    for reason in {reason for tile in tiles for reason in tile.reasons}:
        assert 0 < sum(reason in tile.reasons for tile in tiles) <= gallery.MOST
    row_of = dict(zip(images["image_id"], images["row_id"], strict=True))
    label_of = dict(zip(results.ids, PANELS.labels(results), strict=True))
    for tile in tiles:
        assert tile.row_id == row_of[tile.image_id]
        assert tile.label == label_of[tile.row_id]
        assert tile.source == f"{tile.image_id}.png"


def test_a_task_gets_the_reasons_that_it_can_have(results):
    """Label errors need one label a row; a regression has no uncertainty of its own."""
    reasons = {reason for tile in tiles_of(results) for reason in tile.reasons}
    expected = {
        "binary": {"mistake", "uncertain", "disagreement", "label"},
        "multiclass": {"mistake", "uncertain", "disagreement", "label"},
        "multilabel": {"mistake", "uncertain", "disagreement"},
        "regression": {"mistake", "disagreement"},
    }
    assert reasons == expected[results.scoring.task.kind]


def test_one_member_disagrees_with_nobody(results):
    """A bank of one has no disagreement to show."""
    alone = replace(results, members={"good": results.members["good"]})
    tiles = tiles_of(alone)
    assert not any("disagreement" in tile.reasons for tile in tiles)


def test_unreadable_images_are_listed_with_their_reason(results):
    """They have no row in the Images table and no picture."""
    entry = {"image_id": "broken", "row_id": "r9", "source": "a.zip#broken.png", "reason": "truncated"}
    tile = tiles_of(results, quarantined=[entry])[-1]
    assert (tile.image_id, tile.source, tile.reasons) == ("broken", "", ("quarantined",))
    assert tile.note == "a.zip#broken.png: truncated"


@pytest.mark.parametrize("results", ["binary"], indirect=True)
def test_twins_whose_labels_disagree_come_first(results):
    """Then those across train and test; each says whom it is like."""
    by_label = [results.ids[results.y == label] for label in (0, 1)]
    image_of = images_of(results).drop_duplicates("row_id").set_index("row_id")["image_id"]
    alike = image_of[by_label[0][:2]].tolist()
    conflict = [image_of[by_label[0][2]], image_of[by_label[1][0]]]
    across = [image_of[by_label[0][3]], image_of["test"]]
    tiles = tiles_of(results, twins=[alike, across, conflict])
    notes = {tile.image_id: tile.note for tile in tiles if "duplicate" in tile.reasons}
    assert notes[conflict[0]] == f"like {conflict[1]}"
    only_twins = [tile.image_id for tile in tiles if tile.reasons == ("duplicate",)]
    expected = [image for group in (conflict, across, alike) for image in group if image in only_twins]
    assert only_twins == expected
    assert next(tile for tile in tiles if tile.row_id == "test").label == ""
