import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from podium.errors import PodiumError
from podium.storage.raw import Raw


@pytest.fixture
def folder(tmp_path):
    """A raw folder with a loose file, one in a subfolder, a zip and a wheel."""
    (tmp_path / "a b.csv").write_text("loose")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/c.txt").write_text("deep")
    with zipfile.ZipFile(tmp_path / "deep/some.ZIP", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for n in range(50):
            archive.writestr(f"folder/{n}.txt", str(n) * 10_000)
    with zipfile.ZipFile(tmp_path / "data.whl", "w") as archive:
        archive.writestr("x#y.txt", "wheel")
    return tmp_path


def test_sources_are_the_files_and_the_members(folder):
    """Sorted, without folders and without the archives themselves."""
    with Raw(folder) as raw:
        sources = raw.sources()
    members = [f"deep/some.ZIP#folder/{n}.txt" for n in range(50)]
    assert sources == sorted(["a b.csv", "data.whl#x#y.txt", "deep/c.txt", *members])


def test_every_source_can_be_read_by_many_threads(folder):
    """Threads share one open archive and never see each other's bytes."""
    with Raw(folder) as raw, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: raw.read(f"deep/some.ZIP#folder/{n % 50}.txt"), range(500)))
        assert found == [str(n % 50).encode() * 10_000 for n in range(500)]
        assert raw.read("data.whl#x#y.txt") == b"wheel"
        assert raw.read("deep/c.txt") == b"deep"


def test_membership(folder):
    """Files and members are in it; folders, archives' folders and strangers are not."""
    with Raw(folder) as raw:
        assert "deep/c.txt" in raw
        assert "deep/some.ZIP#folder/3.txt" in raw
        for stranger in ("deep", "no.txt", "deep/some.ZIP#folder", "data.whl#no"):
            assert stranger not in raw


def test_a_damaged_member_is_told_from_a_missing_one(folder):
    """A flipped byte fails the member's checksum."""
    data = bytearray((folder / "data.whl").read_bytes())
    data[data.index(b"wheel")] ^= 255
    (folder / "data.whl").write_bytes(bytes(data))
    with Raw(folder) as raw, pytest.raises(ValueError, match="damaged in the archive"):
        raw.read("data.whl#x#y.txt")


@pytest.mark.parametrize("source", ["../secret", "/etc/passwd", "deep/../../secret"])
def test_no_source_leads_out_of_the_folder(folder, source):
    """A table of file names is other people's text."""
    with Raw(folder) as raw, pytest.raises(ValueError, match="leads out"):
        raw.read(source)


def test_a_file_that_is_no_archive_is_refused_by_name(folder):
    """A web page saved as zip is the usual reason."""
    (folder / "page.zip").write_text("<html>")
    with Raw(folder) as raw, pytest.raises(PodiumError, match=r"page\.zip: not a readable zip"):
        raw.sources()
