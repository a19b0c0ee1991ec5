"""`podium predict`: what is scored is what new pictures get."""

import re
import shutil
import zipfile
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.cli import main
from podium.commands import predict
from podium.contracts.scores import Scores
from podium.serving.captions import caption

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("serving")]  # one worker makes the competition once


def test_the_competitions_own_test_rows_get_the_very_numbers_of_the_ensemble(at_home, tmp_path):
    """Decoded, seen by the networks and averaged anew, by the same engines: not one bit differs."""
    assert main(["predict", "incoming/images", "--rows", "{path.stem}", "--out", str(tmp_path / "p.csv")]) == 0
    table = pd.read_csv(tmp_path / "p.csv", dtype={"row_id": str}).set_index("row_id")
    test = Scores.read(paths.ensemble("toy")).of_split("test")
    assert len(test) == 12
    np.testing.assert_array_equal(table.loc[test.row_id, "1"].to_numpy(np.float32), test.p[:, 0])


def test_archives_films_and_broken_files(at_home, picture, tmp_path, capsys):
    """A zip's members, a film's frames; what cannot be read is listed, and is no reason to stop."""
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for name in ("001", "002"):
            archive.write(f"incoming/images/{name}.png", f"deep/{name}.png")
        archive.writestr("notes.txt", "no image")
        archive.writestr("bad.png", "no image")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (40, 40))
    for seed in range(3):
        film.write(cv2.resize(picture(seed), (40, 40)))
    film.release()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    assert cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((2, 20_000, 3), np.uint8))
    given = [str(tmp_path / name) for name in ("some.zip", "film.avi", "text.jpg", "empty.png", "wide.png")]
    assert main(["predict", *given, "--out", str(tmp_path / "p.csv")]) == 0
    table = pd.read_csv(tmp_path / "p.csv", dtype=str).set_index("row_id")
    frames = [f"{tmp_path}/film.avi#{n}" for n in range(3)]
    members = [f"{tmp_path}/some.zip#deep/{name}.png" for name in ("001", "002")]
    assert sorted(table.index) == sorted([*members, *frames, f"{tmp_path}/wide.png"])
    told = capsys.readouterr().err
    assert "some.zip#bad.png: it is no image that OpenCV can decode" in told
    assert "text.jpg: it is no image" in told
    assert "empty.png: the file is empty" in told


def test_rows_of_several_pictures_by_a_table(at_home, tmp_path):
    """The mean of a row's pictures goes to the heads; a row of one picture twice is that of the picture."""
    (tmp_path / "rows.csv").write_text("row_id,image\ntwice,001.png\ntwice,001.png\nonce,001.png\ngone,xyz.png\n")
    out = tmp_path / "p.csv"
    assert main(["predict", "incoming/images", "--rows", str(tmp_path / "rows.csv"), "--out", str(out)]) == 0
    table = pd.read_csv(out).set_index("row_id")
    assert sorted(table.index) == ["once", "twice"]
    assert table.loc["once", "1"] == pytest.approx(table.loc["twice", "1"], abs=1e-6)


