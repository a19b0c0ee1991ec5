import hashlib
import io
import os
import tarfile
import zipfile

import pytest
from pydantic import ValidationError

from podium.errors import PodiumError
from podium.sources.pypi import Source

pytestmark = pytest.mark.slow


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a folder that pip looks in, instead of a package index."""
    links = tmp_path / "links"
    links.mkdir()
    path = links / "some_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_data/labels.csv", "id\n")
        archive.writestr("some_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-data\nVersion: 1.0\n")
        archive.writestr(
            "some_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("some_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # the machine's own indexes play no part
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return path


def source(wheel, **changes):
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Source(**({"package": "some-data", "version": "1.0", "sha256": sha256} | changes))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "raw"
    path.mkdir()
    return path


def test_the_wheel_stays_whole(wheel, folder):
    """The archive is what comes, byte for byte."""
    source(wheel).download(folder)
    assert [path.name for path in folder.iterdir()] == [wheel.name]
    assert (folder / wheel.name).read_bytes() == wheel.read_bytes()


def test_another_hash_is_refused(wheel, folder):
    """The message names both hashes."""
    with pytest.raises(PodiumError, match=rf"source\.sha256: {wheel.name} has SHA-256 [0-9a-f]{{64}}, not 0{{64}}"):
        source(wheel, sha256="0" * 64).download(folder)


def test_a_version_that_does_not_exist_is_pips_to_explain(wheel, folder):
    """One line, of pip's own words."""
    with pytest.raises(
        PodiumError, match=r"^source: pip could not download some-data==9\.9: .*some-data==9\.9"
    ) as error:
        source(wheel, version="9.9").download(folder)
    assert "\n" not in str(error.value)


def test_without_a_network_the_message_says_so(wheel, folder, monkeypatch):
    """A closed port stands for a machine that is offline."""
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(PodiumError, match="no connection to the package index"):
        source(wheel, package="another-name").download(folder)


@pytest.mark.parametrize("package", ["--help", "a b", "", "x;y"])
def test_a_name_can_be_no_option_of_pip(wheel, package):
    """What comes from a YAML is never a command line."""
    with pytest.raises(ValidationError):
        source(wheel, package=package)


@pytest.fixture
def sdist(wheel):
    """A source distribution whose build would leave a trace, in the same folder."""
    path = wheel.with_name("some_data-1.0.tar.gz")
    trace = wheel.with_name("built")
    files = {"setup.py": f"open({str(trace)!r}, 'w').close()", "tests/a.zip": "the data"}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"some_data-1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_one_member_is_taken_out_of_a_source_distribution(sdist, folder):
    """The index that pip is set to is asked; nothing is built, and nothing else is kept."""
    source(sdist, member="tests/a.zip").download(folder)
    assert [path.name for path in folder.iterdir()] == ["a.zip"]
    assert (folder / "a.zip").read_text() == "the data"
    assert not sdist.with_name("built").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"sha256": "0" * 64},
            r"^source\.sha256: some_data-1\.0\.tar\.gz has SHA-256 [0-9a-f]{64}, not 0{64}; nothing",
        ),
        ({"member": "tests/b.zip"}, r"^source\.member: some_data-1\.0\.tar\.gz holds no file 'tests/b\.zip'$"),
        ({"version": "9.9"}, r"^source: pip could not fetch some-data==9\.9: there is no source .* there are: 1\.0$"),
    ],
)
def test_what_a_source_distribution_lacks_is_one_line(sdist, folder, changes, reason):
    """And a file of another content is not kept."""
    with pytest.raises(PodiumError, match=reason):
        source(sdist, **{"member": "tests/a.zip"} | changes).download(folder)
    assert not (folder / "a.zip").exists()
