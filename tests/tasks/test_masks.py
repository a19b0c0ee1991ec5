"""The task of masks: targets from files, scores against scikit-learn, thresholds, submissions."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.metrics import f1_score, jaccard_score

from podium import metrics
from podium.contracts import rle
from podium.contracts.blends import WeightedSum
from podium.contracts.dataset import Dataset
from podium.contracts.masks import Masks
from podium.errors import PodiumError
from podium.tasks.masks import SAMPLED, Task

WHERE = "c.yaml"
H, W = 6, 9
IMAGE = {"source": "masks/{id}.png"}


def png(pixels, mode=None):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


def palette(pixels):
    image = Image.fromarray(pixels, "L")
    image = image.convert("P")
    image = Image.fromarray(pixels, "P")
    image.putpalette([5, 5, 5, 200, 0, 0, 0, 200, 0])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def raw(tmp_path):
    """A folder of three images, one of them to predict, and a function that puts a file beside them."""

    def put(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    for name in "abt":
        put(f"images/{name}.png", png(np.zeros((H, W, 3), np.uint8)))
    put.folder = tmp_path
    return put


def mask(seed=0):
    return np.random.default_rng(seed).random((H, W)) < 0.4


def encoded(task, folder):
    """Return what the task makes of the three rows and their files."""
    rows = pd.DataFrame({"id": list("abt"), "row_id": list("abt"), "split": ["train", "train", "test"]}, dtype="str")
    images = pd.DataFrame({"row_id": list("abt"), "source": [f"images/{name}.png" for name in "abt"]}, dtype="str")
    return task.encode(task.read_files(rows, images, folder, WHERE), WHERE)


def truth(task, folder, ids):
    """Return the masks that are kept of these rows."""
    made = encoded(task, folder)
    made.files(ids, folder / "data/targets")
    return task.truth(Dataset(folder / "data"), ids)


def test_masks_come_from_images_in_the_order_that_is_asked(raw):
    """Lighter than middle gray is the class, of 1, 8 and 16 bits; rows meet by id."""
    first, second = mask(1), mask(2)
    raw("masks/a.png", png(first.astype(np.uint16) * 40000))
    raw("masks/b.png", png(np.where(second, 128, 127).astype(np.uint8)))
    raw("masks/t.png", png(second))  # of one bit
    found = truth(Task(labels=["x"], image=IMAGE), raw.folder, ["b", "a"])
    np.testing.assert_array_equal(found.masks(0)[0], second)
    np.testing.assert_array_equal(found.masks(1)[0], first)
    np.testing.assert_array_equal(found.area[:, 0], [second.sum(), first.sum()])
    assert found[np.array([1])].area.tolist() == [[first.sum()]]


def test_one_image_may_hold_several_classes(raw):
    """By gray values or a palette's numbers; a class may have several."""
    codes = np.random.default_rng(0).integers(0, 4, (H, W)).astype(np.uint8)
    raw("masks/a.png", png(codes))
    raw("masks/b.png", palette(codes))
    task = Task(labels=["x", "y"], exclusive=True, image=IMAGE | {"grays": {"x": [1, 3], "y": [2]}})
    found = truth(task, raw.folder, ["a", "b"])
    for row in range(2):
        np.testing.assert_array_equal(found.masks(row), [np.isin(codes, (1, 3)), codes == 2])


def test_each_class_may_have_an_image_of_its_own(raw):
    """And overlap; one that is not there is empty, where that is said."""
    raw("masks/a_x.png", png(mask(1)))
    raw("masks/a_y.png", png(mask(2)))
    raw("masks/b_y.png", png(mask(3)))
    spec = {"labels": ["x", "y"], "image": {"source": "masks/{id}_{label}.png"}}
    found = truth(Task(**spec, absent="empty"), raw.folder, ["a", "b"])
    np.testing.assert_array_equal(found.masks(0), [mask(1), mask(2)])
    np.testing.assert_array_equal(found.masks(1), [np.zeros((H, W), bool), mask(3)])
    with pytest.raises(PodiumError, match=r"row_id 'b': there is no masks/b_x\.png; if that means empty"):
        encoded(Task(**spec), raw.folder)


SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 6">{}</svg>'
RING, HOLE = [[1, 1], [5, 1], [5, 4], [1, 4]], [[2, 2], [4, 2], [4, 3], [2, 3]]
HOLLOW = '<path d="m1,1 4,0 0,3 -4,0 z m 1 1 L4,2 4,3 2,3Z"/>'
GEOJSON = {"features": [{"geometry": {"type": "Polygon", "coordinates": [RING, HOLE]}}]}


def rectangle(left, top, right, bottom):
    """The pixels whose middle is inside."""
    y, x = np.mgrid[:H, :W] + 0.5
    return (left < x) & (x < right) & (top < y) & (y < bottom)


@pytest.mark.parametrize(
    ("suffix", "content", "expected"),
    [
        ("svg", SVG.format('<g><polygon points="1,1 5,1 5,4 1,4"/></g>'), rectangle(1, 1, 5, 4)),
        ("svg", SVG.format('<path d="M1 1h4v3H1z"/>'), rectangle(1, 1, 5, 4)),
        ("svg", SVG.format(HOLLOW), rectangle(1, 1, 5, 4) ^ rectangle(2, 2, 4, 3)),
        ("svg", SVG.format('<rect x="0" y="0" width="2" height="6"/><rect x="1" y="0" width="2" height="2"/>'),
         rectangle(0, 0, 2, 6) | rectangle(1, 0, 3, 2)),
        ("svg", '<svg width="9px" height="6"><title>none</title></svg>', rectangle(0, 0, 0, 0)),
        ("json", json.dumps([RING]), rectangle(1, 1, 5, 4)),
        ("json", json.dumps(GEOJSON),
         rectangle(1, 1, 5, 4) ^ rectangle(2, 2, 4, 3)),
        ("json", json.dumps({"imageWidth": 9, "imageHeight": 6, "shapes": [
            {"label": "x", "shape_type": "rectangle", "points": [[5, 4], [1, 1]]}]}), rectangle(1, 1, 5, 4)),
    ],
)  # fmt: skip
def test_masks_come_from_outlines(raw, suffix, content, expected):
    """A pixel is of the class where its middle is inside of the outline and of no hole in it."""
    raw(f"masks/a.{suffix}", content.encode())
    found = truth(Task(labels=["x"], image={"source": f"masks/{{id}}.{suffix}"}, absent="empty"), raw.folder, ["a"])
    np.testing.assert_array_equal(found.masks(0)[0], expected)


def test_outlines_of_slanted_lines_agree_with_the_side_of_each_middle(raw):
    """A triangle, by the signs of the distances to its three lines."""
    corners = np.array([[0.3, 0.7], [8.6, 2.1], [3.3, 5.8]])
    raw("masks/a.json", json.dumps([corners.tolist()]).encode())
    found = truth(Task(labels=["x"], image={"source": "masks/{id}.json"}, absent="empty"), raw.folder, ["a"])
    y, x = np.mgrid[:H, :W] + 0.5
    sides = [
        (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) > 0
        for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True)
    ]
    np.testing.assert_array_equal(found.masks(0)[0], np.logical_and.reduce(sides))


