"""`podium export`: a folder that predicts the same where podium is not."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from podium import paths
from podium.cli import main
from podium.contracts.scores import Scores
from podium.errors import PodiumError
from podium.serving import onnx, saved_model

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("serving")]  # one worker makes the competition once


def table(file):
    return pd.read_csv(file, dtype={"row_id": str, "id": str, "label": str}).set_index("row_id")


def test_without_podium_and_keras_the_numbers_are_podiums(at_home, exported, elsewhere, picture, tmp_path):
    """Backbones, classical features, trees and kernels are the same to 1e-6; so is a network that Keras trained."""
    pictures = tmp_path / "new"
    pictures.mkdir()
    for seed in range(100, 140):
        assert cv2.imwrite(str(pictures / f"{seed}.png"), picture(seed))
    (pictures / "broken.jpg").write_text("<html>not found</html>")
    assert main(["predict", str(pictures), "--out", str(tmp_path / "here.csv")]) == 0
    done = elsewhere(exported / "predict.py", pictures, "--out", tmp_path / "there.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    here, there = table(tmp_path / "here.csv"), table(tmp_path / "there.csv")
    assert len(here) == 40
    assert here["1"].nunique() > 30
    np.testing.assert_allclose(there.loc[here.index, "1"], here["1"], rtol=0, atol=1e-6)
    assert "broken.jpg: it is text (a web page or a message?), no image" in done.stderr


def test_its_submission_is_podiums(at_home, exported, elsewhere, tmp_path):
    """In the sample's order; a row without a readable picture gets the best constant."""
    sample = pd.read_csv("data/toy/sample_submission.csv", dtype=str)
    sample = pd.concat([sample, pd.DataFrame({"id": ["zzz"], "bright": ["0.5"]})])
    sample.to_csv(tmp_path / "sample.csv", index=False)
    arguments = ["incoming/images", "--sample", str(tmp_path / "sample.csv"), "--out"]
    assert main(["predict", *arguments, str(tmp_path / "here.csv")]) == 0
    done = elsewhere(exported / "predict.py", *arguments, tmp_path / "there.csv", cwd=at_home.root)
    assert done.returncode == 0, done.stderr
    here, there = (pd.read_csv(tmp_path / name, dtype={"id": str}) for name in ("here.csv", "there.csv"))
    assert list(there["id"]) == list(here["id"]) == list(sample["id"])
    np.testing.assert_allclose(there["bright"], here["bright"], rtol=0, atol=1e-6)
    test = Scores.read(paths.ensemble("toy")).of_split("test")
    scored = dict(zip(test.row_id, test.p[:, 0], strict=True))
    np.testing.assert_array_equal(
        here["bright"][:-1].to_numpy(np.float32), [scored[name] for name in sample["id"][:-1]]
    )


def test_networks_lie_as_the_model_server_wants_them(exported):
    """NAME/1/model.xml, of one fixed batch; and the manifest knows every file."""
    import openvino

    manifest = json.loads((exported / "manifest.json").read_text())
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert set(manifest["files"]) | {"manifest.json"} == {name for name in files if "__pycache__" not in name}
    assert sorted(path.name for path in (exported / "networks").iterdir()) == ["lite", "tiny_0", "tiny_1", "tiny_2"]
    model = openvino.Core().read_model(exported / "networks/lite/1/model.xml")
    assert list(model.input().shape) == [8, 32, 32, 3]
    assert (
        "lite: its weights efficientnet-lite0-57934424.pth are licensed Apache-2.0."
        in (exported / "LICENSES.md").read_text()
    )


def damaged(folder):
    with (folder / "networks/lite/1/model.bin").open("r+b") as file:
        file.seek(1000)
        file.write(b"oops")


def cut_short(folder):
    (folder / "manifest.json").write_text("{")


