"""extract over a small competition of PNG files and a network that needs no TensorFlow."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from podium import paths
from podium.backbones import NETWORKS
from podium.config import Config, Params
from podium.contracts import features
from podium.contracts.tables import IMAGES, VIEWS
from podium.errors import PodiumError
from podium.features import extraction
from podium.features.backbone import Backbone
from podium.features.extraction import resolve_auto
from podium.imaging import images, views
from podium.stages import extract
from podium.storage import cache_users

NAMES = ["b", "a ü\n", "c", "d", "e"]
PLAN = ("identity", "rot90")


def make_config(**backbone):
    backbones = {"tiny": Backbone(network="color_histogram", batch=4, **backbone)}
    return Config.model_construct(params=Params.model_construct(competition="toy", backbones=backbones))


def add_tables(names, raw, plan=PLAN):
    """Write the tables that prepare and augment would for the images that lie in `raw`."""
    digests = [hashlib.sha256((raw / f"{name}.png").read_bytes()).hexdigest() for name in names]
    frame = pd.DataFrame({"image_id": names, "source": [f"{name}.png" for name in names], "digest": digests})
    frame = frame.assign(row_id=frame["image_id"], split="train", width=9, height=7)
    IMAGES.write(frame, paths.data("toy", "images.parquet"))
    lines = [
        {"image_id": name, "view": view, "operation": views.VIEWS[view].operation}
        | {"parameters": json.dumps(dict(views.VIEWS[view].parameters), sort_keys=True)}
        for name in names
        for view in plan
    ]
    VIEWS.write(pd.DataFrame(lines), paths.data("toy", "views.parquet"))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Five images of noise; the row cache lies beside the work tree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "machine"))
    raw = paths.raw("toy")
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        cv2.imencode(".png", rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))[1].tofile(raw / f"{name}.png")
    add_tables(NAMES, raw)
    return SimpleNamespace(raw=raw, output=paths.features("toy", "tiny"), packs=tmp_path / "machine" / "rows")


def expected(name, view, raw):
    """Return one row, step by step: decode, turn, resize, describe."""
    pixels = images.decode((raw / f"{name}.png").read_bytes())
    pixels = np.rot90(pixels) if view == "rot90" else pixels
    pixels = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_CUBIC)  # what `area` is where it enlarges
    return NETWORKS["color_histogram"].build(64, "none", ())(pixels[None])[0].astype(np.float16)


def computed(capsys):
    """Return what the stage's line tells: rows reused and rows computed."""
    found = re.search(r"^extract tiny: (\d+) rows reused, (\d+) computed", capsys.readouterr().out.splitlines()[-1])
    return int(found[1]), int(found[2])


def test_every_image_and_view_has_its_own_features(toy):
    """Rows are sorted by id and view, and each is that of its image: none is shifted."""
    extract.run(make_config(), "tiny")
    found = features.read(toy.output)
    assert list(found.index.itertuples(index=False, name=None)) == [(n, v) for n in sorted(NAMES) for v in PLAN]
    for (name, view), row in zip(found.index.itertuples(index=False), found.matrix, strict=True):
        np.testing.assert_array_equal(row, expected(name, view, toy.raw), err_msg=f"{name} {view}")


def test_the_file_says_how_it_was_made(toy):
    """Backbone, weights, preprocessing, resize, pooling, engine, precision and fingerprint are attributes."""
    extract.run(make_config(resize={"px": 32, "mode": "pad"}), "tiny")
    attributes = features.read(toy.output).attributes
    assert attributes["backbone"] == "tiny"
    assert attributes["network"] == "color_histogram"
    assert attributes["resize"] == "32 px, pad, area"
    assert attributes["precision"] == "float32"
    assert attributes["engine"].startswith("numpy: opencv ")
    assert {"weights", "preprocessing", "pooling", "batch", "fingerprint", "schema"} <= set(attributes)


def test_a_competition_notes_what_it_uses_of_the_cache(toy):
    """Pruning for another competition leaves it alone."""
    extract.run(make_config(), "tiny")
    (rows,) = toy.packs.iterdir()
    assert rows.name in cache_users.of_others({"other"})
    assert cache_users.of_others({"toy"}) == set()


