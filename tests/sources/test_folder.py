"""A folder of the user's own as the source."""

import os

import pytest

from podium.errors import PodiumError
from podium.sources.folder import Source


def test_files_are_copied_with_their_folders(tmp_path):
    """Dot files, such as a file manager leaves, stay behind."""
    (tmp_path / "from/deep").mkdir(parents=True)
    (tmp_path / "from/deep/a.png").write_bytes(b"a")
    (tmp_path / "from/.DS_Store").write_bytes(b"")
    (tmp_path / "to").mkdir()
    Source(path=tmp_path / "from").download(tmp_path / "to")
    assert [path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*.*")] == ["deep/a.png"]


@pytest.mark.parametrize(("made", "reason"), [(False, "is no folder"), (True, "holds no files")])
def test_a_missing_or_empty_folder_is_named(tmp_path, made, reason):
    """One line that names the key and the folder."""
    if made:
        (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    with pytest.raises(PodiumError, match=rf"source\.path: .*from {reason}"):
        Source(path=tmp_path / "from").download(tmp_path / "to")


def test_its_state_is_that_of_the_files_it_copies(tmp_path):
    """Names, lengths and times, wherever the folder lies; files that stay behind do not count."""
    for name in ("here", "there"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep/a.png").write_bytes(b"a")
        os.utime(tmp_path / name / "deep/a.png", (1, 1))
    here, there = Source(path=tmp_path / "here"), Source(path=tmp_path / "there")
    before = here.state()
    assert before == there.state()
    (tmp_path / "here/.DS_Store").write_bytes(b"x")
    assert here.state() == before
    os.utime(tmp_path / "here/deep/a.png", (2, 2))
    assert here.state() != before
    os.utime(tmp_path / "here/deep/a.png", (1, 1))
    assert here.state() == before
    (tmp_path / "here/deep/a.png").rename(tmp_path / "here/deep/b.png")
    assert here.state() != before
    (tmp_path / "there/deep/a.png").write_bytes(b"ab")
    os.utime(tmp_path / "there/deep/a.png", (1, 1))
    assert there.state() != before


def test_a_queued_experiment_sees_the_same_folder(tmp_path, monkeypatch):
    """It runs elsewhere, and DVC says where the repository is; a relative path is seen from there."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"a")
    for place in ("repository", "experiment"):
        (tmp_path / place).mkdir()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path / "repository")
    state = Source(path="../images").state()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    (tmp_path / "experiment/deeper").mkdir()
    monkeypatch.chdir(tmp_path / "experiment/deeper")
    assert Source(path="../images").state() == state
    Source(path="../images").download(tmp_path / "experiment")
    assert (tmp_path / "experiment/a.png").exists()
    assert Source(path=tmp_path / "images").state() == state
