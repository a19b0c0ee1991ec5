import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from podium.storage.pixelcache import PixelCache

KEY, OTHER = b"a" * 32, b"b" * 32
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pixels"


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_pixels_come_back_from_another_run(folder):
    """What one run kept, the next one finds by key, to the bit; another key has nothing."""
    PixelCache(folder, 8).put(KEY, IMAGE)
    again = PixelCache(folder, 8)
    assert KEY in again
    assert OTHER not in again
    np.testing.assert_array_equal(again.get(KEY), IMAGE, strict=True)
    assert again.get(OTHER) is None


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_damaged_file_is_removed(folder, place):
    """One wrong bit is noticed, never a wrong pixel; the image can be kept again."""
    cache = PixelCache(folder, 8)
    cache.put(KEY, IMAGE)
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.get(KEY) is None
    assert KEY not in cache
    cache.put(KEY, IMAGE)
    np.testing.assert_array_equal(cache.get(KEY), IMAGE)


def test_a_file_cut_short_is_as_good_as_absent(folder):
    """Even an empty one, as a power cut may leave."""
    cache = PixelCache(folder, 8)
    for n_left in (0, 20, 100):
        cache.put(KEY, IMAGE)
        (path,) = files(folder)
        path.write_bytes(path.read_bytes()[:n_left])
        assert cache.get(KEY) is None


def test_a_tenth_of_the_disk_is_left_to_others(folder, monkeypatch):
    """Speed is not worth a full disk: nothing is written, and nobody is told."""
    disk = SimpleNamespace(total=100, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    PixelCache(folder, 8).put(KEY, IMAGE)
    assert not files(folder)
    disk.free = 11
    PixelCache(folder, 8).put(KEY, IMAGE)
    assert len(files(folder)) == 1


def test_a_folder_that_cannot_be_written_keeps_nothing(folder):
    """It is no error: what is not kept is decoded again."""
    folder.write_text("a file where the folder should be")
    cache = PixelCache(folder, 8)
    cache.put(KEY, IMAGE)
    assert KEY not in cache
    assert cache.get(KEY) is None
