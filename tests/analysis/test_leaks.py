"""Planted leaks are caught, every one of them, and clean data gives no alarm."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from podium.analysis import leaks
from podium.imaging.duplicates import NEAR, perceptual_hash
from podium.imaging.exif import facts as exif_facts
from podium.splits.folds import grouped

pytestmark = pytest.mark.slow

N = 60


HASHES = {}


def hash_of(picture):
    """The same arrays come again in every test."""
    if id(picture) not in HASHES:
        HASHES[id(picture)] = perceptual_hash(picture), picture  # kept, so that no other gets its id
    return HASHES[id(picture)][0]


class World:
    """Sixty train rows and twenty test rows, an image each, in four folds."""

    def __init__(self, photo):
        rng = np.random.default_rng(0)
        ids = [f"r{k:02d}" for k in range(N)] + [f"t{k:02d}" for k in range(20)]
        split = ["train"] * N + ["test"] * 20
        self.pictures = {row_id: photo(seed) for seed, row_id in enumerate(ids)}
        y = np.append(rng.integers(0, 2, N), np.full(20, np.nan))
        self.rows = pd.DataFrame({"row_id": ids, "split": split, "y": y, "weight": 1.0, "group": ids})
        self.folds = pd.DataFrame({"row_id": ids[:N], "repeat": 0, "fold": np.arange(N) % 4})
        self.bytes = {row_id: row_id for row_id in ids}  # stands for the digest

    def add(self, row_id, copy, split="train", fold=None, y=0.0, group=None):
        """Add a row that shows a copy of what r07 shows."""
        name, change = copy
        self.pictures[row_id] = change(self.pictures["r07"])
        self.bytes[row_id] = "r07" if name == "same file" else row_id
        line = {"row_id": row_id, "split": split, "y": y, "weight": 1.0, "group": group or row_id}
        self.rows = pd.concat([self.rows, pd.DataFrame([line])], ignore_index=True)
        if split == "train":
            dealt = pd.DataFrame([{"row_id": row_id, "repeat": 0, "fold": fold}])
            self.folds = pd.concat([self.folds, dealt], ignore_index=True)

    def images(self):
        ids, splits = self.rows["row_id"], self.rows["split"]
        digests = [self.bytes[row_id] for row_id in ids]
        return pd.DataFrame({"image_id": "i_" + ids, "row_id": ids, "split": splits, "digest": digests})

    def fold_table(self, scheme="plain"):
        """Return the folds as the stage would write them."""
        return grouped(self.folds, self.rows, scheme)

    def findings(self, scheme="plain"):
        """Every check that needs no features: check -> finding."""
        folds = self.fold_table(scheme)
        images = self.images()
        hashes = pd.Series([hash_of(self.pictures[row_id]) for row_id in images["row_id"]])
        pairs = leaks.copies(images, hashes, NEAR)
        self.seen = leaks.seen(self.rows, folds, pairs, images)
        found = [
            *leaks.groups(self.rows, folds),
            *leaks.across(pairs, images, self.rows, folds),
            *leaks.certificate(self.seen),
        ]
        return {finding.check: finding for finding in found}


@pytest.fixture
def world(photo):
    return World(photo)


def test_clean_rows_give_no_finding(world):
    """Not one alarm and not one note."""
    assert world.findings() == {}
    assert (world.seen["leaked"] == "").all()
    assert (world.seen["n_seen"] == 45).all()


def test_a_twin_in_another_fold_is_caught(world, copy):
    """A copy or an augmented twin under another id: named as a pair, and by the rows whose model saw it."""
    world.add("twin", copy, fold=0)
    found = world.findings()
    assert found["copies in different folds"].level == "alarm"
    (pair,) = found["copies in different folds"].details["pairs"]
    assert (pair["row_a"], pair["row_b"]) == ("r07", "twin")
    assert found["seen rows"].details["rows"] == ["r07", "twin"]
    leaked = world.seen.set_index("row_id")["leaked"]
    assert (leaked["r07"], leaked["twin"]) == ("twin", "r07")


@pytest.mark.parametrize("copy", ["same file", "jpeg 60", "hflip", "rot90", "half"], indirect=True)
def test_a_train_picture_in_the_test_set_is_told_with_its_target(world, copy):
    """No leak into the score, but worth knowing: the label of a test row is known."""
    world.add("t99", copy, "test", y=np.nan)
    found = world.findings()
    assert set(found) == {"copies of train images in test"}
    finding = found["copies of train images in test"]
    assert finding.level == "note"
    assert finding.message.startswith("1 test rows have a copy among train rows; ")
    assert finding.details["pairs"][0]["target"] == [world.rows.set_index("row_id")["y"]["r07"]]


@pytest.mark.parametrize("copy", ["same file", "vflip"], indirect=True)
@pytest.mark.parametrize(("group", "caught"), [("x00", True), ("r07", False)])
def test_an_extra_row_that_shows_a_train_picture_is_caught(world, copy, group, caught):
    """Every fold's model trains on extra rows, unless they share its group."""
    world.add("x00", copy, "extra", group=group)
    found = world.findings()
    assert ("seen rows" in found) == caught
    assert ("copies in different folds" in found) == caught


