import io
import zipfile

import numpy as np
import pytest
from pydantic import ValidationError

from podium.errors import PodiumError
from podium.sources.kaggle import Source

MEMBERS = {"train.csv": b"id,label\n", "train/1.jpg": np.random.default_rng(0).bytes(3_500_000)}


MIB = 2**20


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def give_up(server):
    """Let every attempt of one run break off: the first after a MiB, those that follow at once."""
    for upto in (3 * MIB // 2, 9, 9, 9, 9, 9):
        server.fail("signature=x", lambda handler, upto=upto: handler.reply_data(upto=upto))


@pytest.fixture
def toy(kaggle):
    """The server, with a zip to download."""
    kaggle.data = zipped(MEMBERS)
    return kaggle


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "arriving"
    path.mkdir()
    return path


def download(folder, competition="toy"):
    Source(competition=competition).download(folder)


def refused(folder, competition="toy"):
    """Return the one line of a download that fails."""
    with pytest.raises(PodiumError) as error:
        download(folder, competition)
    assert "\n" not in str(error.value)
    return str(error.value)


def ranges(server):
    """Return the ranges that the requests of the zip asked for."""
    return [headers.get("Range") for path, headers in server.requests if path.startswith("/storage")]


def test_the_zip_arrives_whole(toy, folder):
    """Byte for byte, and nothing else is left in the folder."""
    download(folder)
    assert [path.name for path in folder.iterdir()] == ["toy.zip"]
    assert (folder / "toy.zip").read_bytes() == toy.data


def test_the_client_sends_the_users_credentials(toy, folder):
    """By the client's own rules: here, from the environment."""
    toy.fail("DownloadDataFiles", lambda handler: handler.reply(418, handler.headers["Authorization"].encode()))
    assert "418" in refused(folder)


def test_a_connection_that_breaks_is_continued_in_the_same_run(toy, folder):
    """Twice after a MiB and a half, of which the client keeps the MiB: it asks for the rest, not for all again."""
    for _ in range(2):
        toy.fail("signature=x", lambda handler: handler.reply_data(upto=3 * MIB // 2))
    download(folder)
    assert (folder / "toy.zip").read_bytes() == toy.data
    assert ranges(toy) == [None, f"bytes={MIB}-", f"bytes={2 * MIB}-"]


def test_a_download_that_was_given_up_is_continued_by_the_next_run(toy, folder):
    """Six broken attempts end the first run; the second asks for what is missing."""
    give_up(toy)
    assert "the connection to Kaggle broke, could not download toy" in refused(folder)
    assert (folder / "toy.zip").stat().st_size == MIB
    download(folder)
    assert ranges(toy)[-1] == f"bytes={MIB}-"
    assert (folder / "toy.zip").read_bytes() == toy.data


def test_a_file_that_changed_meanwhile_is_fetched_anew(toy, folder):
    """Two halves of different files would make a zip that nobody published."""
    give_up(toy)
    refused(folder)
    toy.data = zipped(MEMBERS | {"train.csv": b"id,labels\n"})
    download(folder)
    assert (folder / "toy.zip").read_bytes() == toy.data


def test_a_wrong_length_is_noticed(toy, folder):
    """A server that sends everything again as if it were the rest leaves no overlong zip behind."""
    toy.fail("signature=x", lambda handler: handler.reply_data(upto=3 * MIB // 2))
    toy.fail("signature=x", lambda handler: handler.reply(206, toy.data))
    assert "toy.zip came incomplete" in refused(folder)
    assert list(folder.glob("toy.zip")) == []


def test_a_short_file_is_noticed(toy, folder):
    """A server that announces the first thousand bytes as the whole."""
    toy.fail("signature=x", lambda handler: handler.reply(200, toy.data[:1000]))
    assert "toy.zip came damaged and was removed; run again" in refused(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("at", [42, 100_000, -30])
def test_a_corrupt_zip_is_removed(toy, folder, at):
    """One flipped byte, in a member or in the list of members; the next run starts anew."""
    good = toy.data
    toy.data = bytearray(good)
    toy.data[at] ^= 255
    toy.data = bytes(toy.data)
    assert "toy.zip came damaged and was removed; run again" in refused(folder)
    assert list(folder.iterdir()) == []
    toy.data = good
    download(folder)
    assert (folder / "toy.zip").read_bytes() == good


@pytest.mark.parametrize(
    ("status", "message", "advice"),
    [
        (401, "Unauthenticated", "make new ones at https://www.kaggle.com/settings"),
        (403, "You must accept this competition's rules", "accept its rules at https://www.kaggle.com/c/toy/rules"),
        (429, "Too many requests", "wait a while and run again"),
        (500, "Internal error", "on Kaggle's side; run again later"),
    ],
)
def test_each_refusal_has_its_own_advice(toy, folder, status, message, advice):
    """One line: what Kaggle said, and what to do next."""
    toy.fail("DownloadDataFiles", lambda handler: handler.reply_json({"code": status, "message": message}, status))
    line = refused(folder)
    assert f"Kaggle could not download toy ({status}: {message}): " in line
    assert advice in line


@pytest.mark.parametrize(("status", "advice"), [(403, "accept its rules"), (429, "wait a while")])
def test_refusals_without_words_have_advice_too(toy, folder, status, advice):
    """A status alone, as a proxy or the storage sends it."""
    toy.fail("DownloadDataFiles", lambda handler: handler.reply(status))
    line = refused(folder)
    assert str(status) in line
    assert advice in line


def test_a_competition_that_does_not_exist(toy, folder):
    """The name that was asked for, and where it is found."""
    line = refused(folder, "tyo")
    assert "there is no competition 'tyo'; its name is the last part of its address" in line


def test_without_credentials_the_three_ways_are_named(toy, folder, monkeypatch):
    """Instead of the client's page of text and its exit."""
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    line = refused(folder)
    for way in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME and KAGGLE_KEY", "kaggle.json"):
        assert way in line


def test_no_connection_at_all(toy, folder):
    """A closed port stands for a machine that is offline."""
    toy.close()
    assert "the connection to Kaggle broke" in refused(folder)


@pytest.mark.parametrize("name", ["", "a b", "../x", "https://www.kaggle.com/c/toy"])
def test_the_name_is_the_last_part_of_the_address_only(name):
    """A whole address is a frequent mistake."""
    with pytest.raises(ValidationError):
        Source(competition=name)