def test_imported_members_are_named_and_the_weights_fitted_without_them(house, tmp_path, monkeypatch, capsys):
    """Before any work; and a member of weight 0 is not missed."""
    shutil.copytree(house.root, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PODIUM_CACHE", str(house.root / ".podium"))
    rows = pd.read_parquet("data/toy/images.parquet")
    pd.DataFrame({"row_id": rows["row_id"], "p_0": 0.5}).to_csv("mate.csv", index=False)
    text = (tmp_path / "work/params.yaml").read_text()
    (tmp_path / "work/params.yaml").write_text(text.replace("predictions: {}", "predictions: {mate: mate.csv}"))
    for command in (["import_predictions", "mate"], ["bank"], ["ensemble"]):
        assert main(command) == 0
    capsys.readouterr()
    assert main(["predict", "incoming/images/001.png"]) == 0
    said = capsys.readouterr()
    assert "without mate: its predictions are imported; cross-fitted log_loss" in said.err.splitlines()[0]
    assert said.out.startswith("row_id,label,1\nincoming/images/001.png,")


def test_members_with_metadata_follow_where_a_table_gives_it(house, tmp_path, monkeypatch, capsys):
    """One beside features, one of metadata alone: the ensemble's numbers to the bit; else they are named."""
    shutil.copytree(house.root, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PODIUM_CACHE", str(house.root / ".podium"))
    text = (tmp_path / "work/params.yaml").read_text()
    both = "  aged: {backbone: colour, head: logistic, metadata: true}\n  old: {backbone: metadata, head: logistic}\n"
    kept = text[text.index("  logistic_lite:") : text.index("  logistic_tiny:")]
    some = text[: text.index("members:")] + "members:\n" + kept + both + text[text.index("finetunes:") :]
    some = re.sub("fusions:.*?ensemble:", "fusions: {}\nensemble:", some, flags=re.DOTALL)
    (tmp_path / "work/params.yaml").write_text(some)
    for command in (["fit", "aged"], ["fit", "old"], ["bank"], ["ensemble"]):
        assert main(command) == 0
    rows = pd.read_csv("incoming/labels.csv", dtype=str).rename(columns={"id": "row_id"})
    rows[["row_id", "age"]].to_csv("ages.csv", index=False)
    given = ["predict", "incoming/images", "--rows", "{path.stem}", "--out", "p.csv"]
    assert main([*given, "--metadata", "ages.csv"]) == 0
    table = pd.read_csv("p.csv", dtype={"row_id": str}).set_index("row_id")
    test = Scores.read(paths.ensemble("toy")).of_split("test")
    np.testing.assert_array_equal(table.loc[test.row_id, "1"].to_numpy(np.float32), test.p[:, 0])
    capsys.readouterr()
    assert main(given) == 0
    assert "aged: it takes metadata that is not given: age; old: it takes" in capsys.readouterr().err
    rows[["row_id", "age"]][1:].to_csv("fewer.csv", index=False)
    assert main([*given, "--metadata", "fewer.csv"]) == 2
    assert "fewer.csv: row_id: no line of '000'" in capsys.readouterr().err


def test_pictures_show_label_probability_and_heatmap(at_home, tmp_path, monkeypatch, capsys):
    """One file a picture, a video's frames too, of those that can be read; the caption is the table's number."""
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (40, 40))
    for seed in (1, 2):
        film.write(np.full((40, 40, 3), 80 * seed, np.uint8))
    film.release()
    (tmp_path / "text.jpg").write_text("hello")
    shutil.copy("incoming/images/001.png", tmp_path / "one.png")
    told, captioned = [], predict.captioned
    monkeypatch.setattr(
        predict, "captioned", lambda pixels, heat, text: told.append(text) or captioned(pixels, heat, text)
    )
    given = [str(tmp_path / name) for name in ("film.avi", "one.png", "text.jpg")]
    out, folder = tmp_path / "p.csv", tmp_path / "drawn"
    assert main(["predict", *given, "--out", str(out), "--pictures", str(folder)]) == 0
    table = pd.read_csv(out, dtype={"label": str})
    assert told == [f"{line.label} {line._3 if line.label == '1' else 1 - line._3:.2f}" for line in table.itertuples()]
    names = sorted(quote(name, safe="") + ".png" for name in table["row_id"])
    assert sorted(path.name for path in folder.iterdir()) == names
    assert len(names) == 3
    drawn = cv2.imread(str(folder / names[-1]))
    plain = cv2.imread("incoming/images/001.png")
    factor = drawn.shape[1] // plain.shape[1]
    assert drawn.shape[1] >= 240
    assert drawn.shape[0] > factor * plain.shape[0]  # the caption's strip
    assert (drawn[factor * plain.shape[0] :] < 100).any()
    assert (drawn[: factor * plain.shape[0]] != cv2.resize(plain, None, fx=factor, fy=factor, interpolation=0)).any()
    assert "3 pictures with their heatmaps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "labels", "p", "text"),
    [
        ("binary", ("no", "yes"), [0.25], "no 0.75"),
        ("multiclass", ("a", "b", "c"), [0.2, 0.7, 0.1], "b 0.70"),
        ("multilabel", ("a", "b c", "d"), [0.6, 0.9, 0.1], "a 0.60, b c 0.90"),
        ("multilabel", ("a", "b"), [0.1, 0.2], "(none)"),
        ("regression", (), [2.5], "y 2.5"),
    ],
)
def test_a_caption_is_short_and_says_all(kind, labels, p, text):
    """The probability is that of the label that is named."""
    assert caption(kind, labels, np.array(p, np.float32)) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such file or folder"),
        (["models"], "models: no image in this folder"),
        (["incoming", "--sample", "nowhere.csv"], "--sample: there is no file nowhere.csv"),
        (["incoming", "--rows", "{stem}"], "--rows: '{stem}' is no CSV, and no template"),
        (["incoming", "--metadata", "no.csv"], "--metadata: there is no file no.csv"),
        (["incoming", "--metadata", "incoming/labels.csv"], "labels.csv: there is no column 'row_id'"),
        (["incoming", "--pictures", "params.yaml"], "--pictures: params.yaml is no folder"),
        (["params.yaml"], "not one of 1 pictures can be read; the first: params.yaml: it is no image"),
    ],
)
def test_mistakes_are_told_in_one_line(at_home, capsys, arguments, message):
    """With exit code 2."""
    assert main(["predict", *arguments]) == 2
    assert message in capsys.readouterr().err
