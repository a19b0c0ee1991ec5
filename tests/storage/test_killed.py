"""DVC's record of readers and writers, and its dvc.lock: a broken one is removed, and no other."""

import inspect
import json
import subprocess
import sys

import pytest
import zc.lockfile

from podium.storage.killed import mend

WHOLE = json.dumps({"read": {}, "write": {"x": {"pid": 1, "cmd": "dvc repro"}}})


@pytest.mark.parametrize("left", ["", "\0\0\0", '{"read": {', "\xff"])
def test_a_broken_record_is_removed(tmp_path, left):
    """As `kill -9` leaves it between opening and writing."""
    (tmp_path / "rwlock").write_bytes(left.encode("latin-1"))
    assert mend(tmp_path, tmp_path / "none") == [tmp_path / "rwlock"]
    assert not (tmp_path / "rwlock").exists()
    assert mend(tmp_path, tmp_path / "none") == []


def test_a_whole_record_stays(tmp_path):
    """It is DVC's, which knows which of its processes are gone."""
    (tmp_path / "rwlock").write_text(WHOLE)
    assert mend(tmp_path, tmp_path / "none") == []
    assert (tmp_path / "rwlock").read_text() == WHOLE


def test_nothing_is_done_where_there_is_no_dvc(tmp_path):
    """Neither a folder nor a lock is made."""
    assert mend(tmp_path / ".dvc/tmp", tmp_path / "dvc.lock") == []
    assert not list(tmp_path.iterdir())


def test_a_record_that_a_process_writes_just_now_stays(tmp_path):
    """It is empty for a moment, under DVC's own lock."""
    (tmp_path / "rwlock").touch()
    program = "import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(tmp_path / "rwlock.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert mend(tmp_path, tmp_path / "none") == []
        assert (tmp_path / "rwlock").exists()
        holder.kill()
    assert mend(tmp_path, tmp_path / "none") == [tmp_path / "rwlock"]  # the lock went with its process


def test_the_lock_is_the_one_that_dvc_takes():
    """By its name, and by the library that makes it."""
    from dvc import lock, repo
    from dvc import rwlock as theirs

    assert 'self.fs.join(self.tmp_dir, "lock")' in inspect.getsource(repo.Repo.__init__)
    assert theirs.RWLOCK_FILE == "rwlock"
    assert theirs.RWLOCK_LOCK == "rwlock.lock"
    assert lock.zc.lockfile is zc.lockfile


LOCK = """\
schema: '2.0'
stages:
  download:
    cmd: podium download
    deps:
    - path: src/podium/sources
      hash: md5
      md5: a6c8a6c8a6c8a6c8a6c8a6c8a6c8a6c8.dir
      size: 12
    params:
      params.yaml:
        competition: toy
    outs:
    - path: data/toy/raw
      hash: md5
      md5: 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f.dir
      size: 34
  prepare:
    cmd: podium prepare
    outs:
    - path: data/toy/images.parquet
      size: 56
"""


def test_every_cut_of_a_lock_file_that_dvc_cannot_read_is_mended(tmp_path):
    """By DVC's own reader: what it refuses is removed; what is whole stays."""
    from dvc.dvcfile import Lockfile
    from ruamel.yaml import YAML

    path = tmp_path / "dvc.lock"
    n_read = 0
    for end in range(len(LOCK) + 1):
        path.write_text(LOCK[:end])
        removed = mend(tmp_path, path)
        assert removed == [] if end == len(LOCK) else removed in ([], [path])
        if removed:
            continue
        n_read += 1
        Lockfile.SCHEMA(YAML(typ="safe").load(LOCK[:end]))  # raises where DVC would
    assert 2 < n_read < 30


def test_a_lock_file_that_dvc_writes_just_now_stays(tmp_path):
    """Its repository's lock is held meanwhile."""
    path = tmp_path / "dvc.lock"
    path.touch()
    lock = zc.lockfile.LockFile(str(tmp_path / "lock"))
    program = (
        "import sys; from pathlib import Path; from podium.storage.killed import mend; "
        "print(mend(Path(sys.argv[1]), Path(sys.argv[1]) / 'dvc.lock'))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[]"
    lock.close()
    assert mend(tmp_path, path) == [path]
