import io
import tarfile
import tracemalloc
import zipfile

import py7zr
import pytest

from podium.errors import PodiumError
from podium.imaging.images import Reader, UnreadableImageError
from podium.storage import unpacking
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


# What unpacks to far more than it takes


@pytest.fixture
def small_allowance(monkeypatch):
    """A megabyte is harmless, so that the tests need no more."""
    monkeypatch.setattr(unpacking, "HARMLESS", 1_000_000)


ZEROS = bytes(20_000_000)


def sparse():
    """Return a tar of a GNU sparse member: 20 MB of hole, for which no bytes stand, and one block of zeros."""
    info = tarfile.TarInfo("hole.bin")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0%011o\0" % (len(ZEROS) - 512, 512)
    head[483:495] = b"%011o\0" % len(ZEROS)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(512) + bytes(1024)


MANY = {f"{n}.csv": ZEROS[:2_000_000] for n in range(10)}


def deep():
    return zipped({"a.zip": zipped({"b.zip": zipped({"zeros.csv": ZEROS, "c.zip": zipped({})})})})


def wide():
    return zipped({f"{n}.zip": zipped({"x.csv": ZEROS[:2_000_000], f"{n}y.zip": zipped({})}) for n in range(9)})


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("data.tgz", lambda: tarred({"zeros.csv": ZEROS})),
        ("data.tar.xz", lambda: tarred({"zeros.csv": ZEROS}, "w:xz")),
        ("data.tar.bz2", lambda: tarred({"zeros.csv": ZEROS}, "w:bz2")),
        ("data.tgz", lambda: tarred(MANY)),
        ("data.tar", sparse),
        ("data.7z", lambda: sevened({"zeros.csv": ZEROS})),
        ("data.zip", deep),
        ("data.zip", wide),
    ],
)
def test_what_unpacks_to_far_more_than_it_takes_is_refused(tmp_path, small_allowance, name, make):
    """By the size of the whole download, in whatever archive it is nested."""
    (tmp_path / name).write_bytes(make())
    with pytest.raises(PodiumError, match=r"^\w+\.\S+: it unpacks to more than \d+ MB, 200 times its size"):
        repack(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 10_000_000


def test_a_sparse_tar_of_a_harmless_size_is_read(tmp_path):
    """Its holes are zeros."""
    (tmp_path / "data.tar").write_bytes(sparse())
    repack(tmp_path)
    assert contents(tmp_path) == {"data.zip#hole.bin": ZEROS}


def test_a_header_that_asks_for_memory_is_refused(tmp_path):
    """A name of a terabyte."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**32
    (tmp_path / "data.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(PodiumError, match=r"^data\.tar: a damaged archive"):
        repack(tmp_path)


@pytest.mark.parametrize(
    ("method", "announced"),
    [(zipfile.ZIP_DEFLATED, True), (zipfile.ZIP_DEFLATED, False), (zipfile.ZIP_BZIP2, True), (zipfile.ZIP_LZMA, True)],
)
def test_a_member_that_unpacks_to_too_much_is_not_read(tmp_path, small_allowance, method, announced):
    """A table of gigabytes in a zip of megabytes; a header that says less cuts it short, which its checksum shows."""
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("labels.csv", ZEROS)
    if not announced:
        size = len(ZEROS).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace(size, (1000).to_bytes(4, "little")))
    with Raw(tmp_path) as raw:
        tracemalloc.start()
        with pytest.raises(ValueError, match="unpacks to more than" if announced else "damaged"):
            raw.read("data.zip#labels.csv")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8_000_000
        with pytest.raises(PodiumError, match=r"^data\.zip#labels\.csv: "):
            raw.require("data.zip#labels.csv")


# What is no damage


def test_what_macos_adds_is_left_out(tmp_path):
    """Its files are called like archives and images, and are neither."""
    odd = {"__MACOSX/._train.zip": b"\0\5", "._x.zip": b"\0\5", "__MACOSX/train/._b.txt": b"\0\5"}
    (tmp_path / "plain.zip").write_bytes(zipped(odd | FILES))
    (tmp_path / "tar.tgz").write_bytes(tarred(odd | {"a.txt": b"a"}))
    (tmp_path / "seven.7z").write_bytes(sevened(odd | {"a.txt": b"a"}))
    (tmp_path / "nested.zip").write_bytes(zipped(odd | {"in.zip": zipped(odd | {"a.txt": b"a"})}))
    (tmp_path / "._plain.tar").write_bytes(b"\0\5")
    repack(tmp_path)
    found = contents(tmp_path)
    found.pop("tar.zip#train", None)
    assert found == {f"plain.zip#{name}": content for name, content in FILES.items()} | {
        f"{name}.zip#a.txt": b"a" for name in ("tar", "seven", "in")
    }


def flagged(data, *, encrypted):
    """Return a zip whose members say that they are encrypted, or packed by a method that nobody has."""
    data = bytearray(data)
    for start, flags, method in ((b"PK\3\4", 6, 8), (b"PK\1\2", 8, 10)):
        at = data.find(start)
        while at >= 0:
            if encrypted:
                data[at + flags] |= 1
            else:
                data[at + method] = 99
            at = data.find(start, at + 4)
    return bytes(data)


@pytest.mark.parametrize(
    ("encrypted", "reason"), [(True, "encrypted"), (False, "packed by a method that is not known here")]
)
def test_what_cannot_be_unpacked_has_a_reason(tmp_path, encrypted, reason):
    """A member of a plain zip when it is read, so that it is quarantined; one of an archive of archives at once."""
    (tmp_path / "data.zip").write_bytes(flagged(zipped({"a.png": b"a"}), encrypted=encrypted))
    repack(tmp_path)
    with Raw(tmp_path) as raw, pytest.raises(ValueError, match=reason):
        raw.read("data.zip#a.png")
    with Reader(tmp_path) as reader, pytest.raises(UnreadableImageError, match=reason):
        reader.read("data.zip#a.png")
    (tmp_path / "data.zip").write_bytes(flagged(zipped({"a.zip": b"a"}), encrypted=encrypted))
    with pytest.raises(PodiumError, match=rf"^data\.zip: the member 'a\.zip' is {reason}"):
        repack(tmp_path)


def test_an_encrypted_7z_is_refused(tmp_path):
    """Nobody can repack it without the password."""
    file = io.BytesIO()
    with py7zr.SevenZipFile(file, "w", password="x") as archive:
        archive.writestr(b"a", "a.txt")
    (tmp_path / "data.7z").write_bytes(file.getvalue())
    with pytest.raises(PodiumError, match=r"^data\.7z: encrypted"):
        repack(tmp_path)
