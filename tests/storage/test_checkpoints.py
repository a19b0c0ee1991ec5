"""Arrays and facts on disk."""

import numpy as np

from podium.storage import checkpoints


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
    """Names with slashes, numbers without a shape, floats of facts."""
    path = tmp_path / "folder/last.npz"
    arrays = {"model/0": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32), "optimizer/0": np.array(7)}
    facts = {"curve": [{"loss": 0.1 + 0.2, "valid_loss": None}]}
    checkpoints.save(path, arrays, facts)
    found, told = checkpoints.load(path)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    assert told == facts
    before = path.read_bytes()
    checkpoints.save(path, arrays, facts)
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path):
    """Cut short, overwritten, or not there."""
    path = tmp_path / "last.npz"
    assert checkpoints.load(path) is None
    checkpoints.save(path, {"a": np.arange(1000)}, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert checkpoints.load(path) is None
    path.write_bytes(whole[:2000] + b"\xff" * 100 + whole[2100:])
    assert checkpoints.load(path) is None
    path.write_bytes(b"")
    assert checkpoints.load(path) is None
