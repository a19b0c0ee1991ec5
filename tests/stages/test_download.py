from types import SimpleNamespace

import pytest

from podium.errors import PodiumError
from podium.stages import download


def config(fetch, *, resumes=False):
    source = SimpleNamespace(download=fetch, resumes=resumes)
    return SimpleNamespace(params=SimpleNamespace(competition="toy"), competition=SimpleNamespace(source=source))


def test_the_files_take_their_place_at_the_end(tmp_path, monkeypatch):
    """While the source works, data/toy/raw is not there; an older one is replaced."""
    monkeypatch.chdir(tmp_path)

    def fetch(folder):
        assert not (tmp_path / "data/toy/raw/new.txt").exists()
        (folder / "new.txt").write_text("x")

    download.run(config(fetch))
    (tmp_path / "data/toy/raw/old.txt").write_text("x")
    (tmp_path / "data/toy/raw/new.txt").unlink()
    download.run(config(fetch))
    assert [path.name for path in (tmp_path / "data/toy/raw").iterdir()] == ["new.txt"]


@pytest.mark.parametrize("error", [PodiumError("refused"), KeyboardInterrupt()])
def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch, error):
    """Neither a half-filled raw folder nor a temporary one."""
    monkeypatch.chdir(tmp_path)

    def fetch(folder):
        (folder / "half").write_text("x")
        raise error

    with pytest.raises(type(error)):
        download.run(config(fetch))
    assert list((tmp_path / "data/toy").iterdir()) == []


def test_a_source_that_resumes_finds_what_it_left(tmp_path, monkeypatch):
    """Even though DVC empties data/C/raw before each attempt; nothing is left beside it at the end."""
    monkeypatch.chdir(tmp_path)

    def fetch(folder):
        if not (folder / "half").exists():
            (folder / "half").write_text("x")
            raise PodiumError("broke off")
        (folder / "half").rename(folder / "whole")

    with pytest.raises(PodiumError):
        download.run(config(fetch, resumes=True))
    assert not (tmp_path / "data/toy/raw").exists()
    download.run(config(fetch, resumes=True))
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == ["raw", "toy", "whole"]


def test_archives_are_made_readable(tmp_path, monkeypatch):
    """Whatever the source; one that cannot be is refused, and data/toy/raw is not there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PodiumError, match=r"data\.tgz: a damaged archive"):
        download.run(config(lambda folder: (folder / "data.tgz").write_bytes(b"x")))
    assert list((tmp_path / "data/toy").iterdir()) == []


def test_a_verified_download_is_kept_when_unpacking_refuses_it(tmp_path, monkeypatch):
    """Hours of download are not lost to a full disk or an archive that is not understood yet."""
    monkeypatch.chdir(tmp_path)
    calls = []

    def fetch(folder):
        calls.append((folder / "data.tgz").exists())
        (folder / "data.tgz").write_bytes(b"x")

    for _ in range(2):
        with pytest.raises(PodiumError, match=r"data\.tgz: a damaged archive"):
            download.run(config(fetch, resumes=True))
        assert [path.name for path in (tmp_path / "data/toy").iterdir()] == [".arriving.tmp"]
    assert calls == [False, True]
