"""Places and neighbours by features, against scikit-learn's exact algorithms."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from podium.analysis.report import feature_map
from podium.analysis.report.feature_map import ImageFeatures
from podium.contracts import features

N, D = 90, 6


@pytest.fixture
def found():
    """Features of two images a row, of columns whose units differ by far; one column never changes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)) * [1, 2, 1000, 1, 1, 0]
    ids = [f"i{k:02d}" for k in range(N)]
    images = pd.DataFrame({"image_id": ids, "source": [f"{i}.png" for i in ids], "position": np.arange(N) // 2})
    return ImageFeatures("trunk", images, x.astype(np.float32))


@pytest.mark.parametrize("block", [4096, 7])
def test_neighbours_are_the_nearest_of_other_folds(found, monkeypatch, block):
    """By the cosine of standardized features, as scikit-learn finds them by brute force; blocks change nothing."""
    monkeypatch.setattr(feature_map, "_BLOCK", block)
    fold = np.arange(N // 2) % 5
    asked = [0, 33, 89]
    lists = feature_map.nearest(found, fold, asked)
    x = StandardScaler().fit_transform(found.matrix)
    own = fold[found.images["position"]]
    for at, near in zip(asked, lists, strict=True):
        others = np.flatnonzero(own != own[at])
        search = NearestNeighbors(n_neighbors=4, metric="cosine", algorithm="brute").fit(x[others])
        distances, places = search.kneighbors(x[[at]])
        assert [one.image_id for one in near] == list(found.images["image_id"].iloc[others[places[0]]])
        assert [one.similarity for one in near] == pytest.approx(1 - distances[0], abs=1e-4)
        assert [one.position for one in near] == list(others[places[0]] // 2)


def test_of_few_images_there_are_few_neighbours(found):
    """Where all others are of the same fold, there are none."""
    fold = np.zeros(N // 2, int)
    fold[3] = 1
    near, none = feature_map.nearest(found, fold, [0, 1])[0], feature_map.nearest(found, fold * 0, [0])[0]
    assert {one.image_id for one in near} == {"i06", "i07"}
    assert none == []


def test_the_map_is_that_of_the_principal_components(found):
    """Of standardized columns: a column of large numbers does not decide alone. It fills the map."""
    places = feature_map.coordinates(found.matrix)
    expected = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(found.matrix))
    for axis in range(2):
        assert abs(np.corrcoef(places[:, axis], expected[:, axis])[0, 1]) == pytest.approx(1, abs=1e-4)
    assert places.dtype.kind == "i"
    assert (places.min(axis=0), places.max(axis=0)) == (pytest.approx([0, 0]), pytest.approx([1000, 1000]))


def test_many_images_are_sampled():
    """Evenly, at most 5,000; those of the gallery are always there."""
    assert feature_map.sample(7, [3]).tolist() == list(range(7))
    some = feature_map.sample(60_000, [1, 17, 59_998])
    assert {0, 1, 17, 59_998, 59_999} <= set(some)
    assert 5_000 <= len(some) <= 5_003
    assert np.diff(some).max() <= 13


def test_the_eight_largest_groups_have_a_colour_of_their_own():
    """In the order of the groups, whatever their sizes; the others share one."""
    sizes = np.array([5, 1, 9, 9, 9, 9, 2, 9, 9, 9])
    assert feature_map.colours(sizes) == [0, 8, 1, 2, 3, 4, 8, 5, 6, 7]
    assert feature_map.colours(np.array([1, 3])) == [0, 1]


def write_features(path, ids, views, **attributes):
    index = pd.DataFrame([(i, view) for i in ids for view in sorted(views)], columns=["image_id", "view"])
    rows = (np.array([float(k), 1, 2], np.float32) for k in range(len(index)))
    features.write(path, index, rows, n_columns=3, dtype="float16", attributes=attributes)


def test_features_are_read_in_the_usual_view(tmp_path):
    """Of the images of the scored rows alone, in the order of their ids, with the place of their row."""
    path = tmp_path / "trunk.h5"
    write_features(path, ["a", "b", "c"], ["hflip", "identity"])
    images = pd.DataFrame({"image_id": ["c", "a", "b"], "row_id": ["r1", "r2", "test"], "source": ["c", "a", "b"]})
    found = feature_map.read(path, images, np.array(["r1", "r2"], object))
    assert found.backbone == "trunk"
    assert found.images[["image_id", "position"]].to_numpy().tolist() == [["a", 1], ["c", 0]]
    assert found.matrix[:, 0].tolist() == [1, 5]  # the second line of each: identity


def test_features_of_other_images_or_of_fold_networks_are_none(tmp_path):
    """What lacks an image, and what has a space for each fold, gives no map."""
    images = pd.DataFrame({"image_id": ["a", "x"], "row_id": ["r1", "r2"], "source": ["a", "x"]})
    write_features(tmp_path / "other.h5", ["a", "b"], ["identity"])
    assert feature_map.read(tmp_path / "other.h5", images, np.array(["r1", "r2"], object)) is None
    write_features(tmp_path / "folds.h5", ["a", "x"], ["identity"], networks="r0f0 r0f1 r0f2")
    assert feature_map.read(tmp_path / "folds.h5", images, np.array(["r1", "r2"], object)) is None