def test_a_second_run_computes_nothing_and_gives_the_same_bytes(toy, capsys):
    """Rows come from the cache, even where the output is gone."""
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (0, 10)
    first = toy.output.read_bytes()
    toy.output.unlink()
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (10, 0)
    assert toy.output.read_bytes() == first


def test_new_images_and_views_compute_their_own_rows_only(toy, capsys):
    """An added image computes its views; an added view computes one row per image; the file is as if made at once."""
    add_tables(NAMES[:4], toy.raw)
    extract.run(make_config(), "tiny")
    add_tables(NAMES, toy.raw)
    extract.run(make_config(), "tiny")
    capsys.readouterr()
    add_tables(NAMES, toy.raw, plan=("hflip", *PLAN))
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (10, 5)
    grown = toy.output.read_bytes()
    for pack in toy.packs.rglob("*.rows"):
        pack.unlink()
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (0, 15)
    assert toy.output.read_bytes() == grown


def test_equal_images_are_computed_once(toy, capsys):
    """Two ids with the same bytes share their rows."""
    (toy.raw / "c.png").write_bytes((toy.raw / "b.png").read_bytes())
    add_tables(NAMES, toy.raw)
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (2, 8)
    matrix, index = features.read(toy.output).matrix, features.read(toy.output).index
    np.testing.assert_array_equal(matrix[index["image_id"] == "b"], matrix[index["image_id"] == "c"])


def test_a_choice_that_changes_features_shares_no_row(toy, capsys):
    """Another resize has another fingerprint; going back finds the old rows."""
    extract.run(make_config(), "tiny")
    extract.run(make_config(resize={"mode": "crop"}), "tiny")
    capsys.readouterr()
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (10, 0)
    assert len(list(toy.packs.iterdir())) == 2


@pytest.fixture
def decoded(toy, monkeypatch):
    """Two backbones of different sizes, and a list of what is decoded; every image counts as large."""
    monkeypatch.setattr(extraction, "LARGE", 1)
    read, log = images.Reader.read, []
    monkeypatch.setattr(
        images.Reader, "read", lambda self, source, *rest: (log.append(source), read(self, source, *rest))[1]
    )
    config = make_config()
    config.params.backbones["small"] = Backbone(network="hog", resize={"px": 32, "mode": "pad"}, batch=4)
    return SimpleNamespace(config=config, log=log, pixels=toy.packs.with_name("pixels"))


def test_a_large_image_is_decoded_once_for_all_backbones(toy, decoded, monkeypatch):
    """The first backbone's run leaves each size that params.yaml asks for; features are those of a run on its own."""
    for name in ("tiny", "small"):
        extract.run(decoded.config, name)
    assert sorted(decoded.log) == sorted(f"{name}.png" for name in NAMES)
    together = [paths.features("toy", name).read_bytes() for name in ("tiny", "small")]
    shutil.rmtree(toy.packs)
    monkeypatch.setenv("PODIUM_PIXELS", "off")
    for name in ("tiny", "small"):
        extract.run(decoded.config, name)
    assert len(decoded.log) == 3 * len(NAMES)
    assert [paths.features("toy", name).read_bytes() for name in ("tiny", "small")] == together


def test_a_new_backbone_of_a_known_size_decodes_nothing(toy, decoded):
    """Another network, pooling or precision later on takes the pixels that are there; a new view decodes again."""
    extract.run(decoded.config, "tiny")
    shutil.rmtree(toy.packs)
    decoded.log.clear()
    extract.run(decoded.config, "tiny")
    assert decoded.log == []
    add_tables(NAMES, toy.raw, plan=("hflip", *PLAN))
    extract.run(decoded.config, "tiny")
    assert sorted(decoded.log) == sorted(f"{name}.png" for name in NAMES)