def of_the_future(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


def incomplete(folder):
    (folder / "models/ensemble/full.npz").unlink()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (damaged, "model.bin: not the file that the manifest names"),
        (cut_short, "manifest.json: not the manifest of an exported model"),
        (of_the_future, "its format is 99, and this program reads 1"),
        (incomplete, "full.npz: there is no such file; copy the whole folder"),
    ],
)
def test_a_folder_that_is_not_as_it_was_says_so_in_one_line(exported, elsewhere, tmp_path, break_it, message):
    """Before a picture is opened."""
    shutil.copytree(exported, tmp_path / "copy")
    break_it(tmp_path / "copy")
    done = elsewhere(tmp_path / "copy/predict.py", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_what_is_no_export_is_not_replaced(at_home, tmp_path, capsys):
    """A folder of somebody's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    assert main(["export", str(tmp_path / "mine")]) == 2
    assert "it is there, and no exported model; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "mine/letter.txt").read_text() == "dear"


def test_slim_takes_the_fewest_members_within_the_loss(at_home, tmp_path, capsys):
    """A loss that anything satisfies leaves one member, and its networks alone."""
    assert main(["export", str(tmp_path / "slim"), "--slim", "100"]) == 0
    manifest = json.loads((tmp_path / "slim/manifest.json").read_text())
    assert len(manifest["members"]) == 1
    (member,) = manifest["members"].values()
    assert set(manifest["networks"]) == set(member["networks"])
    assert "cross-fitted log_loss" in capsys.readouterr().err


def test_saved_models_answer_like_the_network(at_home, tmp_path):
    """By the signature that TF Serving calls, for any number of pictures."""
    import keras
    import tensorflow as tf

    pixels = keras.Input((8, 8, 3), dtype="uint8")
    features = keras.layers.Dense(5)(keras.layers.Flatten()(keras.ops.cast(pixels, "float32") / 255))
    model = keras.Model(pixels, features)
    saved_model.write(model, tmp_path / "net/1")
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    (found,) = tf.saved_model.load(str(tmp_path / "net/1")).signatures["serving_default"](tf.constant(images)).values()
    np.testing.assert_allclose(found, model.predict_on_batch(images), atol=1e-5)


def test_a_saved_model_that_differs_is_refused(at_home, tmp_path, monkeypatch):
    """A wrong export must not leave the house."""
    import keras

    pixels = keras.Input((4, 4, 3), dtype="uint8")
    model = keras.Model(pixels, keras.layers.Flatten()(keras.ops.cast(pixels, "float32")))
    monkeypatch.setattr(saved_model, "_served", lambda _folder, images: images.reshape(len(images), -1) + 1.0)
    with pytest.raises(PodiumError, match="differs from the network by"):
        saved_model.write(model, tmp_path / "net/1")


def test_onnx_answers_like_the_network(tmp_path):
    """By a reader of its own: a convolution with its norm and a pooled end, for any number of pictures."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    import keras

    pixels = keras.Input((16, 16, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(keras.ops.cast(pixels, "float32"))
    maps = keras.ops.silu(keras.layers.BatchNormalization()(maps))
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(maps))
    onnx.write(model, tmp_path / "net/1/model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    session = runtime.InferenceSession(str(tmp_path / "net/1/model.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.type, given.shape[1:]) == ("tensor(uint8)", [16, 16, 3])
    expected = model.predict_on_batch(images)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(session.run(None, {given.name: images})[0], expected, atol=1e-3, rtol=1e-3)


def test_an_onnx_model_that_differs_is_refused_and_one_that_cannot_be_made_named(
    at_home, tmp_path, monkeypatch, capsys
):
    """Before any work, where the extra is not installed."""
    keras = pytest.importorskip("keras")
    pixels = keras.Input((4, 4, 3), dtype="uint8")
    model = keras.Model(pixels, keras.layers.Flatten()(keras.ops.cast(pixels, "float32")))
    monkeypatch.setattr(type(model), "export", lambda *_, **__: None)
    monkeypatch.setattr(onnx, "_read_back", lambda _file, images: images.reshape(len(images), -1) + 1.0)
    with pytest.raises(PodiumError, match="the ONNX model differs from the network by"):
        onnx.write(model, tmp_path / "net/1/model.onnx")
    monkeypatch.setattr(onnx, "find_spec", lambda _name: None)
    assert main(["export", str(tmp_path / "export"), "--onnx"]) == 2
    assert "--onnx: it takes tf2onnx; run pip install 'podium[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "export").exists()