@pytest.mark.parametrize("copy", ["same file"], indirect=True)
def test_copies_with_different_targets_are_told(world, copy):
    """One of the two labels is wrong."""
    target = world.rows.set_index("row_id")["y"]["r07"]
    world.add("twin", copy, fold=world.folds["fold"][7], y=1 - target)
    assert set(world.findings()) == {"copies with different targets"}


@pytest.mark.parametrize("members", [["r00", "r01"], ["r03", "r06", "r09"], ["r10", "r20", "r30", "r41"]])
def test_a_group_over_several_folds_is_caught(world, members):
    """Two rows of one patient in two folds."""
    world.rows.loc[world.rows["row_id"].isin(members), "group"] = "patient"
    found = world.findings()
    assert found["groups"].details["groups"] == ["patient"]
    assert set(found["seen rows"].details["rows"]) == set(members)


def test_a_leak_in_one_repeat_of_two_is_caught(world):
    """The first repeat keeps the group whole, the second does not."""
    world.rows.loc[world.rows["row_id"].isin(["r00", "r04"]), "group"] = "patient"
    second = world.folds.assign(repeat=1, fold=np.arange(N) % 3)
    world.folds = pd.concat([world.folds, second], ignore_index=True)
    assert set(world.findings()) == {"groups", "seen rows"}
    assert world.seen.loc[world.seen["leaked"] != "", "repeat"].unique().tolist() == [1]


@pytest.mark.parametrize("copy", ["same file"], indirect=True)
def test_a_test_row_with_several_copies_counts_once(world, copy):
    """Two copies among train rows are two pairs and one test row."""
    world.add("twin", copy, fold=world.folds["fold"][7], y=world.rows["y"][7])
    world.add("t99", copy, "test", y=np.nan)
    finding = world.findings()["copies of train images in test"]
    assert finding.message.startswith(
        "1 test rows have a copy among train rows; copies of train images in test: 2 pairs"
    )
    assert finding.details["test_rows"] == 1


@pytest.mark.parametrize("copy", ["same file"], indirect=True)
def test_a_copy_apart_in_the_second_repeat_only_is_caught(world, copy):
    """Each repeat has models of its own: one that trains on a copy is enough."""
    world.add("twin", copy, fold=world.folds["fold"][7])
    second = world.folds.assign(repeat=1, fold=lambda table: (table["fold"] + (table["row_id"] == "twin")) % 4)
    world.folds = pd.concat([world.folds, second], ignore_index=True)
    found = world.findings()
    assert found["copies in different folds"].level == "alarm"
    assert found["seen rows"].details["rows"] == ["r07", "twin"]


@pytest.mark.parametrize("copy", ["same file"], indirect=True)
def test_the_order_of_ids_means_nothing(world, copy):
    """A twin whose id comes before the other's, though its picture comes later; one row of two pictures is no pair."""
    world.add("a_twin", copy, fold=0)
    finding = world.findings()["copies in different folds"]
    assert [(pair["row_a"], pair["row_b"]) for pair in finding.details["pairs"]] == [("r07", "a_twin")]


@pytest.mark.parametrize("copy", ["same file"], indirect=True)
def test_what_was_seen_is_what_splits_train_on(world, copy):
    """By time a model sees the earlier folds only, so a copy in a later one is not seen; nor is a row of weight 0."""
    world.add("twin", copy, fold=3)  # r07 is in fold 3: the two share it
    world.folds.loc[world.folds["row_id"] == "twin", "fold"] = 0
    world.rows.loc[world.rows["row_id"] == "r01", "weight"] = 0
    world.findings("time")
    seen = world.seen.set_index("row_id")
    assert set(seen["fold"]) == {1, 2, 3}  # the first fold is never predicted
    assert seen.groupby("fold")["n_seen"].first().to_dict() == {1: 16, 2: 30, 3: 45}  # without r01
    assert seen.loc["r07", "leaked"] == "twin"
    assert "twin" not in seen.index
    world.findings("plain")
    seen = world.seen.set_index("row_id")
    assert (seen.loc["r07", "leaked"], seen.loc["twin", "leaked"]) == ("twin", "r07")


# Metadata

M = 2000


def truth(kind="binary"):
    rng = np.random.default_rng(1)
    if kind == "multilabel":
        return rng.integers(0, 2, (M, 3))
    return rng.normal(size=M) if kind == "regression" else rng.integers(0, {"binary": 2, "multiclass": 4}[kind], M)


