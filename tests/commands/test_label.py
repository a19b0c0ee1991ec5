"""label: ImageNet's classes in any picture, by networks whose weights come with a package."""

import io
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from skimage import data

from podium import cli
from podium.commands import label

pytestmark = pytest.mark.keras
PICTURES = Path(data.__file__).parent
SEEN = {
    "chelsea.png": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee.png": {"espresso", "cup", "coffee mug"},
    "rocket.jpg": {"missile", "projectile", "space shuttle"},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of its own, so that the network is exported once."""
    return tmp_path_factory.mktemp("label")


@pytest.fixture
def labelled(cache, tmp_path, monkeypatch, capsys):
    """Return the function that runs the command: picture -> its labels and probabilities, in order."""
    monkeypatch.setenv("PODIUM_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        assert cli.main(["label", *arguments]) == 0
        found, picture = {}, ""
        for line in capsys.readouterr().out.splitlines():
            if match := re.fullmatch(r"  ([01]\.\d{4})  (.+)", line):
                found[picture].append((match[2], float(match[1])))
            else:
                picture = line
                found[picture] = []
        return found

    return run


def test_well_known_pictures(labelled, tmp_path):
    """A folder of three: each has what it shows among its five labels, the likeliest first; a text is told."""
    for name in SEEN:
        shutil.copy(PICTURES / name, tmp_path / name)
    (tmp_path / "text.png").write_text("<html>")
    found = labelled(".")
    assert found.pop("  cannot be read: it is text (a web page or a message?), no image") == []
    assert found.pop("text.png") == []
    assert list(found) == sorted(SEEN)
    for name, lines in found.items():
        names, p = zip(*lines, strict=True)
        assert len(names) == 5
        assert set(names) & SEEN[name]
        assert list(p) == sorted(p, reverse=True)
        assert 0 < sum(p) <= 1.0001


def test_a_picture_on_stdin(labelled, monkeypatch):
    """It is `-`, and has the labels that it has as a file."""
    path = PICTURES / "coffee.png"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    found = labelled("-", str(path))
    assert found["-"] == found[str(path)]
    assert found["-"][0][0] == "espresso"


def test_probabilities_are_the_softmax_of_the_network_s_logits():
    """Large logits do not overflow."""
    logits = np.array([[1000.0, 999.0, 0.0]], np.float32)
    p = label.probabilities(SimpleNamespace(run=lambda _: logits), np.zeros((2, 2, 3), np.uint8))
    np.testing.assert_allclose(p, [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], atol=1e-12)


@pytest.mark.skipif(find_spec("keras_hub") is None, reason="an oracle of tests only")
def test_names_are_in_the_networks_order():
    """Those of the table that KerasHub decodes its own classifiers by."""
    from keras_hub.utils import imagenet_id_to_name

    assert label.labels() == [imagenet_id_to_name(code).replace("_", " ") for code in range(1000)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: there is no such file or folder"),
        (["."], ".: no picture is in this folder; they end in .jpg"),
        (["text.txt"], "not one of 1 pictures can be read"),
        (
            ["text.txt", "--network", "hog"],
            "--network: 'hog' has no classifier here; choose one of: effic",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments, message, tmp_path, monkeypatch, capsys, cache):
    """With the file, or what to choose from, and exit code 2."""
    monkeypatch.setenv("PODIUM_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no picture")
    assert cli.main(["label", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
