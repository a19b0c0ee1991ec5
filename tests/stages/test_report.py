"""report: the page, its charts' tables and its pictures, from a finished pipeline's files."""

import html
import json
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, confusion_matrix, roc_auc_score

from podium import paths
from podium.contracts import features
from podium.contracts.scores import Scores
from podium.contracts.tables import HASHES, IMAGES, by_id
from podium.stages import bank, ensemble, report
from podium.storage import journal
from podium.storage.files import write_json

pytestmark = pytest.mark.slow


@pytest.fixture
def reported(banked, monkeypatch):
    """A small competition with its report."""
    monkeypatch.delenv("PODIUM_CACHE", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    paths.raw("toy").mkdir(parents=True)
    readable = banked.rows[~banked.rows["row_id"].isin(["r05", "t03"])]
    for k, row_id in enumerate(readable["row_id"]):
        assert cv2.imwrite(str(paths.raw("toy") / f"{row_id}.png"), np.full((8, 8, 3), k, np.uint8))
    images = pd.DataFrame({"image_id": "image-" + readable["row_id"], "row_id": readable["row_id"]})
    images = images.assign(source=readable["row_id"] + ".png", split=readable["split"], width=8, height=8, digest="d")
    IMAGES.write(images, paths.data("toy", "images.parquet"))
    rng = np.random.default_rng(1)
    codes = [rng.bytes(32).hex() for _ in range(len(images))]
    codes[list(readable["row_id"]).index("t00")] = codes[0][:-1] + ("0" if codes[0][-1] != "0" else "1")
    HASHES.write(images[["image_id", "row_id", "split"]].assign(hash=codes), paths.data("toy", "hashes.parquet"))
    index = pd.DataFrame({"image_id": sorted(images["image_id"]), "view": "identity"})
    vectors = np.random.default_rng(2).normal(size=(len(index), 4)).astype(np.float32)
    features.write(paths.features("toy", "trunk"), index, vectors, n_columns=4, dtype="float32", attributes={})
    for member in ("good", "poor"):
        write_json({"backbones": ["metadata", "trunk"]}, paths.models("toy", member) / "about.json")
    broken = {"image_id": "image-r05", "row_id": "r05", "source": "r05.png", "reason": "truncated"}
    audit = {"quarantined": [broken], "duplicates": []}
    write_json(audit, paths.data("toy", "audit.json"))
    write_json({"log_loss": 0.123456, "accuracy": 0.9, "auc": 0.95}, paths.METRICS_HELDOUT)
    for stage in (bank, ensemble, report):
        stage.run(banked.config)
    return banked


def test_tables_agree_with_scikit_learn(reported):
    """The area under the curve, and the counts of the confusion, by label name."""
    train = Scores.read(paths.ensemble("toy")).table().query("split == 'train'")
    y = by_id(reported.truth, train["row_id"], "truth")["y"].astype(int)
    curve = pd.read_csv(paths.report("toy", "roc.csv"))
    assert np.isclose(auc(curve["fpr"], curve["tpr"]), roc_auc_score(y, train["p_0"]), atol=1e-5)
    cells = pd.read_csv(paths.report("toy", "confusion.csv"), dtype=str)
    labels = np.array(["no", "yes"])
    expected = confusion_matrix(labels[y], labels[(train["p_0"] >= 0.5).astype(int)], labels=labels)
    np.testing.assert_array_equal(confusion_matrix(cells["actual"], cells["predicted"], labels=labels), expected)


def test_folds_score_what_would_be_submitted(reported):
    """The members' scores by fold are those of the clipped predictions, one line for each model and fold."""
    table = pd.read_csv(paths.report("toy", "folds.csv"))
    assert len(table) == 3 * 4
    p = Scores.read(paths.predictions("toy", "good")).table().set_index("row_id")["p_0"].clip(0.02, 0.98)
    fold = reported.folds.query("fold == 2 and row_id != 'r05'")["row_id"]
    y = reported.truth.set_index("row_id").loc[fold, "y"]
    expected = -np.log(np.where(y == 1, p.loc[fold], 1 - p.loc[fold]).astype(float)).mean()
    found = table.query("model == 'good' and fold == 2")["score"].item()
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_page_holds_all_of_it(reported):
    """Scores, members, and every image of the gallery with its picture."""
    page = paths.report("toy", "report.html").read_text(encoding="utf-8")
    for text in ("Toy", "0.1235 held out", "<td>good</td>", "r05.png: truncated"):
        assert text in page
    tiles = re.findall(r'<button class="tile".*?</button>', page, flags=re.DOTALL)
    pictures = [tile for tile in tiles if "data:image/jpeg" in tile]
    assert len(pictures) == len(tiles) - 1  # the quarantined one has none
    assert any("image-t00" in tile and "like image-r00" in tile for tile in tiles)
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing is loaded from elsewhere


def test_the_map_holds_every_scored_image(reported):
    """By its label and prediction; marked where the ensemble decides otherwise. Test images have no label to show."""
    page = paths.report("toy", "report.html").read_text(encoding="utf-8")
    found = json.loads(html.unescape(re.search(r'data-points="([^"]+)"', page)[1]))
    train = Scores.read(paths.ensemble("toy")).table().query("split == 'train'").set_index("row_id")
    truth = reported.truth.set_index("row_id").loc[train.index, "y"].astype(int)
    assert found["ids"] == [f"image-{row_id}" for row_id in sorted(train.index)]
    rows = [name.removeprefix("image-") for name in found["ids"]]
    assert [found["groups"][code] for code in found["group"]] == [("no", "yes")[y] for y in truth[rows]]
    assert found["wrong"] == [int(p != y) for p, y in zip(train["p_0"][rows] >= 0.5, truth[rows], strict=True)]


def test_a_mistake_has_its_nearest_training_images(reported):
    """Four each, of other folds than its own, with their pictures; other images have none."""
    page = paths.report("toy", "report.html").read_text(encoding="utf-8")
    fold = reported.folds.set_index("row_id")["fold"]
    n_mistakes = 0
    for tile in re.findall(r'<button class="tile".*?</button>', page, flags=re.DOTALL):
        near = re.findall(r'<img loading="lazy" alt="" src="data:image/jpeg[^"]+">image-(r\d+): (?:no|yes), sim', tile)
        is_mistake = "mistake" in re.search(r'data-reasons="([^"]*)"', tile)[1].split()
        n_mistakes += is_mistake
        assert len(near) == (4 if is_mistake else 0)
        own = re.search(r'data-id="image-(\w+)"', tile)[1]
        assert not [row_id for row_id in near if fold[row_id] == fold[own]]
    assert n_mistakes > 3


def test_without_features_there_is_no_map(reported):
    """A report of imported members, or of what was pulled without its features, is complete but for that."""
    paths.features("toy", "trunk").unlink()
    report.run(reported.config)
    page = paths.report("toy", "report.html").read_text(encoding="utf-8")
    assert "<canvas" not in page
    assert 'class="near"' not in page
    assert 'class="tile"' in page


def test_the_bank_is_a_picture(reported):
    """A drawing of its own: members, weights, and no colour that a page would have to define."""
    svg = paths.report("toy", "bank.svg").read_text(encoding="utf-8")
    texts = [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    weights = pd.read_csv(paths.bank_table("toy"))["weight"]
    for text in ("good", "poor", *(f"{weight:.2f}" for weight in weights)):
        assert text in texts
    assert {*re.findall(r"var\((--\w+)\)", svg)} <= {*re.findall(r"(--\w+):#", svg)}


def test_the_page_is_the_same_every_time(reported):
    """Same input, same bytes."""
    before = {path: path.read_bytes() for path in paths.report("toy", "").iterdir()}
    # A stage took its time in between.
    journal.write("toy", "fit@good", 12.5, None)
    report.run(reported.config)
    assert {path: path.read_bytes() for path in paths.report("toy", "").iterdir()} == before
