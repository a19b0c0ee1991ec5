"""Pictures drawn here: repeatable, disjoint, and of the strings that the tables name."""

import hashlib
import io
import secrets
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from podium.errors import PodiumError
from podium.sources import captcha_pictures
from podium.sources.generated import ARCHIVE, Source

SMALL = {
    "alphabet": "AB0",
    "min_length": 2,
    "max_length": 3,
    "width": 60,
    "height": 40,
    "train": 5,
    "test": 3,
    "seed": 7,
}


def drawn(folder, **changes):
    """Return member name -> bytes of the archive."""
    folder.mkdir()
    Source(**SMALL | changes).download(folder)
    with zipfile.ZipFile(folder / ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The small archive's members, and its file."""
    folder = tmp_path_factory.mktemp("drawn") / "a"
    return drawn(folder), folder / ARCHIVE


def test_pictures_and_tables_belong_together(members):
    """Of the size that is asked for, with texts of the alphabet and both lengths."""
    files, _ = members
    texts = []
    for split, n in (("train", 5), ("test", 3)):
        table = pd.read_csv(io.BytesIO(files[f"{split}.csv"]), dtype=str, keep_default_na=False)
        assert table["id"].tolist() == [f"{k:05d}" for k in range(n)]
        texts += table["text"].tolist()
        for name in table["id"]:
            with Image.open(io.BytesIO(files[f"{split}/{name}.png"])) as picture:
                assert picture.size == (60, 40)
    assert set("".join(texts)) <= set("AB0")
    assert {len(text) for text in texts} == {2, 3}
    assert len(files) == 10


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(members, tmp_path):
    """However many processes draw; `sha256` holds it to that."""
    files, path = members
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert drawn(tmp_path / "again", sha256=digest) == files
    other = drawn(tmp_path / "other", seed=8)
    assert all(other[name] != files[name] for name in files if name.endswith(".png"))


def test_no_test_picture_is_trained_on(members, tmp_path):
    """The split is a part of each seed; more pictures leave the first as they are."""
    files, _ = members
    pictures = [content for name, content in files.items() if name.endswith(".png")]
    assert len(set(pictures)) == len(pictures)
    more = drawn(tmp_path / "more", train=9)
    assert all(more[name] == content for name, content in files.items() if name.endswith(".png"))


def test_another_digest_is_refused_and_nothing_kept(tmp_path):
    """As of a download that is not the pinned one."""
    with pytest.raises(PodiumError, match=r"source\.sha256: the pictures drawn here have SHA-256 .*captcha and pillow"):
        Source(**SMALL, sha256="0" * 64).download(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_packages_own_randomness_is_put_back():
    """Outside of the block captcha draws by `secrets` again, after an error too."""
    from captcha import image

    def first():
        with captcha_pictures.seeded("x"):
            return image.secrets.randbelow(10**9), image.secrets.choice(range(1000)), image.secrets.randbits(32)

    assert first() == first()
    with pytest.raises(RuntimeError), captcha_pictures.seeded("x"):
        raise RuntimeError
    assert image.secrets is secrets


def test_a_picture_shows_its_text():
    """Other characters are other pixels, drawn from one seed."""
    pictures = [captcha_pictures.draw(text, "1", 60, 40) for text in ("AA", "BB")]
    assert pictures[0] != pictures[1]
    assert np.frombuffer(pictures[0], np.uint8)[1:4].tobytes() == b"PNG"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"min_length": 4}, "`min_length`: 4 is more"), ({"alphabet": "AA"}, "names a character twice")],
)
def test_what_cannot_be_drawn_is_refused(change, message):
    """Before anything is drawn."""
    with pytest.raises(ValueError, match=message):
        Source(**SMALL | change)


def test_arithmetic_is_drawn_in_the_same_way(tmp_path):
    """Expressions of its own alphabet; the same seed gives the same bytes."""
    files = drawn(tmp_path / "a", draws="arithmetic", width=180, height=60)
    assert files == drawn(tmp_path / "b", draws="arithmetic", width=180, height=60)
    texts = pd.read_csv(io.BytesIO(files["train.csv"]), dtype=str)["text"]
    assert set("".join(texts)) <= set("0123456789+-*()")
    with Image.open(io.BytesIO(files["train/00000.png"])) as picture:
        assert picture.size == (180, 60)
