from types import SimpleNamespace

import pytest

from podium.errors import PodiumError
from podium.stages import download


def config(fetch):
    source = SimpleNamespace(download=fetch)
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
