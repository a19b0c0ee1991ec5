import h5py
import numpy as np
import pandas as pd
import pytest

from podium.contracts.features import read, sign, write
from podium.errors import PodiumError

N = 150
IDS = sorted(f"käfig {n:03d}\n.png" for n in range(N // 2))
INDEX = pd.DataFrame({"image_id": np.repeat(IDS, 2), "view": ["hflip", "identity"] * (N // 2)}, dtype="str")
ROWS = np.random.default_rng(0).normal(size=(N, 7)).astype(np.float16)


def written(path, index=INDEX, rows=ROWS, dtype="float16"):
    write(path, index, iter(rows), n_columns=7, dtype=dtype, attributes={"backbone": "a", "batch": 32})
    return path


def test_what_was_written_is_read(tmp_path):
    """Ids with spaces, umlauts and line feeds, numbers and attributes come back as they were."""
    features = read(written(tmp_path / "a.h5"))
    pd.testing.assert_frame_equal(features.index, INDEX)
    np.testing.assert_array_equal(features.matrix, ROWS)
    assert features.matrix.dtype == np.float16
    assert {key: features.attributes[key] for key in ("backbone", "batch")} == {"backbone": "a", "batch": 32}


def test_large_numbers_stay_in_float32(tmp_path):
    """A value beyond float16's range is kept where the file is float32."""
    rows = ROWS.astype(np.float32)
    rows[3, 3] = 1e6
    assert read(written(tmp_path / "a.h5", rows=rows, dtype="float32")).matrix[3, 3] == 1e6


def test_the_same_rows_give_the_same_bytes(tmp_path):
    """No time stamp and no order of creation is in the file."""
    assert written(tmp_path / "a.h5").read_bytes() == written(tmp_path / "b.h5").read_bytes()


def test_rows_lie_one_after_the_other(tmp_path):
    """A reader of a few rows reads little, and a file may have one row."""
    with h5py.File(written(tmp_path / "a.h5"), "r") as file:
        features = file["features"]
        at = features.id.get_offset()
        assert features.chunks is None
    row = np.fromfile(tmp_path / "a.h5", ROWS.dtype, ROWS.shape[1], offset=at + ROWS[:3].nbytes)
    np.testing.assert_array_equal(row, ROWS[3])
    assert len(read(written(tmp_path / "b.h5", INDEX[:1], ROWS[:1])).matrix) == 1


@pytest.mark.parametrize(
    ("index", "message"),
    [(INDEX[::-1], "must be sorted"), (pd.concat([INDEX[:1], INDEX]), "come twice: .*hflip")],
)
def test_an_index_out_of_order_or_with_doubles_is_refused(tmp_path, index, message):
    """Rows meet by id; nothing is written."""
    with pytest.raises(PodiumError, match=message):
        written(tmp_path / "a.h5", index)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_stops_leaves_no_file(tmp_path):
    """An error in the middle leaves neither a file nor a temporary one."""

    def rows():
        yield ROWS[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        written(tmp_path / "a.h5", rows=rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("cut", "it is damaged"),
        ("text", "no features file of schema 2"),
        ("schema", "its schema is 0"),
        ("short", "149 rows of features for 150 ids"),
        ("nan", "features are not finite for image_id"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, damage, reason):
    """Whatever is wrong, one line opens with the file."""
    path = written(tmp_path / "a.h5")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "text":
        path.write_text("no HDF5")
    else:
        with h5py.File(path, "r+") as file:
            if damage == "schema":
                file.attrs["schema"] = 0
            elif damage == "nan":
                file["features"][5, 1] = np.nan
            else:
                del file["features"]
                file["features"] = ROWS[:-1]
        sign(path)
    with pytest.raises(PodiumError, match=f"^{path}: {reason}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_no_flipped_byte_goes_unnoticed(tmp_path):
    """Not in numbers, ids, views, attributes, nor in what HDF5 keeps between them."""
    path = written(tmp_path / "a.h5")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for at in [*range(0, 600, 7), *rng.integers(0, len(content), 300)]:
        flipped = bytearray(content)
        flipped[at] ^= rng.integers(1, 256)
        path.write_bytes(flipped)
        with pytest.raises(PodiumError, match=r"a\.h5: (it is damaged|no features file)"):
            read(path)


def test_other_readers_of_hdf5_can_read_it(tmp_path):
    """The user block is HDF5's own place for such a thing."""
    with h5py.File(written(tmp_path / "a.h5"), "r") as file:
        assert file.userblock_size == 512
        np.testing.assert_array_equal(file["features"][:], ROWS)


def test_a_missing_file_tells_how_to_make_it(tmp_path):
    """One line, with the command."""
    with pytest.raises(PodiumError, match=r"a\.h5: there is no such features file; run `dvc repro`"):
        read(tmp_path / "a.h5")


def test_features_by_several_networks_are_cut_apart(tmp_path):
    """Side by side in the order of the attribute."""
    path, rows = tmp_path / "a.h5", np.arange(N * 6, dtype=np.float32).reshape(N, 6) / 8
    write(path, INDEX, iter(rows), n_columns=6, dtype="float32", attributes={"networks": "r0f0 r0f1 r0f2"})
    features = read(path)
    assert features.networks == ("r0f0", "r0f1", "r0f2")
    for place, name in enumerate(features.networks):
        np.testing.assert_array_equal(features.of_network(name).matrix, rows[:, 2 * place : 2 * place + 2])


@pytest.mark.parametrize("lines", [[0], [149], [15, 16, 31, 32, 100], [*range(0, 150, 7)], []])
def test_only_chosen_rows_are_read(tmp_path, monkeypatch, lines):
    """By blocks of the file, wherever they begin: each row with its id."""
    monkeypatch.setattr("podium.contracts.features._BLOCK", 16)
    found = read(written(tmp_path / "a.h5"), lambda index: np.isin(np.arange(len(index)), lines))
    np.testing.assert_array_equal(found.matrix, ROWS[lines])
    assert found.index["image_id"].tolist() == INDEX["image_id"].iloc[lines].tolist()
    assert found.matrix.dtype == np.float16
