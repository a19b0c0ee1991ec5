"""The task `boxes`: four ways to write them, what is refused, and the way out."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from podium import config
from podium.analysis import significance
from podium.contracts.boxes import Annotated, Boxes
from podium.contracts.dataset import Dataset
from podium.contracts.submission import check
from podium.contracts.tables import IMAGES, ROWS
from podium.ensembles import boxes as ensembles
from podium.ensembles import crossed
from podium.errors import PodiumError
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import find
from podium.tasks import prediction_strings
from podium.tasks.boxes import Task, frames

CLASSES = ("cat", "dog")
TRUTH = {"r0": [(5, 6, 25, 16, "cat"), (30, 2, 40, 30, "dog")], "r1": [], "r2": [(0, 0, 50, 40, "dog")]}
WIDTH, HEIGHT = 50, 40


def voc(folder, truth, size=(WIDTH, HEIGHT), extra=""):
    for row, boxes in truth.items():
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            "</bndbox></object>"
            for a, b, c, d, name in boxes
        )
        sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        (folder / f"{row}.xml").write_text(f"{extra}<annotation>{sides}{objects}</annotation>")
    return {"format": "voc", "source": "{row_id}.xml"}


def yolo(folder, truth):
    for row, boxes in truth.items():
        lines = [
            f"{CLASSES.index(name)} {(a + c) / 2 / WIDTH} {(b + d) / 2 / HEIGHT} {(c - a) / WIDTH} {(d - b) / HEIGHT}"
            for a, b, c, d, name in boxes
        ]
        (folder / f"{row}.txt").write_text("\n".join(lines))
    return {"format": "yolo", "source": "{path.stem}.txt"}


def coco(folder, truth):
    images = [
        {"id": k, "file_name": f"images/{row}.png", "width": WIDTH, "height": HEIGHT} for k, row in enumerate(truth)
    ]
    annotations = [
        {"id": 9, "image_id": k, "bbox": [a, b, c - a, d - b], "category_id": 10 + CLASSES.index(name)}
        for k, boxes in enumerate(truth.values())
        for a, b, c, d, name in boxes
    ]
    categories = [{"id": 10 + k, "name": name} for k, name in enumerate(CLASSES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "all.json").write_text(json.dumps(content))
    return {"format": "coco", "source": "all.json"}


def lines(folder, truth):
    rows = [f'{row},"[{a}, {b}, {c - a}, {d - b}]",{name}' for row, own in truth.items() for a, b, c, d, name in own]
    rows += [f"{row},," for row, own in truth.items() if not own]
    (folder / "boxes.csv").write_text("\n".join(["id,bbox,what", *rows]) + "\n")
    return {"format": "csv", "source": "boxes.csv", "image": "id", "box": ("bbox",), "form": "extent", "label": "what"}


@pytest.fixture
def encode(tmp_path):
    """Return the function from annotations, and settings of the task, to each row's boxes."""

    def encoded(annotations, ids=("r0", "r1", "r2"), split="train", **settings):
        for row in ids:
            if not (tmp_path / f"{row}.png").exists():
                cv2.imwrite(str(tmp_path / f"{row}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        paths = [f"{row}.png" for row in ids]
        rows = pd.DataFrame({"row_id": list(ids), "split": split, "path": paths}, dtype="str")
        images = pd.DataFrame({"image_id": list(ids), "row_id": list(ids), "source": paths}, dtype="str")
        task = Task(annotations=annotations, **{"classes": CLASSES, **settings})
        found = task.encode(task.read_files(rows, images, tmp_path, "x.yaml"), "x.yaml")
        return dict(zip(ids, found.columns["y"], strict=True)), found

    return encoded


def boxes_of(found, tmp_path):
    (tmp_path / "out").mkdir(exist_ok=True)
    found.files(["r0", "r1", "r2"], tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out/boxes.parquet")
    return [
        (*map(float, line[:4]), CLASSES[line[4]]) for line in table[["x1", "y1", "x2", "y2", "label"]].to_numpy(object)
    ]


@pytest.mark.parametrize("write", [voc, yolo, coco, lines])
def test_each_format_gives_the_same_boxes(encode, tmp_path, capsys, write):
    """In pixels, with their classes; images without a box are counted aloud."""
    counts, found = encode(write(tmp_path, TRUTH))
    assert counts == {"r0": 2, "r1": 0, "r2": 1}
    for got, expected in zip(boxes_of(found, tmp_path), [*TRUTH["r0"], *TRUTH["r2"]], strict=True):
        assert got[:4] == pytest.approx(expected[:4], abs=1e-4)
        assert got[4] == expected[4]
    assert "1 of 3 images have no box, such as 'r1'" in capsys.readouterr().out


@pytest.mark.parametrize("write", [voc, yolo, coco, lines])
def test_a_missing_annotation_is_an_error_unless_absent_means_none(encode, tmp_path, write):
    """Of rows to train on; test rows are merely unknown."""
    some = {row: boxes for row, boxes in TRUTH.items() if row != "r1"}
    annotations = write(tmp_path, some)
    with pytest.raises(PodiumError, match=r"x.yaml: task.annotations: .*nothing is written of row_id 'r1'"):
        encode(annotations)
    counts, _ = encode({**annotations, "absent": "none"})
    assert counts == {"r0": 2, "r1": 0, "r2": 1}
    counts, _ = encode(annotations, split="test")
    assert np.isnan(counts["r1"])


@pytest.mark.parametrize(
    ("box", "reason", "mend"),
    [
        ((5, 6, 60, 16, "cat"), "leads out of the image of 50 x 40 pixels", "clip"),
        ((-9, 6, 20, 16, "cat"), "leads out of the image", "clip"),
        ((25, 6, 5, 16, "cat"), "is inverted", "empty"),
        ((5, 6, 5, 16, "cat"), "has no area", "empty"),
        ((0, 0, 50, 40, "dog"), "is there twice", "duplicate"),
        ((5, 6, 25, 16, "cow"), "unknown class 'cow'.*cat, dog", None),
        (("nan", 6, 25, 16, "cat"), "'nan' is not finite", None),
        (("x", 6, 25, 16, "cat"), "'x' is no number", None),
    ],
)
def test_a_bad_box_is_one_line_that_names_file_and_box(encode, tmp_path, box, reason, mend):
    """And is mended only where the YAML says so."""
    annotations = voc(tmp_path, {**TRUTH, "r2": [*TRUTH["r2"], box]})
    with pytest.raises(PodiumError, match=rf"x.yaml: r2.xml: object 2: .*{reason}") as caught:
        encode(annotations)
    assert "\n" not in str(caught.value)
    if mend:
        counts, found = encode(annotations, mend=(mend,))
        assert counts["r2"] == (2 if mend == "clip" else 1)
        assert all(0 <= x1 < x2 <= 50 for x1, _, x2, _, _ in boxes_of(found, tmp_path))


def test_aliases_and_one_based_boxes(encode, tmp_path):
    """Pascal's first pixel is 1, and its last one belongs to the box."""
    annotations = voc(tmp_path, {"r0": [(1, 1, 10, 20, "puppy")], "r1": [], "r2": []})
    _, found = encode({**annotations, "one_based": True}, aliases={"puppy": "dog"})
    assert boxes_of(found, tmp_path) == [(0, 0, 10, 20, "dog")]


def test_files_of_other_images_and_hostile_ones_are_refused(encode, tmp_path):
    """Another size, an image that is not there, entities, text that is no XML."""
    with pytest.raises(PodiumError, match=r"r0.xml: it is of an image of 99 x 40 pixels, and r0.png has 50 x 40"):
        encode(voc(tmp_path, TRUTH, size=(99, HEIGHT)))
    with pytest.raises(PodiumError, match=r"boxes.csv: boxes of images that are not there: 'r9'"):
        encode(lines(tmp_path, {**TRUTH, "r9": TRUTH["r2"]}))
    entity = '<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]>'
    with pytest.raises(PodiumError, match=r"r0.xml: its XML declares a document type"):
        encode(voc(tmp_path, TRUTH, extra=entity))
    with pytest.raises(PodiumError, match=r"r0.xml: not readable XML"):
        encode(voc(tmp_path, TRUTH, extra="<"))
    annotations = yolo(tmp_path, TRUTH)
    (tmp_path / "r0.txt").write_text("7 0.5 0.5 0.1 0.1")
    with pytest.raises(PodiumError, match=r"r0.txt: line 1: class '7': task.classes has 2"):
        encode(annotations)


@pytest.mark.parametrize("turn", range(2, 9))
def test_turned_pictures_need_a_choice_and_boxes_follow_it(encode, tmp_path, turn):
    """A painted box is where the boxes say, upright."""
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[6:16, 5:25] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(stored).save(tmp_path / "r0.jpg", exif=exif, quality=95)
    (tmp_path / "r0.jpg").rename(tmp_path / "r0.png")
    annotations = voc(tmp_path, {"r0": [(5, 6, 25, 16, "cat")], "r1": [], "r2": []})
    with pytest.raises(PodiumError, match=f"r0.png: its EXIF orientation is {turn}; say task.exif"):
        encode(annotations)
    _, found = encode(annotations, exif="stored")
    from podium.imaging.images import Reader

    with Reader(tmp_path) as reader:
        y, x = np.nonzero(reader.read("r0.png")[..., 0] > 127)
    assert boxes_of(found, tmp_path) == [(x.min(), y.min(), x.max() + 1, y.max() + 1, "cat")]


def test_blocks_keep_what_is_visible():
    """A box that the edge cuts stays if enough of it is inside."""
    task = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"}, min_visible=0.4)
    true = Annotated(np.array([[0, 0, 10, 10], [5, 0, 15, 10], [7, 0, 17, 10]], np.float32), np.array([0, 1, 1]))
    from podium.imaging.regions import Region

    left, right = (task.inside(true, Region("a", x, 0, 10, 10)) for x in (0, 10))
    np.testing.assert_array_equal(left.xyxy, [[0, 0, 10, 10], [5, 0, 10, 10]])
    np.testing.assert_array_equal(right.xyxy, [[0, 0, 5, 10], [0, 0, 7, 10]])


@pytest.fixture
def data(tmp_path):
    """A dataset of two test rows, one of which is made of tiles."""
    ids, sources = ["t0", "t1/0", "t1/1"], ["t0.png", "t1.png@0,0,60,40", "t1.png@40,0,60,40"]
    images = pd.DataFrame({"image_id": ids, "row_id": ["t0", "t1", "t1"], "source": sources, "split": "test"})
    IMAGES.write(images.assign(width=[50, 60, 60], height=40, digest="x"), tmp_path / "images.parquet")
    rows = pd.DataFrame({"row_id": ["a", "t0", "t1"], "split": ["train", "test", "test"], "y": [1.0, np.nan, np.nan]})
    rows = rows.assign(weight=1.0, group=rows["row_id"])
    ROWS.write(rows, tmp_path / "rows.parquet", {"labels": list(CLASSES), "has_files": True})
    return Dataset(tmp_path)


FORMS = [
    {"fields": ("class", "score", "x1", "y1", "x2", "y2")},
    {"fields": ("score", "x1", "y1", "w", "h", "code"), "none": "14 1 0 0 1 1"},
    {"fields": ("code", "score", "cx", "cy", "w", "h"), "normalised": True, "digits": 6},
]


@pytest.mark.parametrize("form", FORMS)
def test_submissions_come_back(data, tmp_path, form):
    """Through the file and the gate, by any template."""
    task = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"}, prediction=form)
    assert task.frames(data, ["t0", "t1"]) == [(50, 40), (100, 40)]
    two = (np.array([[1.25, 2.5, 99.75, 40], [0, 0, 7, 8]]), np.array([0.5, 0.25]), np.array([1, 0]))
    none = (np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    p = Boxes.of_parts(["t0", "t1"], "test", [none, two], CLASSES)
    path, sample = tmp_path / "s.csv", pd.DataFrame({"row_id": ["t0", "t1"], "boxes": ""})
    task.submission(p, data, ["boxes"]).to_csv(path, index=False, lineterminator="\n")
    read = task.read_submission(check(path, sample, task.cell_specs(data, ["boxes"]), "s.csv"), data)
    np.testing.assert_allclose(read.xyxy, p.xyxy, atol=0.01)
    np.testing.assert_array_equal(read.offset, p.offset)
    if "score" in form["fields"]:
        np.testing.assert_allclose(read.score, p.score)
    np.testing.assert_array_equal(read.label, p.label)


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("cat 0.5 0 0 10", "has 5 parts; a box takes 6"),
        ("cow 0.5 0 0 10 10", "'cow' is no class"),
        ("cat 1.5 0 0 10 10", "score must be in"),
        ("cat 0.5 0 0 nan 10", "x2 must be a finite number"),
        ("cat 0.5 0 0 1e999 10", "x2 must be a finite number"),
        ("cat 0.5 0 0 51 10", "leads out of the image of 50 x 40"),
        ("cat 0.5 20 0 10 10", "inverted or has no area"),
        ("cat 0.5 0 0 10 10 " * 3, "has 3 boxes; at most 2"),
    ],
)
def test_the_gate_refuses_bad_boxes(data, cell, fault):
    """Each in its own words."""
    task = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"}, prediction={"most": 2})
    spec = task.cell_specs(data, ["boxes"])["boxes"]
    assert fault in spec.fault(cell.strip(), "t0")
    assert spec.fault("cat 0.5 0 0 50 40", "t0") is spec.fault("", "t0") is None


def test_imports_take_a_table_or_cocos_results(data, tmp_path):
    """Rows that results do not name have no box."""
    task = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"})
    (tmp_path / "a.json").write_text(
        json.dumps([{"image_id": "t0", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])
    )
    (tmp_path / "a.csv").write_text("row_id,x1,y1,x2,y2,score,label\nt0,1,2,4,6,0.5,dog\nt1,,,,,,\na,,,,,,\n")
    for name in ("a.json", "a.csv"):
        p, folds = task.read_import(tmp_path / name, data)
        assert folds is None
        assert sorted(p.row_id) == ["a", "t0", "t1"]
        xyxy, score, label = p.by_id(["t0"], name).of_row(0)
        assert (xyxy.tolist(), score.tolist(), label.tolist()) == ([[1, 2, 4, 6]], [0.5], [1])
    (tmp_path / "a.csv").write_text("row_id,x1,y1,x2,y2,score,label\nt0,1,2,4,6,0.5,cow\n")
    with pytest.raises(PodiumError, match=r"a.csv: unknown class 'cow'"):
        task.read_import(tmp_path / "a.csv", data)


def test_rows_of_two_photographs_are_refused():
    """Their boxes would have no picture."""
    images = pd.DataFrame({"row_id": "a", "source": ["x.png", "y.png"], "width": 5, "height": 5})
    with pytest.raises(PodiumError, match=r"'a' has several images, x.png and y.png"):
        frames(images)


def noisy(y, seed, spread):
    """Return a member: truth moved by `spread` pixels with high scores, and false alarms with low ones."""
    rng = np.random.default_rng(seed)
    parts = []
    for true in y:
        near = true.xyxy + rng.normal(0, spread, true.xyxy.shape)
        far = rng.random((4, 2)) * 150
        xyxy = np.vstack([near, np.hstack([far, far + 20])])
        score = np.concatenate([rng.uniform(0.3, 1, len(near)), rng.uniform(0, 0.45, 4)])
        parts.append((xyxy, score, np.concatenate([true.label, np.zeros(4)])))
    return Boxes.of_parts([f"r{k}" for k in range(len(y))], "train", parts, CLASSES)


@pytest.mark.slow
def test_fusing_learns_a_cut_and_beats_its_members_out_of_fold():
    """Weights, overlap and cut are learnt without the fold that they are scored on."""
    rng, y = np.random.default_rng(0), np.empty(40, object)
    for k in range(len(y)):
        corner = rng.random((5, 2)) * 150
        y[k] = Annotated(np.hstack([corner, corner + 25]).astype(np.float32), np.zeros(5, np.int64))
    task = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"})
    metric = find("f1@0.6", "x")
    members = [noisy(y, seed, 4.0) for seed in (1, 2)]
    stacked, folds = task.stacked(members), np.arange(40)[:, None] % 2
    loss = Scoring(task, (metric,), Submission()).objective()
    method = ensembles.Ensemble(iou=(0.4, 0.6), cuts=10)
    blends = method.fit_folds(stacked, y, folds, loss=loss, seed=0)
    cross_fitted = -loss(y, crossed(blends, stacked, folds))
    assert cross_fitted > max(task.score(metric, y, member) for member in members) + 0.1
    assert all(0 < blend.cut < 0.6 for blend in blends.values())
    whole = task.blended(blends[0, 0], members)
    whole.check("here")
    some = task.blended(blends[0, 0], [member.take(np.array([3])) for member in members])
    np.testing.assert_array_equal(some.xyxy, whole.of_row(3)[0])


def png(color=0):
    return cv2.imencode(".png", np.full((40, 50, 3), color, np.uint8))[1].tobytes()


VINBIGDATA = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a,No finding,14,R1,,,,
b,Nodule/Mass,8,R1,3,4,20,30
b,Nodule/Mass,8,R2,3,4,20,30
b,ILD,5,R3,1,1,9,9
"""
WHEAT = 'image_id,width,height,bbox,source\nb,50,40,"[3.0, 4.0, 17.0, 26.0]",u\nb,50,40,"[0.0, 0.0, 9.0, 9.0]",u\n'


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("global-wheat-detection", {"train.csv": WHEAT, "sample_submission.csv": "image_id,PredictionString\nc,\n"}),
        (
            "vinbigdata-chest-xray",
            {"train.csv": VINBIGDATA, "sample_submission.csv": "image_id,PredictionString\nc,14 1 0 0 1 1\n"},
        ),
    ],
)
def test_kaggles_layouts_are_read_as_they_come(name, members, tmp_path, monkeypatch):
    """An image without findings, one with two boxes, and one to predict whose cell goes out as Kaggle wants it."""
    monkeypatch.chdir(Path(__file__).parents[2])
    competition = config.load_competition(name)
    suffix = "jpg" if name.startswith("global") else "png"
    files = {f"train/a.{suffix}": png(), f"train/b.{suffix}": png(9), f"test/c.{suffix}": png(5), **members}
    if name.startswith("global"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member, content in files.items():
                archive.writestr(member, content)
    else:
        for member, content in files.items():
            (tmp_path / member).parent.mkdir(exist_ok=True)
            (tmp_path / member).write_bytes(content if isinstance(content, bytes) else content.encode())
    listing, task = competition.layout.read(tmp_path), competition.task
    y = task.encode(task.read_files(listing.rows, listing.images, tmp_path, "x"), "x").columns["y"]
    assert dict(zip(listing.rows["row_id"], y.fillna(-1), strict=True)) == {"a": 0, "b": 2, "c": -1}
    assert competition.submission.table(tmp_path, {"c"}).iloc[0, 0] == "c"
    box = (np.array([[3, 4, 20, 30]]), np.array([0.5]), np.array([0]))
    cell = prediction_strings.write(task.prediction, box, task.classes, (50, 40))
    assert cell == ("0.5000 3 4 17 26" if suffix == "jpg" else "0 0.5000 3 4 20 30")


def test_two_members_are_compared_image_by_image():
    """The better one is better with an interval that the pairing makes narrow."""
    rng, y = np.random.default_rng(0), np.empty(60, object)
    for k in range(len(y)):
        corner = rng.random((4, 2)) * 150
        y[k] = Annotated(np.hstack([corner, corner + 25]).astype(np.float32), np.zeros(4, np.int64))
    assert np.array_equal(y, y.copy())
    assert (y != np.roll(y, 1)).all()
    task, metric = Task(classes=CLASSES, annotations={"format": "voc", "source": "x"}), find("f1@0.6", "x")
    first, second = (task.scorer(metric, y, noisy(y, 1, spread)) for spread in (4.0, 1.0))
    losses = (lambda rows: -first(rows), lambda rows: -second(rows))
    folds = np.arange(60) % 2
    found = significance.paired(*losses, np.arange(60), folds, folds)
    assert found.verdict == "better"
    assert found.interval.low < found.gain < found.interval.high