def test_outlines_name_their_classes(raw):
    """By an element's class or that of the group around it; classes may overlap."""
    content = '<g class="y"><rect x="1" y="1" width="4" height="3"/><rect class="x" width="2" height="2"/></g>'
    raw("masks/a.svg", SVG.format(content).encode())
    task = Task(labels=["x", "y"], image={"source": "masks/{id}.svg"}, absent="empty")
    np.testing.assert_array_equal(
        truth(task, raw.folder, ["a"]).masks(0), [rectangle(0, 0, 2, 2), rectangle(1, 1, 5, 4)]
    )
    raw("masks/a.svg", SVG.format('<rect class="z" width="2" height="2"/>').encode())
    with pytest.raises(PodiumError, match=r"'a': masks/a\.svg: has an outline of 'z'; task\.labels are 'x', 'y'"):
        encoded(task, raw.folder)


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        ("svg", SVG.format('<path d="M1 1C2 2 3 3 4 4Z"/>'), "has a curve (C) in a path; outlines have straight lines"),
        ("svg", SVG.format('<circle r="2"/>'), "has a <circle>; outlines are polygons, rectangles and paths"),
        ("svg", SVG.format('<g transform="scale(2)"/>'), "has a g with a transform; save it with plain coordinates"),
        ("svg", SVG.replace("9 6", "9 7").format(""), "is drawn for 9 x 7 pixels, and its image has 9 x 6"),
        ("svg", SVG.format('<polygon points="1,1 5,1 5"/>'), "has a polygon with an odd number of coordinates"),
        ("svg", SVG.format('<polygon points="1,1 5,1"/>'), "has a polygon of fewer than three points"),
        ("svg", SVG.format('<polygon points="1,1 5,one 3,3"/>'), "where numbers belong"),
        ("svg", "<!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG.format(""), "declares a document type"),
        ("svg", "<svg><g>", "not readable XML"),
        ("svg", "<g>" * 5000 + "</g>" * 5000, "is nested too deep"),
        ("json", json.dumps([[[1, 1], [5, 1], [5, 40]]]), "has a point at 5, 40, and its image 9 x 6 pixels"),
        ("json", "[[[1, 1], [5, 1], [NaN, 4]]]", "has a point at nan, 4"),
        ("json", json.dumps([[[1, 1], [5, 1], [5]]]), "has a polygon whose points are no numbers"),
        ("json", json.dumps({"a": 1}), "is neither labelme's JSON, nor GeoJSON, nor a list of polygons"),
        (
            "json",
            json.dumps([{"geometry": {"type": "Point", "coordinates": [1, 1]}}]),
            "has a Point; outlines are",
        ),
        ("json", "{", "is no JSON"),
    ],
)
def test_outlines_that_are_none_are_named(raw, suffix, content, reason):
    """One line with the row and its file."""
    raw(f"masks/a.{suffix}", content.encode())
    with pytest.raises(PodiumError, match=re.escape(reason)) as error:
        encoded(Task(labels=["x"], image={"source": f"masks/{{id}}.{suffix}"}, absent="empty"), raw.folder)
    assert f"row_id 'a': masks/a.{suffix}: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", [{"order": "columns", "first": 1}, {"order": "rows", "first": 0}])
def test_masks_come_from_a_table_of_runs(raw, variant):
    """A line for each row and class, in either variant; no line, an empty cell and -1 are empty masks."""
    runs = rle.encode(mask(1), **variant)
    raw("train.csv", f"ImageId,ClassId,EncodedPixels\na.png,2,{runs}\na.png,1,\nb.png,1,-1\n".encode())
    table = {"source": "train.csv", "id": "{ImageId.stem}", "label": "ClassId", "runs": "EncodedPixels"}
    found = truth(Task(labels=["1", "2"], table=table, runs=variant), raw.folder, ["b", "a"])
    assert found.area.tolist() == [[0, 0], [0, mask(1).sum()]]
    np.testing.assert_array_equal(found.masks(1)[1], mask(1))


