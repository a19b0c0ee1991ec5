"""DVC's record of readers and writers: a broken one is removed, and no other."""

import json
import subprocess
import sys

import pytest
import zc.lockfile

from podium.storage import rwlock

WHOLE = json.dumps({"read": {}, "write": {"x": {"pid": 1, "cmd": "dvc repro"}}})


@pytest.mark.parametrize("left", ["", "\0\0\0", '{"read": {', "\xff"])
def test_a_broken_record_is_removed(tmp_path, left):
    """As `kill -9` leaves it between opening and writing."""
    (tmp_path / "rwlock").write_bytes(left.encode("latin-1"))
    assert rwlock.mend(tmp_path)
    assert not (tmp_path / "rwlock").exists()
    assert not rwlock.mend(tmp_path)


def test_a_whole_record_stays(tmp_path):
    """It is DVC's, which knows which of its processes are gone."""
    (tmp_path / "rwlock").write_text(WHOLE)
    assert not rwlock.mend(tmp_path)
    assert (tmp_path / "rwlock").read_text() == WHOLE


def test_nothing_is_done_where_there_is_no_dvc(tmp_path):
    """Neither a folder nor a lock is made."""
    assert not rwlock.mend(tmp_path / ".dvc/tmp")
    assert not list(tmp_path.iterdir())


def test_a_record_that_a_process_writes_just_now_stays(tmp_path):
    """It is empty for a moment, under DVC's own lock."""
    (tmp_path / "rwlock").touch()
    program = "import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(tmp_path / "rwlock.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert not rwlock.mend(tmp_path)
        assert (tmp_path / "rwlock").exists()
        holder.kill()
    assert rwlock.mend(tmp_path)  # the lock went with its process


def test_the_lock_is_the_one_that_dvc_takes():
    """By its name, and by the library that makes it."""
    from dvc import lock
    from dvc import rwlock as theirs

    assert theirs.RWLOCK_FILE == "rwlock"
    assert theirs.RWLOCK_LOCK == "rwlock.lock"
    assert lock.zc.lockfile is zc.lockfile
