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
