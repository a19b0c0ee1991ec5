"""Models on disk: what is read back is what was written, and damage is found."""

import os
from dataclasses import dataclass

import numpy as np
import pytest

from podium.contracts import models
from podium.contracts.models import Fitted
from podium.errors import PodiumError

N_FLIPS = 60


@dataclass(frozen=True)
class Part(Fitted):
    """A model of every kind of field."""

    small: np.ndarray
    large: np.ndarray
    number: float
    count: int
    text: str
    nothing: None
    bounds: tuple[float, float]
    inner: tuple[Fitted, ...] = ()


def make(seed=0, inner=()):
    rng = np.random.default_rng(seed)
    large = np.random.default_rng(7).random((512, 300))  # over a megabyte, the same for every seed
    return Part(rng.random((3, 2), np.float32), large, rng.random(), 3, "tree\nof=text é", None, (0.1, np.inf), inner)


def assert_same(a, b):
    for name in ("small", "large"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    for name in ("number", "count", "text", "nothing", "bounds"):
        assert getattr(a, name) == getattr(b, name)


def test_every_field_comes_back(tmp_path):
    """Arrays with shape and dtype, numbers to the bit, text with its line feeds, and models within models."""
    made = make(inner=(make(1), make(2)))
    models.save(made, tmp_path, "r0f0")
    found = models.load(tmp_path, "r0f0")
    assert_same(found, made)
    for one, other in zip(found.inner, made.inner, strict=True):
        assert_same(one, other)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    """So that DVC sees no change where there is none."""
    for folder in ("a", "b"):
        models.save(make(), tmp_path / folder, "full")
    files = [sorted((path.name, path.read_bytes()) for path in (tmp_path / folder).iterdir()) for folder in "ab"]
    assert files[0] == files[1]


def test_a_large_array_is_written_once_for_all_models(tmp_path):
    """Two models that share their rows cost little more than one."""
    models.save(make(0), tmp_path, "r0f0")
    models.save(make(1), tmp_path, "r0f1")
    assert len(list(tmp_path.glob("*.npy"))) == 1
    assert models.names(tmp_path) == ["r0f0", "r0f1"]


def test_a_shared_array_is_read_once_to_be_checked(tmp_path, monkeypatch):
    """Each of a member's models maps it; only what was written anew since is checked anew."""
    models._is_whole.cache_clear()
    checked, content = [], models._content
    monkeypatch.setattr(models, "_content", lambda array: checked.append(array.shape) or content(array))
    for seed in range(3):
        models.save(make(seed), tmp_path, models.of_fold(0, seed))
    checked.clear()
    for name in 2 * models.folds(tmp_path):
        assert_same(models.load(tmp_path, name), make(int(name[-1])))
    assert checked == [(512, 300)]
    (file,) = tmp_path.glob("*.npy")
    os.utime(file, (1, 1))
    models.load(tmp_path, "r0f0")
    assert len(checked) == 2


def test_no_file_is_a_pickle(tmp_path):
    """An array of objects, which only a pickle could hold, is refused."""
    with pytest.raises(ValueError, match="allow_pickle"):
        models.save(Part(np.array([{}]), np.zeros(1), 0.0, 0, "", None, (0.0, 1.0)), tmp_path, "full")


def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path):
    """In any file, at random places: one line, or the very same model."""
    made = make(inner=(make(1),))
    models.save(made, tmp_path, "full")
    rng = np.random.default_rng(0)
    n_found = 0
    for path in sorted(tmp_path.iterdir()):
        intact = path.read_bytes()
        for place in rng.integers(0, len(intact), N_FLIPS):
            damaged = bytearray(intact)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            models._is_whole.cache_clear()  # a file system's clock is too coarse for changes this quick
            message = said(tmp_path)
            if message is None:  # a place that means nothing, such as a line feed at the end
                found = models.load(tmp_path, "full")
                assert_same(found, made)
                assert_same(found.inner[0], made.inner[0])
            else:
                assert message.startswith(f"{tmp_path / 'full.json'}: not a readable model (")
                assert "\n" not in message
                n_found += 1
        path.write_bytes(intact)
    assert n_found > 2.9 * N_FLIPS


def said(folder):
    """Return the error of reading the model, or None where it can be read."""
    try:
        models.load(folder, "full")
    except PodiumError as error:
        return str(error)
    return None


def test_a_missing_model_is_one_line(tmp_path):
    """It names the file and what fits it."""
    with pytest.raises(PodiumError, match=r"r0f9.json: there is no such model; run `dvc repro` to fit it$"):
        models.load(tmp_path, "r0f9")


def test_the_models_that_predict_new_rows(tmp_path):
    """Every fold's, in the order of numbers rather than of letters; or the one of all rows, where there is one."""
    for name in ("r0f10", "r0f2", "r1f0", "r0f0"):
        models.save(make(), tmp_path, name)
    (tmp_path / "notes.npz").write_bytes(b"")
    assert models.folds(tmp_path) == ["r0f0", "r0f2", "r0f10", "r1f0"]
    assert models.that_predict(tmp_path) == models.folds(tmp_path)
    models.save(make(), tmp_path, models.FULL)
    assert models.that_predict(tmp_path) == ["full"]
    with pytest.raises(PodiumError, match="there are no models; run `dvc repro` to fit them"):
        models.folds(tmp_path / "none")
