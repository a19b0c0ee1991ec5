"""What a `kill -9` at the wrong moment leaves broken of DVC's own files, each of which stops every later run.

DVC writes them in place, under locks that are taken here, too: a file that is being written just now is left alone.
"""

import json
from collections.abc import Callable
from pathlib import Path

from podium.paths import DVC_LOCK, DVC_TMP


def mend(tmp: Path = DVC_TMP, lock_file: Path = DVC_LOCK) -> list[Path]:
    """Remove what is broken of the record of readers and writers and of dvc.lock; returns what it removed.

    DVC clears the record of processes that are gone by itself. Stages that dvc.lock names no more come back from the
    run cache.
    """
    files = ((tmp / "rwlock", tmp / "rwlock.lock", _is_json), (lock_file, tmp / "lock", _is_lock_file))
    return [file for file, lock, is_whole in files if _mend(file, lock, is_whole)]


def _mend(file: Path, lock_path: Path, is_whole: Callable[[bytes], bool]) -> bool:
    import zc.lockfile

    def is_broken() -> bool:
        try:
            return not is_whole(file.read_bytes())
        except OSError:  # there is none, or it is not ours to read
            return False

    if not is_broken():
        return False
    try:
        lock = zc.lockfile.LockFile(str(lock_path))
    except (zc.lockfile.LockError, OSError):
        return False
    try:
        if not is_broken():
            return False
        file.unlink(missing_ok=True)
        return True
    finally:
        lock.close()


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _is_lock_file(content: bytes) -> bool:
    """Return whether a dvc.lock ends as DVC ends it; to parse its YAML takes seconds.

    Cut between two lines it is read well, as one with fewer stages, unless the last one promises more.
    """
    return content.startswith(b"schema: ") and content.endswith(b"\n") and not content.endswith(b":\n")