@pytest.mark.parametrize(
    ("files", "spec", "reason"),
    [
        ({"a": png(mask()[:, :5])}, {}, r"row_id 'a': masks/a\.png has 5 x 6 pixels, and its image 9 x 6$"),
        ({"a": png(mask())}, {}, r"task\.absent: there is no mask for row_id 'b'; if that means .* set it to empty$"),
        (
            {"a": palette(np.eye(H, W, dtype=np.uint8))},
            {},
            r"'a': masks/a\.png: has a palette; say in task\.image\.grays",
        ),
        ({"a": b"no image"}, {}, r"row_id 'a': masks/a\.png: cannot be read"),
        (
            {"a": png(np.eye(H, W, dtype=np.uint8) * 7)},
            {"grays": {"x": [1]}},
            r"'a': .* has pixels of 7, which is no class",
        ),
        (
            {"a": png(np.stack([mask(), mask(), ~mask()], axis=2).astype(np.uint8) * 255)},
            {},
            r"masks/a\.png: has colours, and a mask is gray or has a palette$",
        ),
        (
            {"a": png(mask()), "b": png(mask()), "z": png(mask())},
            {},
            r"masks/z\.png is the mask of no image \(1 such files\)$",
        ),
    ],
)
def test_a_mask_that_is_none_is_named(raw, files, spec, reason):
    """One line with the row and its file."""
    for name, content in files.items():
        raw(f"masks/{name}.png", content)
    with pytest.raises(PodiumError, match=rf"^{WHERE}: (task.*)?{reason}") as error:
        encoded(Task(labels=["x"], image=IMAGE | spec), raw.folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("a,1 3 3 1\nb,\n", r"train\.csv: row_id 'a': the run 3 1 overlaps the one before it"),
        ("a,53 3\nb,\n", r"row_id 'a': the run 53 3 ends beyond the image's 54 pixels$"),
        ("a,1 1\na,2 1\n", r"row_id 'a' has two lines of one class$"),
        ("a,1 1\nz,1 1\n", r"there is no image for row_id 'z'$"),
    ],
)
def test_a_table_of_runs_that_does_not_fit_is_named(raw, lines, reason):
    """One line with the table and the row."""
    raw("train.csv", f"id,rle_mask\n{lines}".encode())
    with pytest.raises(PodiumError, match=reason):
        encoded(Task(labels=["x"], table={"source": "train.csv"}), raw.folder)


