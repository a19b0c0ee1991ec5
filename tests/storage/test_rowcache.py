import os

import numpy as np
import pytest

from podium.storage.rowcache import DamagedRowsError, RowCache, row_key

KEYS = [row_key(f"digest{n}", "identity", "{}") for n in range(6)]
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "cache", tmp_path / "fallback_dir"


def files(folder):
    return sorted(folder.glob("*.rows"))


def test_rows_come_back_from_another_run(folders):
    """What one run stored, the next one finds by key: to float16's precision, in any order."""
    first = RowCache(*folders)
    first.put(KEYS[:4], ROWS[:4])
    first.put(KEYS[4:5], ROWS[4:5])
    again = RowCache(*folders)
    order = [4, 2, 0]
    np.testing.assert_array_equal([*again.get(KEYS[n] for n in order)], ROWS[order].astype(np.float16))
    for n in order:
        assert again.shape(KEYS[n]) == (4, "<f2")
    assert KEYS[5] not in again
    assert again.n_bytes == sum(path.stat().st_size for path in files(folders[0]))


def test_a_row_keeps_its_precision_whatever_its_batch(folders):
    """A value beyond float16 keeps its row, and no other row of the batch, in float32."""
    rows = ROWS.copy()
    rows[1, 2] = 70_000.0
    cache = RowCache(*folders)
    cache.put(KEYS, rows)
    assert cache.shape(KEYS[1]) == (4, "<f4")
    (wide, half) = cache.get([KEYS[1], KEYS[5]])
    np.testing.assert_array_equal(wide, rows[1])
    assert cache.shape(KEYS[0]) == (4, "<f2")
    np.testing.assert_array_equal(half, rows[5].astype(np.float16))


@pytest.mark.parametrize("place", [0, 32, 40, 60, 100, 200, -40, -1])
def test_one_wrong_bit_anywhere_is_noticed(folders, place):
    """A damaged file is as good as absent, and the rows of other files stay; rows are checked when they are read."""
    cache = RowCache(*folders)
    cache.put(KEYS[:5], ROWS[:5])
    (path,) = files(folders[0])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    cache.put(KEYS[5:], ROWS[5:])
    again = RowCache(*folders)
    if KEYS[0] in again:
        assert place in {-40, -1}  # among the numbers
        with pytest.raises(DamagedRowsError, match="run again"):
            next(again.get(KEYS[:1]))
        assert not path.exists()
    assert [key in again for key in KEYS] == [False] * 5 + [True]
    assert again.n_damaged == 1
    again.put(KEYS[:5], ROWS[:5])
    assert RowCache(*folders).n_damaged == 0


@pytest.mark.parametrize("n_left", [0, 10, 100])
def test_a_file_cut_short_is_noticed(folders, n_left):
    """A file that a power cut left unfinished is as good as absent."""
    RowCache(*folders).put(KEYS, ROWS)
    (path,) = files(folders[0])
    path.write_bytes(path.read_bytes()[:n_left])
    again = RowCache(*folders)
    assert again.n_damaged == 1
    assert not any(key in again for key in KEYS)


def test_what_a_killed_run_left_unfinished_is_ignored(folders):
    """A temporary file beside the finished ones is neither read nor counted."""
    cache = RowCache(*folders)
    cache.put(KEYS, ROWS)
    (path,) = files(folders[0])
    path.with_name(f".{path.stem}.123.rows").write_bytes(b"half")
    again = RowCache(*folders)
    assert again.n_damaged == 0
    assert again.n_bytes == path.stat().st_size


def test_a_cache_that_cannot_be_written_is_read_and_the_rest_goes_to_the_spare_folder(folders):
    """Old rows are reused, new ones are found too, and the reason is kept for the user."""
    folder, fallback_dir = folders
    RowCache(folder, fallback_dir).put(KEYS[:3], ROWS[:3])
    cache = RowCache(folder, fallback_dir)
    cache._folder = folder / "nowhere"
    (folder / "nowhere").write_text("a file where the folder should be")  # refused even to root, unlike a mode
    cache.put(KEYS[3:], ROWS[3:])
    assert all(key in cache for key in KEYS)
    assert isinstance(cache.write_error, OSError)
    assert len(files(fallback_dir)) == 1


def test_a_full_disk_is_told_and_what_was_stored_stays(folders, monkeypatch):
    """No room in either folder: OSError for the caller, no half-written file, earlier rows intact."""
    cache = RowCache(*folders)
    cache.put(KEYS[:3], ROWS[:3])

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        cache.put(KEYS[3:], ROWS[3:])
    monkeypatch.undo()
    again = RowCache(*folders)
    assert [key in again for key in KEYS] == [True] * 3 + [False] * 3
    assert len(list(folders[0].iterdir())) == 1


def test_keys_tell_image_operation_and_parameters_apart():
    """No two rows share a key by the way their parts are joined."""
    parts = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d"), ("b", "b", "c")]
    assert len({row_key(*part) for part in parts}) == len(parts)
