"""DVC's record of which paths its processes read and write, which a `kill -9` at the wrong moment leaves empty."""

import json
from pathlib import Path

from podium.paths import DVC_TMP


def mend(folder: Path = DVC_TMP) -> bool:
    """Remove the record if it is not JSON and no process is about to write it; returns whether it did.

    DVC refuses every later run with a broken record. It writes the record under a lock, as this does; entries of
    processes that are gone it removes itself.
    """
    import zc.lockfile

    record = folder / "rwlock"
    if _is_whole(record):
        return False
    try:
        lock = zc.lockfile.LockFile(str(folder / "rwlock.lock"))
    except (zc.lockfile.LockError, OSError):
        return False
    try:
        if _is_whole(record):
            return False
        record.unlink(missing_ok=True)
        return True
    finally:
        lock.close()


def _is_whole(record: Path) -> bool:
    try:
        json.loads(record.read_bytes())
    except ValueError:
        return False
    except OSError:  # there is none, or it is not ours to read
        return True
    return True