def test_exclusive_classes_may_not_overlap(raw):
    """The first pixel at fault is named."""
    raw("train.csv", b"id,label,rle_mask\na,x,1 2\na,y,2 2\nb,x,1 1\n")
    table = {"source": "train.csv", "label": "label"}
    with pytest.raises(PodiumError, match=r"task\.exclusive: row_id 'a': pixel 0, 1 is of 'x' and 'y'$"):
        encoded(Task(labels=["x", "y"], exclusive=True, table=table), raw.folder)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "give `image` or `table`"),
        ({"image": IMAGE, "table": {"source": "t"}}, "give `image` or `table`"),
        ({"labels": ["x", "x"], "image": IMAGE}, "each class once"),
        ({"labels": ["x", "y"], "image": IMAGE}, "with several `labels` in one image"),
        ({"labels": ["x", "y"], "table": {"source": "t"}}, r"`table\.label`: with several"),
        ({"image": IMAGE | {"grays": {"z": [1]}}}, "its keys must be `labels`: x"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(spec, reason):
    """Before any file is read."""
    with pytest.raises(ValidationError, match=reason):
        Task(**{"labels": ["x"]} | spec)


def test_rows_are_stratified_by_emptiness_class_and_area(raw):
    """Empty masks are one stratum; others are of their greatest class, in bins of five at least."""
    n = 40
    rows = pd.DataFrame(
        {"row_id": [f"r{k:02d}" for k in range(n)], "split": "train", "mask_shape": "10 10"}, dtype="str"
    )
    areas = np.arange(n) % 20
    rows["mask_0"] = [f"1 {area}" if area and k < 20 else "" for k, area in enumerate(areas)]
    rows["mask_1"] = [f"1 {area}" if area and k >= 20 else "" for k, area in enumerate(areas)]
    y = Task(labels=["x", "y"], table={"source": "t", "label": "l"}).encode(rows, WHERE).columns["y"]
    assert set(y[areas == 0]) == {0}
    codes, counts = np.unique(y, return_counts=True)
    assert counts.min() >= 2
    assert not set(y[(areas > 0).tolist()][:19]) & set(y[(areas > 0).tolist()][19:])
    assert len(codes) == 1 + 3 + 3
    of_first = y[1:20].to_numpy()
    assert (np.diff(of_first) >= 0).all()  # areas rise


def predictions(arrays, labels=("x",), split="train"):
    ids = np.array([f"r{k}" for k in range(len(arrays))], object)
    shape = np.array([array.shape[1:] for array in arrays])
    return Masks.of_arrays(ids, split, arrays, labels, shape)


def known(task, masks, folder):
    """Return targets of masks (n, c, h, w) as the task reads them."""
    from podium.tasks.masks import Truth

    runs = np.array([[rle.encode(one) for one in row] for row in masks], object)
    return Truth(np.array([row.shape[1:] for row in masks]), runs)


def test_scores_are_scikit_learns():
    """Of all pixels together, and of each image; of some of the rows by the same function."""
    rng = np.random.default_rng(0)
    y, p = rng.random((5, 1, H, W)) < 0.3, rng.integers(0, 256, (5, 1, H, W), dtype=np.uint8)
    y[3:] = False
    p[4] = 0
    task, found = Task(labels=["x"], image=IMAGE), p >= 128
    masks, targets = predictions(list(p)), known(task, y, None)
    by_name = {
        name: task.scorer(metrics.METRICS[name], targets, masks)
        for name in metrics.METRICS
        if "masks" in metrics.METRICS[name].tasks
    }
    everyone, some = np.arange(5), np.array([0, 2, 3])
    for rows in (everyone, some):
        flat, told = y[rows].reshape(-1), found[rows].reshape(-1)
        assert by_name["pixel_f1"](rows) == pytest.approx(f1_score(flat, told))
        assert by_name["pixel_iou"](rows) == pytest.approx(jaccard_score(flat, told))
        dice = [f1_score(y[r].reshape(-1), found[r].reshape(-1), zero_division=1.0) for r in rows]
        iou = [jaccard_score(y[r].reshape(-1), found[r].reshape(-1), zero_division=1.0) for r in rows]
        assert by_name["mean_dice"](rows) == pytest.approx(np.mean(dice))
        assert by_name["mean_iou"](rows) == pytest.approx(np.mean(iou))
        hits = [[one > 0.5 + 0.05 * k for k in range(10)] for one in iou]
        assert by_name["mean_iou_precision"](rows) == pytest.approx(np.mean(hits))
    assert dice[-1] == 0.0  # nothing is there and something is predicted
    assert task.score(metrics.METRICS["mean_dice"], targets[np.array([4])], masks.take(np.array([4]))) == 1.0


def test_a_mask_that_is_one_pixel_off_is_not_right():
    """Nor is one that is mirrored or turned."""
    y = np.zeros((1, 1, 8, 8), bool)
    y[0, 0, 1:5, 2:4] = True
    task, f1 = Task(labels=["x"], image=IMAGE), metrics.METRICS["pixel_f1"]
    targets = known(task, y, None)

    def score(mask):
        return task.score(f1, targets, predictions([mask[0].astype(np.uint8) * 255]))

    assert score(y) == 1.0
    assert score(np.roll(y, 1, axis=3)) == pytest.approx(0.5)
    assert score(y[..., ::-1]) < 1
    assert score(y.swapaxes(2, 3)) < 1


def test_of_exclusive_classes_a_pixel_has_the_greatest():
    """The first of equals, and none below one half."""
    maps = np.array([[[130, 200, 90, 150]], [[140, 140, 100, 150]]], np.uint8)
    found = Task(labels=["x", "y"], exclusive=True, image=IMAGE | {"grays": {"x": [1], "y": [2]}}).decide(maps)
    assert found[:, 0].astype(int).tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]
    overlapping = Task(labels=["x", "y"], image={"source": "{id}_{label}.png"}).decide(maps)
    assert overlapping[:, 0].astype(int).tolist() == [[1, 1, 0, 1], [1, 1, 0, 1]]


def loss_of(task, name="pixel_f1"):
    metric = metrics.METRICS[name]
    return lambda y, p: metric.sign * task.score(metric, y, p)