def test_pixels_of_a_reduced_jpeg_are_for_no_backbone_that_decodes_whole(toy, decoded, monkeypatch):
    """In either order, each backbone's features are those of a run on its own, and they differ."""
    rng = np.random.default_rng(0)
    for name in NAMES:
        noise = cv2.resize(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), (640, 480))
        (toy.raw / f"{name}.png").write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    add_tables(NAMES, toy.raw)
    decoded.config.params.backbones.update(
        small=Backbone(network="hog", batch=4), reduced=Backbone(network="hog", batch=4, resize={"decode": "reduced"})
    )
    found = []
    for order, pixels in ((("small", "reduced"), "on"), (("reduced", "small"), "on"), (("small", "reduced"), "off")):
        monkeypatch.setenv("PODIUM_PIXELS", pixels)
        shutil.rmtree(toy.packs, ignore_errors=True)
        for name in order:
            extract.run(decoded.config, name)
        found.append([features.read(paths.features("toy", name)).matrix for name in ("small", "reduced")])
        if pixels == "on":
            shutil.rmtree(decoded.pixels)
    assert all((matrix == alone).all() for both in found for matrix, alone in zip(both, found[-1], strict=True))
    assert (found[0][0] != found[0][1]).any()


def test_damaged_pixels_are_decoded_again(toy, decoded):
    """One wrong bit costs the decoding of one image, and never a wrong feature."""
    extract.run(decoded.config, "tiny")
    first = toy.output.read_bytes()
    (folder,) = decoded.pixels.glob("64-*")
    damaged = next(folder.rglob("*.rgb"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    shutil.rmtree(toy.packs)
    decoded.log.clear()
    extract.run(decoded.config, "tiny")
    assert len(decoded.log) == 1
    assert toy.output.read_bytes() == first


def test_small_images_are_not_kept(toy):
    """They decode about as fast as an engine runs, and their pixels would take more room than their files."""
    extract.run(make_config(), "tiny")
    assert not toy.packs.with_name("pixels").exists()


def test_a_damaged_row_file_is_computed_again(toy, capsys):
    """One wrong bit costs one batch of work, and never a wrong feature."""
    extract.run(make_config(), "tiny")
    first = toy.output.read_bytes()
    pack = max(toy.packs.rglob("*.rows"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1
    pack.write_bytes(content)
    capsys.readouterr()
    extract.run(make_config(), "tiny")
    out, err = capsys.readouterr()
    assert "6 rows reused, 4 computed" in out
    assert "1 damaged files of the row cache were left out" in err
    assert toy.output.read_bytes() == first


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(toy, capsys, monkeypatch):
    """The features file is the same; a line on stderr says that the rows are not kept; nothing else is left."""
    extract.run(make_config(), "tiny")
    first = toy.output.read_bytes()
    (toy.output.parent / "file").write_text("where the cache should be")
    monkeypatch.setenv("PODIUM_CACHE", str(toy.output.parent / "file"))
    capsys.readouterr()
    extract.run(make_config(), "tiny")
    out, err = capsys.readouterr()
    assert "10 computed" in out
    assert "this run's rows are not kept" in err
    assert toy.output.read_bytes() == first
    assert sorted(path.name for path in toy.output.parent.iterdir()) == ["file", "tiny.h5"]


def test_a_full_disk_ends_in_one_line_and_keeps_what_was_done(toy, capsys, monkeypatch):
    """No room after the first batch: one line; the next run computes the rest only."""
    keep, n_kept = extract.RowCache._keep, []

    def full(self, path, content):
        if n_kept:
            raise OSError(28, "No space left on device", str(path))
        n_kept.append(1)
        keep(self, path, content)

    monkeypatch.setattr(extract.RowCache, "_keep", full)
    with pytest.raises(PodiumError, match="No space left on device; what was computed so far is kept"):
        extract.run(make_config(), "tiny")
    assert not toy.output.exists()
    monkeypatch.undo()
    monkeypatch.setenv("PODIUM_CACHE", str(toy.packs.parent))
    monkeypatch.chdir(toy.packs.parents[1])
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (4, 6)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_every_kind_of_image_gives_features(toy):
    """Odd colours, depths, turns, sizes and names: each gives a row of shares of its pixels that sum to one."""
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "cmyk": saved(rgb.convert("CMYK"), "JPEG"),
        "sixteen bits": cv2.imencode(".png", np.full((5, 5), 40_000, np.uint16))[1].tobytes(),
        "gray": saved(rgb.convert("L"), "PNG"),
        "palette": saved(rgb.convert("P"), "PNG"),
        "alpha": saved(rgb.convert("RGBA"), "PNG"),
        "exif": saved(rgb, "JPEG", exif=turned),
        "one pixel": saved(rgb.crop((0, 0, 1, 1)), "PNG"),
        "20,000 px": saved(rgb.resize((20_000, 3)), "PNG"),
        "a JPEG called PNG": saved(rgb, "JPEG"),
        "ünïcode\nand a line feed": saved(rgb, "BMP"),
    }
    for name, content in kinds.items():
        (toy.raw / f"{name}.png").write_bytes(content)
    add_tables(list(kinds), toy.raw)
    extract.run(make_config(), "tiny")
    found = features.read(toy.output)
    assert set(found.index["image_id"]) == set(kinds)
    np.testing.assert_allclose(found.matrix.astype(np.float32).sum(axis=1), 1.0, atol=5e-3)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n cut short", b"<html>not found</html>"])
def test_no_crash_loses_finished_rows(toy, capsys, content):
    """An image that was damaged after prepare stops the run in one line; the batches before it are kept."""
    sound = (toy.raw / "e.png").read_bytes()
    (toy.raw / "e.png").write_bytes(content)
    with pytest.raises(PodiumError, match=r"^'e\.png': image 'e' cannot be read: "):
        extract.run(make_config(), "tiny")
    (toy.raw / "e.png").write_bytes(sound)
    extract.run(make_config(), "tiny")
    assert computed(capsys) == (8, 2)


def test_a_plan_for_unknown_images_is_refused(toy):
    """views.parquet and images.parquet must be of one making."""
    frame = IMAGES.read(paths.data("toy", "images.parquet"))
    IMAGES.write(frame[1:], paths.data("toy", "images.parquet"))
    with pytest.raises(PodiumError, match=r"views\.parquet: names .* not in images\.parquet"):
        extract.run(make_config(), "tiny")


@pytest.mark.parametrize("table", ["images", "views"])
def test_an_id_that_comes_twice_is_refused(toy, table):
    """Rows would meet the wrong image; the line names the table and the id, before anything is computed."""
    path = paths.data("toy", f"{table}.parquet")
    lines = pq.read_table(path)
    pq.write_table(pa.concat_tables([lines, lines.slice(0, 1)]), path)
    with pytest.raises(PodiumError, match=rf"{table}\.parquet: .* must be unique; these come twice: "):
        extract.run(make_config(), "tiny")
    assert not toy.packs.exists()


LOADED = """
import sys
from podium.config import Config, Params
from podium.features.backbone import Backbone
from podium.stages import extract
backbones = {"tiny": Backbone(network="efficientnet_lite0")}
extract.run(Config.model_construct(params=Params.model_construct(competition="toy", backbones=backbones)), "tiny")
print(sorted({"keras", "tensorflow", "sklearn", "cv2"} & set(sys.modules)))
"""


def test_a_cached_backbone_loads_no_network(toy):
    """Where every row is cached, neither Keras nor TensorFlow is imported, and no weights are read."""
    resolved = resolve_auto(Backbone(network="efficientnet_lite0"), "")
    keys = extract._plan("toy")["key"]
    cache = extract.RowCache(paths.cache() / "rows" / resolved.fingerprint, paths.cache())
    cache.put(list(keys), np.random.default_rng(0).random((len(keys), 1280), dtype=np.float32))
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert features.read(toy.output).matrix.shape == (10, 1280)


def test_features_that_are_not_finite_stop_the_run(toy, monkeypatch):
    """An overflow in half precision is told with the param to change, and is never cached."""
    monkeypatch.setattr("podium.engines.numpy.Engine.run", lambda _, images: np.full((len(images), 3), np.inf))
    with pytest.raises(PodiumError, match="features are not finite in float32; choose another `precision`"):
        extract.run(make_config(), "tiny")
    assert not list(toy.packs.rglob("*.rows"))
