"""Files and folders that are there whole or not at all, and what a killed process leaves of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podium.storage.files import atomic, atomic_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dead():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_is_removed(tmp_path, dead):
    """Of this folder, and of processes that are gone; a number comes back, so this process's own is an orphan too."""
    gone = [tmp_path / f".raw.{dead}.tmp", tmp_path / f".raw.{os.getpid()}.tmp"]
    kept = [tmp_path / f".raw.{os.getppid()}.tmp", tmp_path / f".other.{dead}.tmp", tmp_path / ".raw.x.tmp"]
    for folder in (*gone, *kept):
        folder.mkdir()
        (folder / "half").touch()
    with atomic_folder(tmp_path / "raw") as folder:
        assert list(folder.iterdir()) == []
        (folder / "whole").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"raw", *(folder.name for folder in kept)}
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["whole"]


def test_dvc_and_git_ignore_what_is_being_written(tmp_path):
    """A folder that a stage depends on must not change by it."""
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnorePatterns

    ignored = DvcIgnorePatterns.from_file(str(ROOT / ".dvcignore"), localfs, ".dvcignore")
    with atomic(tmp_path / "lite0.h5") as file, atomic_folder(tmp_path / "raw") as folder:
        file.touch()
        for path in (file, folder):
            assert ignored.matches(str(ROOT / "features/elpv"), path.name, path.is_dir())
            relative = Path("features/elpv") / path.name
            done = subprocess.run(["git", "check-ignore", "-q", str(relative)], cwd=ROOT)
            assert done.returncode == 0
    for name in ("lite0.h5", ".rows", "tmp.csv"):
        assert not ignored.matches(str(ROOT / "features/elpv"), name, is_dir=False)