def test_the_learnt_threshold_is_the_best_of_all():
    """By trying every one on whole masks."""
    rng = np.random.default_rng(1)
    y = rng.random((4, 1, 20, 20)) < 0.3
    p = np.clip(rng.normal(70, 30, y.shape) + 40 * y, 0, 255).astype(np.uint8)
    task = Task(labels=["x"], image=IMAGE)
    cut = task.adjustment(predictions(list(p)), known(task, y, None), loss_of(task))
    scores = [f1_score(y.reshape(-1), (p >= t).reshape(-1)) for t in range(1, 256)]
    assert scores[cut.thresholds[0] - 1] == pytest.approx(max(scores))
    assert cut.thresholds[0] != 128
    adjusted = task.adjusted(predictions(list(p)), cut)
    assert -loss_of(task)(known(task, y, None), adjusted) == pytest.approx(max(scores))


def test_each_class_gets_a_threshold_and_a_least_area():
    """Two classes whose best thresholds differ; specks of noise on empty images are worth emptying."""
    y = np.zeros((6, 2, 10, 10), bool)
    y[:3, 0, :5], y[:3, 1, 5:] = True, True
    p = np.where(y, [[[[90]], [[220]]]], 0).astype(np.uint8)
    p[3:, :, 4, 4] = np.array([95, 225])  # surer than what is right, and a pixel each
    p[:, 1] = np.maximum(p[:, 1], 130)
    task = Task(labels=["x", "y"], image={"source": "{id}_{label}.png"})
    targets = known(task, y, None)
    cut = task.adjustment(predictions(list(p), ("x", "y")), targets, loss_of(task, "mean_dice"))
    adjusted = task.adjusted(predictions(list(p), ("x", "y")), cut)
    assert -loss_of(task, "mean_dice")(targets, adjusted) == 1.0


def test_holes_are_filled_where_that_is_right_and_in_that_class_alone():
    """Discs are found as rings, of two classes; of the second, rings are what is asked for."""
    y, x = np.mgrid[:20, :20]
    distance = np.hypot(y - 9.5, x - 9.5)
    disc, ring = distance < 8, (distance < 8) & (distance > 4)
    p = np.repeat(np.stack([ring, ring])[None].astype(np.uint8) * 220, 3, axis=0)
    task = Task(labels=["x", "y"], image={"source": "{id}_{label}.png"})
    targets = known(task, np.repeat(np.stack([disc, ring])[None], 3, axis=0), None)
    cut = task.adjustment(predictions(list(p), ("x", "y")), targets, loss_of(task))
    assert cut.fills.tolist() == [True, False]
    assert -loss_of(task)(targets, task.adjusted(predictions(list(p), ("x", "y")), cut)) == 1.0


def test_ensembles_are_fitted_on_the_same_pixels_of_members_and_truth():
    """Their truth is that of the places where the members are read; and the blend is the weighted mean of maps."""
    rng = np.random.default_rng(2)
    y = rng.random((3, 1, 30, 30)) < 0.5
    task = Task(labels=["x"], image=IMAGE)
    exact, noise = (
        predictions(list(y.astype(np.uint8) * 255)),
        predictions(list(rng.integers(0, 256, y.shape, np.uint8))),
    )
    stacked = task.stacked([exact, noise])
    assert stacked.shape == (2, 3, SAMPLED)
    targets = task.stacked_truth(known(task, y, None), [exact, noise])
    np.testing.assert_array_equal(stacked[0], targets)
    f1 = metrics.METRICS["pixel_f1"]
    assert task.score_stacked(f1, targets, stacked[0]) == 1.0
    assert task.score_stacked(f1, targets, stacked[1]) < 0.75
    blended = task.blended(WeightedSum(np.array([0.75, 0.25])), [exact, noise])
    expected = 0.75 * exact.whole(1).astype(float) + 0.25 * noise.whole(1)
    np.testing.assert_allclose(blended.maps[1](), expected, atol=0.51)


def images_of(ids, shapes):
    table = pd.DataFrame({"row_id": ids, "height": [s[0] for s in shapes], "width": [s[1] for s in shapes]})
    rows = pd.DataFrame({"row_id": ids, "split": "test", "y": np.nan, "weight": 1.0})
    return Dataset.in_memory(rows, ["x"], images=table)


