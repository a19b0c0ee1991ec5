import os
import pickle
import sys
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest

from podium.backbones.torch_weights import read
from podium.errors import PodiumError

MAGIC = 0x1950A86A20F9469CFC6C


class FloatStorage:
    """Pickled by name, like torch's."""


class Tensor:
    """Pickles as torch's tensors do: a call of `_rebuild_tensor_v2` on a storage that is kept elsewhere."""

    def __init__(self, key, offset, shape, strides):
        self.parts = (key, offset, shape, strides)

    def __reduce__(self):
        key, offset, shape, strides = self.parts
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Key(key), offset, shape, strides, False, OrderedDict())


class Key(str):
    """A storage's key, which the pickler turns into a persistent id."""

    __slots__ = ()


class Pickler(pickle.Pickler):
    """Keeps storages out of the pickle, as torch does."""

    def persistent_id(self, value):
        return ("storage", FloatStorage, str(value), "cpu", 0, None) if isinstance(value, Key) else None


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of the old layout, from the format's description."""
    names = {"torch": ModuleType("torch"), "torch._utils": ModuleType("torch._utils")}
    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    names["torch"].FloatStorage = FloatStorage

    def _rebuild_tensor_v2():
        """Stand for torch's function; only its name is pickled."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    names["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name, module in names.items():
        monkeypatch.setitem(sys.modules, name, module)

    def written(state, storages, magic=MAGIC):
        path = tmp_path / "weights.pth"
        with path.open("wb") as file:
            for value in (magic, 1001, {"little_endian": True}, state, list(storages)):
                Pickler(file, protocol=2).dump(value)
            for data in storages.values():
                file.write(len(data).to_bytes(8, "little") + np.asarray(data, "<f4").tobytes())
        return path

    return written


def test_tensors_come_with_their_shape_strides_and_offset(write):
    """A view of a shared storage, one transposed by its strides, and a scalar are read as they were."""
    data = np.arange(10.0)
    state = OrderedDict(
        whole=Tensor("a", 0, (2, 5), (5, 1)),
        turned=Tensor("a", 1, (3, 2), (1, 3)),
        scalar=Tensor("b", 0, (), ()),
    )
    tensors = read(write(state, {"b": [7.0], "a": data}))
    np.testing.assert_array_equal(tensors["whole"], data.reshape(2, 5))
    np.testing.assert_array_equal(tensors["turned"], data[1:7].reshape(2, 3).T)
    assert tensors["scalar"] == 7.0
    assert tensors["scalar"].shape == ()


def test_code_in_a_file_is_refused(write, tmp_path):
    """A pickle that calls anything but a tensor's builder is refused, and nothing of it runs."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    path = write(OrderedDict(a=Evil()), {})
    with pytest.raises(PodiumError, match=r"weights\.pth: .* must not contain .*mkdir"):
        read(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("n_lost", [1, 12, 60])
def test_a_file_cut_short_is_refused(write, n_lost):
    """Missing bytes are an error and never zeros or garbage."""
    path = write(OrderedDict(a=Tensor("a", 0, (4,), (1,))), {"a": np.arange(4.0)})
    path.write_bytes(path.read_bytes()[:-n_lost])
    with pytest.raises(PodiumError, match=r"weights\.pth: not a torch state dict"):
        read(path)


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(write):
    """A false shape must not read other memory."""
    path = write(OrderedDict(a=Tensor("a", 2, (4,), (1,))), {"a": np.arange(4.0)})
    with pytest.raises(PodiumError, match="a reaches beyond its storage"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", pickle.dumps("hello")])
def test_another_kind_of_file_is_refused(tmp_path, content):
    """An empty file, torch's newer zip layout and any other pickle end in one line."""
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(PodiumError, match="not a torch state dict of the old layout"):
        read(path)


def test_a_missing_file_is_named(tmp_path):
    """No file: the line names it."""
    with pytest.raises(PodiumError, match=r"absent\.pth: there is no such weights file"):
        read(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (2, 2), (-1000000, 1)),
        (3, (4,), (-1,)),
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (0, (2**40,), (0,)),
        (0, (2**62, 2**62), (0, 0)),
        (0, (2, 2), (1,)),
        (0, (1.5,), (1,)),
        (2**70, (1,), (1,)),
        (0, ("a",), (1,)),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(write, offset, shape, strides):
    """Negative steps would read other memory and kill the process; a step of 0 could ask for any amount of it."""
    path = write(OrderedDict(a=Tensor("a", offset, shape, strides)), {"a": np.arange(4.0)})
    with pytest.raises(PodiumError, match=r"weights\.pth: not a torch state dict"):
        read(path)


def test_an_empty_tensor_is_read(write):
    """It reaches beyond nothing, wherever it is said to begin."""
    tensors = read(write(OrderedDict(a=Tensor("a", 4, (0, 3), (3, 1))), {"a": np.arange(4.0)}))
    assert tensors["a"].shape == (0, 3)


def test_a_false_number_of_elements_asks_for_no_memory(write):
    """The count comes before the data and is compared with what is left of the file."""
    path = write(OrderedDict(a=Tensor("a", 0, (4,), (1,))), {"a": np.arange(4.0)})
    content = path.read_bytes()
    path.write_bytes(content[:-24] + (2**40).to_bytes(8, "little") + content[-16:])
    with pytest.raises(PodiumError, match="a storage of 1099511627776 elements, where 16 bytes are left"):
        read(path)


def test_no_flipped_byte_ends_in_another_exception(write):
    """Read, or refused in one line; the format has no checksum, so the numbers themselves may differ."""
    state = OrderedDict(a=Tensor("a", 0, (2, 3), (3, 1)), b=Tensor("b", 1, (2,), (1,)))
    path = write(state, {"a": np.arange(6.0), "b": np.arange(4.0)})
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(0, len(content), 400):
        flipped = bytearray(content)
        flipped[at] ^= rng.integers(1, 256)
        path.write_bytes(flipped)
        try:
            tensors = read(path)
        except PodiumError:
            continue
        assert sum(tensor.nbytes for tensor in tensors.values()) < 1000
