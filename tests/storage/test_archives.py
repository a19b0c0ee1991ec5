import io
import tarfile
import zipfile

import py7zr
import pytest

from podium.errors import PodiumError
from podium.storage.archives import repack
from podium.storage.raw import Raw

FILES = {"train/b.txt": b"bee", "train/a.txt": b"a" * 100_000, "train/deep/empty.txt": b""}


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("train"))
        archive.members[0].type = tarfile.DIRTYPE
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sevened(files):
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return file.getvalue()


def contents(folder):
    with Raw(folder) as raw:
        return {source: raw.read(source) for source in raw.sources()}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data.tar", tarred(FILES, "w")),
        ("data.tgz", tarred(FILES)),
        ("data.TAR.GZ", tarred(FILES)),
        ("data.tar.xz", tarred(FILES, "w:xz")),
        ("data.7z", sevened(FILES)),
    ],
)
def test_tar_and_7z_become_a_zip_that_is_read_in_place(tmp_path, name, data):
    """The same members with the same bytes, and the original is gone."""
    (tmp_path / name).write_bytes(data)
    repack(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]
    found = contents(tmp_path)
    found.pop("data.zip#train", None)
    assert found == {f"data.zip#{member}": content for member, content in FILES.items()}


def test_repacking_gives_the_same_bytes_each_time(tmp_path):
    """No time of day gets into the zip, so DVC sees the same data."""
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "data.tgz").write_bytes(tarred(FILES))
        repack(folder)
    assert (tmp_path / "one/data.zip").read_bytes() == (tmp_path / "two/data.zip").read_bytes()


def test_a_zip_of_images_stays_as_it_is(tmp_path):
    """Nothing is unpacked that can be read in place."""
    data = zipped(FILES)
    (tmp_path / "data.zip").write_bytes(data)
    repack(tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == data


def test_archives_in_archives_come_out(tmp_path):
    """As Kaggle sends them: tables beside train.7z and test.zip, in one zip with a name of its own."""
    nested = {"labels.csv": b"id\n", "in/train.7z": sevened(FILES), "in/test.zip": zipped({"t/1.txt": b"one"})}
    (tmp_path / "competition.zip").write_bytes(zipped({"all/competition.zip": zipped(nested)}))
    repack(tmp_path)
    assert contents(tmp_path) == {
        "all/labels.csv": b"id\n",
        "all/in/test.zip#t/1.txt": b"one",
        **{f"all/in/train.zip#{member}": content for member, content in FILES.items()},
    }


def test_a_zip_may_hold_one_of_its_own_name(tmp_path):
    """The outer archive makes room for the inner one."""
    (tmp_path / "data.zip").write_bytes(zipped({"data.zip": zipped({"a.txt": b"a"})}))
    repack(tmp_path)
    assert contents(tmp_path) == {"data.zip#a.txt": b"a"}


def test_a_link_in_a_tar_stays_behind(tmp_path):
    """A link could lead anywhere."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "data.tar").write_bytes(file.getvalue())
    repack(tmp_path)
    assert contents(tmp_path) == {}


EVIL = ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("kind", ["tar", "zip", "7z"])
def test_no_member_leaves_its_folder(tmp_path, monkeypatch, name, kind):
    """Refused by name, whatever the archive; nothing is written outside."""
    folder = tmp_path / "raw"
    folder.mkdir()
    monkeypatch.setattr("py7zr.py7zr.check_archive_path", lambda name: True)  # py7zr writes no such archive itself
    files = {name: b"x", "inner.zip": zipped({})}
    data = {"tar": tarred, "zip": zipped, "7z": lambda files: sevened({"ok.txt": b"x"} | files)}[kind](files)
    (folder / f"data.{kind}").write_bytes(data)
    with pytest.raises(PodiumError, match=rf"^data\.{kind}: the member .* leads out of its folder"):
        repack(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert [path.name for path in folder.iterdir()] == [f"data.{kind}"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data.tgz", tarred(FILES)[:-60]),
        ("data.tar", b"x" * 2000),
        ("data.7z", sevened(FILES)[:-60]),
        ("data.7z", b"x" * 2000),
        ("data.zip", zipped(FILES)[:-60]),
        ("data.tgz", b"<html>"),
    ],
)
def test_a_damaged_archive_is_refused_by_name(tmp_path, name, data):
    """Cut short, or something else with an archive's name."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PodiumError, match=rf"^{name}: a damaged archive, or none at all .*download it again$"):
        repack(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_flipped_byte_in_a_nested_archive_is_found(tmp_path):
    """The checksum of every member that is unpacked is looked at."""
    data = bytearray(zipped({"inner.zip": bytes(range(256)) * 50}))
    data[60] ^= 255
    (tmp_path / "data.zip").write_bytes(bytes(data))
    with pytest.raises(PodiumError, match=r"^data\.zip: a damaged archive"):
        repack(tmp_path)


def test_names_that_meet_are_refused(tmp_path):
    """Neither file is lost in silence."""
    (tmp_path / "labels.csv").write_text("mine")
    (tmp_path / "data.zip").write_bytes(zipped({"labels.csv": b"theirs", "inner.zip": zipped({})}))
    with pytest.raises(PodiumError, match=r"data\.zip: it holds labels\.csv, which the download or another archive"):
        repack(tmp_path)
    (tmp_path / "data.zip").unlink(missing_ok=True)
    (tmp_path / "x.zip").write_bytes(zipped(FILES))
    (tmp_path / "x.tgz").write_bytes(tarred(FILES))
    with pytest.raises(PodiumError, match=r"x\.tgz: x\.zip is there already"):
        repack(tmp_path)


def test_endless_nesting_ends(tmp_path):
    """Six archives deep is no competition's doing."""
    data = zipped({"a.txt": b""})
    for depth in range(6):
        data = zipped({f"{depth}.zip": data})
    (tmp_path / "data.zip").write_bytes(data)
    with pytest.raises(PodiumError, match="more than 5 deep"):
        repack(tmp_path)