def facts():
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "width": rng.integers(100, 200, M),
            "height": rng.integers(100, 200, M),
            "file size": rng.integers(1, 99999, M),
        }
        | {"camera": rng.choice(["Canon", "Nikon", ""], M), "meta_city": rng.choice(list("abcdefghij"), M)}
        | {"constant": 1, "meta_id": [f"id{k}" for k in range(M)]},
    )


KINDS = ["binary", "multiclass", "multilabel", "regression"]


@pytest.mark.parametrize("kind", KINDS)
def test_clean_metadata_gives_no_alarm(kind):
    """Seven columns and the order, whatever the task."""
    assert leaks.metadata(facts(), truth(kind)) == []


def of_class(y):
    """The part of a target that a leak tells."""
    y = y[:, 1] if y.ndim > 1 else y
    return (y > np.median(y)) if y.dtype.kind == "f" else (y == 1)


PLANTED = {
    "width": lambda table, told, rng: table["width"] + 60 * told,
    "height": lambda table, told, rng: table["height"] - 60 * told,
    "file size": lambda table, told, rng: table["file size"] + 40_000 * told,
    "camera": lambda table, told, rng: np.where(told & (rng.random(M) < 0.6), "Phone", table["camera"]),
    "meta_city": lambda table, told, rng: np.where(told & (rng.random(M) < 0.5), "k", table["meta_city"]),
    "meta_age": lambda table, told, rng: (rng.normal(50, 5, M) + 10 * told).round(3).astype(str),  # read as text
    "meta_dose": lambda table, told, rng: np.where(told, rng.choice([-3.0, 3.0], M), 0) + rng.normal(0, 1, M),  # a U
    "meta_seen": lambda table, told, rng: pd.to_datetime(1.6e9 + 1e6 * rng.random(M) + 9e5 * told, unit="s").astype(
        str
    ),
    "meta_score": lambda table, told, rng: np.where(
        told & (rng.random(M) < 0.5), None, rng.random(M).astype(str)
    ),  # a gap
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", PLANTED)
def test_metadata_that_tells_is_caught(column, kind):
    """Sizes, the camera and the competition's own columns: named alone, with an AUC."""
    y, table = truth(kind), facts()
    table[column] = PLANTED[column](table, of_class(y), np.random.default_rng(3))
    findings = leaks.metadata(table, y)
    assert [finding.details["column"] for finding in findings] == [column]
    assert findings[0].level == "alarm"


@pytest.mark.parametrize("code", [0, 2, 3])
def test_each_class_is_asked_for(code):
    """A column that tells one class of four is named with it; two classes are one question."""
    y, rng = truth("multiclass"), np.random.default_rng(3)
    (finding,) = leaks.metadata(pd.DataFrame({"meta_x": rng.random(M) + (y == code)}), y)
    assert finding.message.startswith(f"meta_x gives the target away for class {code}: AUC 1.000")
    two = truth()
    (finding,) = leaks.metadata(pd.DataFrame({"meta_x": rng.random(M) + two}), two + code)
    assert finding.message.startswith("meta_x gives the target away: AUC 1.000")


@pytest.mark.parametrize("blocks", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sorted_list_is_caught(kind, blocks):
    """Sorted by target, as a whole or in blocks."""
    y = truth(kind)
    order = np.argsort(y[:, 1] if y.ndim > 1 else y, kind="stable")
    order = np.concatenate(np.array_split(order, blocks)[::2] + np.array_split(order, blocks)[1::2])
    assert [finding.details["column"] for finding in leaks.metadata(facts(), y[order])] == ["row order"]


def test_auc_agrees_with_scikit_learn():
    """Ties count half; one class alone tells nothing."""
    rng = np.random.default_rng(0)
    y, score = rng.integers(0, 2, 500), rng.integers(0, 9, 500)
    assert leaks.auc(score, y)[0] == pytest.approx(roc_auc_score(y, score))
    assert leaks.auc(score, np.zeros(500)) == (0.5, np.inf)


def test_a_list_of_several_is_named():
    """Of two orders of the same rows the one that tells."""
    y = truth()
    orders = {
        "row order": np.random.default_rng(4).permutation(M),
        "id order": np.argsort(np.argsort(y, kind="stable")),
    }
    assert [finding.details["column"] for finding in leaks.metadata(facts(), y, orders)] == ["id order"]


@pytest.mark.parametrize(("n", "caught"), [(60, False), (2000, True)])
def test_few_rows_tell_nothing(n, caught):
    """An AUC of 0.68 is chance among sixty rows (2.4 standard errors) and none among two thousand."""
    y = np.arange(n) % 2
    number = np.arange(n) // 2 / (n / 2) + 0.2 * y  # uniform in each class, one a fifth further
    table = pd.DataFrame({"meta_x": np.random.default_rng(0).permutation(n), "meta_y": number})
    order = {"row order": np.random.default_rng(1).permutation(n)}
    assert leaks.auc(number, y)[0] == pytest.approx(0.68, abs=0.02)
    assert [finding.details["column"] for finding in leaks.metadata(table, y, order)] == (["meta_y"] if caught else [])


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_exif_is_read(photo, form):
    """Camera, artist, orientation and the date the photograph was taken; nothing where there is none."""
    import io

    from PIL import Image

    picture = Image.fromarray(photo(0))
    exif = picture.getexif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x013B] = "Canon", "X", 6, "Ann"
    exif[0x0132] = "2021:01:01 00:00:00"
    with_exif, without = io.BytesIO(), io.BytesIO()
    picture.save(with_exif, form, exif=exif)
    picture.save(without, form)
    found = exif_facts(with_exif.getvalue())
    assert found == {"camera": "Canon X", "artist": "Ann", "date": 1609459200.0, "orientation": 6.0}
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    taken = io.BytesIO()
    picture.save(taken, form, exif=exif)
    assert exif_facts(taken.getvalue())["date"] == 1577836800.0
    nothing = dict.fromkeys(found)
    assert exif_facts(without.getvalue()) == nothing
    assert exif_facts(b"Exif\0\0II*\0\x08\0\0\0\xff\xff") == nothing
    damaged = with_exif.getvalue().replace(b"2021:01:01 00:00:00", b"2021:13:01 00:00:00")
    assert exif_facts(damaged)["date"] is None


# Features


def features(n, shift=0.0, column=None, scale=1.0):
    x = np.random.default_rng(n).normal(size=(n, 30))
    if column is not None:
        x[:, column] += shift
    return (x * scale).astype(np.float32)


def test_train_and_test_of_one_kind_are_not_told_apart():
    """No alarm."""
    assert leaks.adversarial(features(800), features(400), map(str, range(1200)), "lite0") == []


@pytest.mark.parametrize("column", [0, 7, slice(None)])
def test_a_shifted_test_set_is_told(column):
    """In one feature or in all; the rows that show it are named."""
    (finding,) = leaks.adversarial(features(800), features(400, 1.0, column), [*range(1200)], "lite0")
    assert finding.details["auc"] > 0.65
    assert len(finding.details["rows"]) == 20
    assert finding.message.startswith("lite0: ")


def test_the_scale_of_a_feature_hides_no_shift():
    """One that is a thousandth of the others, and one that is constant in both."""
    train, test = features(800), features(400, 1.5, 0)
    for x in (train, test):
        x[:, 0] *= 1e-3
        x[:, 1] = 7
    (finding,) = leaks.adversarial(train, test, [*range(1200)], "lite0")
    assert finding.details["auc"] > 0.8


@pytest.mark.parametrize("place", [3, 999, 1100])
def test_images_with_nearly_the_same_features_are_listed(place, monkeypatch):
    """A copy with other bytes and another hash, in any block; unlike images are not listed."""
    monkeypatch.setattr(leaks, "_BLOCK", 500)
    x, ids = features(1200), [f"i{k}" for k in range(1200)]
    assert leaks.alike(x, ids, "lite0") == []
    x[-1] = x[place] * 1.01 + 0.02
    (finding,) = leaks.alike(x, ids, "lite0")
    assert finding.level == "note"
    assert [pair[:2] for pair in finding.details["pairs"]] == [(f"i{place}", "i1199")]


# Predictions


def stacked(k):
    """Features and classes that a neighbour model learns by heart and otherwise half."""
    x, y = make_classification(
        2000, 20, n_informative=6, n_classes=k, n_clusters_per_class=1, class_sep=0.7, random_state=0
    )
    return x[:1400], y[:1400], x[1400:]


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize(
    "model", [KNeighborsClassifier(9, weights="distance"), LogisticRegression()], ids=["knn", "line"]
)
def test_out_of_fold_predictions_give_no_alarm(model, k):
    """Made by models that did not see the row."""
    x, y, new = stacked(k)
    train, test = cross_val_predict(model, x, y, method="predict_proba"), model.fit(x, y).predict_proba(new)
    assert leaks.in_sample(train[:, -1:] if k == 2 else train, test[:, -1:] if k == 2 else test, "m") == []


@pytest.mark.parametrize("k", [2, 4])
def test_predictions_made_in_sample_are_caught(k):
    """A member of a stack whose train rows were predicted by the model that learnt them."""
    x, y, new = stacked(k)
    model = KNeighborsClassifier(9, weights="distance").fit(x, y)
    train, test = model.predict_proba(x), model.predict_proba(new)
    (finding,) = leaks.in_sample(train[:, -1:] if k == 2 else train, test[:, -1:] if k == 2 else test, "knn")
    assert finding.check == "predictions made in sample"
    assert finding.message.startswith("knn: surer of train rows")