@pytest.mark.parametrize("variant", [{"order": "columns", "first": 1}, {"order": "rows", "first": 0}])
def test_a_submission_reads_back_as_the_masks_that_it_says(variant):
    """By id, in the variant that the competition takes, at the images' own sizes."""
    masks = [np.random.default_rng(k).random((1, 4 + k, 7)) < 0.5 for k in range(3)]
    task = Task(labels=["x"], image=IMAGE, runs=variant)
    data = images_of(["r0", "r1", "r2"], [one.shape[1:] for one in masks])
    submission = task.submission(predictions([one.astype(np.uint8) * 255 for one in masks]), data, ["runs"])
    specs = task.cell_specs(data, ["runs"])
    assert [specs["runs"].fault(cell, row_id) for row_id, cell in submission.itertuples(index=False)] == [None] * 3
    assert submission["runs"].tolist() == [rle.encode(one[0], **variant) for one in masks]
    back = task.read_submission(submission.iloc[[2, 0]], data)
    np.testing.assert_array_equal(task.decide(back.whole(0)), masks[2])
    np.testing.assert_array_equal(task.decide(back.whole(1)), masks[0])


def test_the_gate_refuses_runs_beyond_the_image_of_their_line():
    """The image's own size decides, line by line."""
    task = Task(labels=["x"], image=IMAGE)
    spec = task.cell_specs(images_of(["a", "b"], [(2, 3), (4, 3)]), ["runs"])["runs"]
    assert spec.fault("7 2", "b") is None
    assert spec.fault("7 2", "a") == "the run 7 2 ends beyond the image's 6 pixels"
    with pytest.raises(
        PodiumError, match=r"submission\.columns: after the id there must be one for each .* not 2 columns"
    ):
        task.cell_specs(images_of(["a"], [(2, 3)]), ["runs", "more"])


def test_masks_made_elsewhere_join_by_id(tmp_path):
    """A column for each class; a wrong run is named with its row."""
    task, data = Task(labels=["x"], image=IMAGE), images_of(["a", "b"], [(2, 3), (4, 3)])
    (tmp_path / "p.csv").write_text("row_id,x\nb,1 2\na,\n")
    found, fold = task.read_import(tmp_path / "p.csv", data)
    assert fold is None
    assert task.decide(found.whole(0)).sum(axis=(1, 2)).tolist() == [2]
    (tmp_path / "p.csv").write_text("row_id,x\na,9 2\n")
    with pytest.raises(PodiumError, match=r"p\.csv: row_id 'a': the run 9 2 ends beyond"):
        task.read_import(tmp_path / "p.csv", data)


def test_a_submission_may_have_a_line_for_each_class():
    """Severstal's form: four classes, one column; lines of a row are of its own image, and read back by id."""
    masks = [np.random.default_rng(k).random((2, 4 + k, 7)) < 0.5 for k in range(2)]
    task = Task(labels=["1", "2"], table={"source": "t", "label": "l"}, line="{row}_{label}")
    data = images_of(["r0", "r1"], [one.shape[1:] for one in masks])
    made = predictions([one.astype(np.uint8) * 255 for one in masks], ("1", "2"))
    submission = task.submission(made, data, ["EncodedPixels"])
    assert submission["row_id"].tolist() == ["r0_1", "r0_2", "r1_1", "r1_2"] == task.line_ids(["r0", "r1"])
    assert submission["EncodedPixels"].tolist() == [rle.encode(mask) for one in masks for mask in one]
    spec = task.cell_specs(data, ["EncodedPixels"])["EncodedPixels"]
    assert spec.fault("29 1", "r1_2") is None
    assert "beyond" in spec.fault("29 1", "r0_2")
    back = task.read_submission(submission.iloc[[2, 3, 0, 1]], data)
    assert back.row_id.tolist() == ["r1", "r0"]
    np.testing.assert_array_equal(task.decide(back.whole(0)), masks[1])
    with pytest.raises(PodiumError, match="after the id there must be the codes alone"):
        task.cell_specs(data, ["1", "2"])
    with pytest.raises(ValidationError, match=r"`line`: '\{row\}' must hold"):
        Task(labels=["1"], table={"source": "t"}, line="{row}")
