"""Each step against SciPy, scikit-learn or a loop: what a fitted model predicts, number by number."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.decomposition import PCA
from sklearn.gaussian_process.kernels import RBF
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from podium.contracts import steps

NAN = np.nan


def x_of(n=7, d=4, seed=0):
    return np.random.default_rng(seed).normal(2, 3, (n, d))


class Double(steps.Fitted):
    """Twice what it gets; notes the shapes."""

    def __init__(self):
        self.shapes = []

    def predict(self, x):
        self.shapes.append(x.shape)
        return 2 * x


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 600])
def test_rows_are_predicted_in_blocks_of_one_shape(n):
    """Every row once and in its place, as float32; what fills up the last block is cut off."""
    model, x = Double(), x_of(n, 3)
    found = steps.predict(model, x)
    np.testing.assert_array_equal(found, (2 * x).astype(np.float32))
    assert found.dtype == np.float32
    assert model.shapes == [(256, 3)] * max(1, -(-n // 256))
    np.testing.assert_array_equal(steps.predict(model, x, 32), found)
    assert model.shapes[-1] == (32, 3)


def test_linear_steps():
    """Standardised, projected, mapped and shifted as scikit-learn and NumPy do; the input stays as it is."""
    x = x_of()
    before = x.copy()
    scaler = StandardScaler().fit(x)
    standardize = steps.Standardize(scaler.mean_, 1 / scaler.scale_)
    np.testing.assert_allclose(standardize.predict(x), scaler.transform(x))
    pca = PCA(2).fit(x)
    project = steps.Chain((steps.Standardize(pca.mean_, np.ones(4)), steps.Project(pca.components_.T)))
    np.testing.assert_allclose(project.predict(x), pca.transform(x))
    weights, offsets = np.arange(8.0).reshape(4, 2), np.array([3.0, -5.0])
    expected = [[sum(row[i] * weights[i, j] for i in range(4)) + offsets[j] for j in range(2)] for row in x]
    np.testing.assert_allclose(steps.Linear(weights, offsets).predict(x), expected)
    np.testing.assert_allclose(steps.Affine(2.5, -1.0).predict(x), [[2.5 * v - 1 for v in row] for row in x])
    np.testing.assert_array_equal(x, before)


def test_activations():
    """Far logits too, without overflow."""
    x = np.array([[-1e4, -3.0, 0.0], [0.2, 5.0, 1e4], [-0.5, -0.25, -0.1]])
    np.testing.assert_allclose(steps.Sigmoid().predict(x), expit(x), atol=1e-15)
    np.testing.assert_allclose(steps.Softmax().predict(x), softmax(x, axis=1), atol=1e-15)
    np.testing.assert_array_equal(steps.Relu().predict(x), [[0, 0, 0], [0.2, 5, 1e4], [0, 0, 0]])
    np.testing.assert_array_equal(steps.Clip().predict(x), [[0, 0, 0], [0.2, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("is_exclusive", [False, True])
def test_platts_map(is_exclusive):
    """A slope and an offset for each column; of exclusive classes the shares."""
    x, slopes = x_of(5, 3), np.array([[1.0, 0.5], [0.3, -2.0], [2.0, 0.0]])
    expected = np.array(
        [[expit(v * slope + offset) for v, (slope, offset) in zip(row, slopes, strict=True)] for row in x]
    )
    if is_exclusive:
        expected = np.array([row / sum(row) for row in expected])
    np.testing.assert_allclose(steps.Platt(slopes, is_exclusive).predict(x), expected)


def test_columns_constants_and_means():
    """Side by side, filled in, averaged."""
    x = x_of(3, 2)
    constant = steps.Constant(np.array([0.25, 0.75]))
    np.testing.assert_array_equal(constant.predict(x), [[0.25, 0.75]] * 3)
    beside = steps.Columns((steps.Affine(2.0, 0.0), constant))
    np.testing.assert_array_equal(beside.predict(x), [[2 * a, 2 * b, 0.25, 0.75] for a, b in x])
    fill = steps.Fill(np.array([9, 0, 7, 0], np.float32), np.array([False, True, False, True]))
    np.testing.assert_array_equal(fill.predict(x), [[9, a, 7, b] for a, b in x])
    mean = steps.Mean((steps.Affine(1.0, 1.0), steps.Affine(4.0, 0.0)))
    np.testing.assert_allclose(mean.predict(x), [[(a + 1 + 4 * a) / 2, (b + 1 + 4 * b) / 2] for a, b in x])


def test_a_piecewise_linear_map():
    """Between points along the line, beyond the ends the ends' values."""
    step = steps.Interpolate(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.2, 0.8]))
    found = step.predict(np.array([[-1.0, 0.25], [0.75, 2.0]]))
    np.testing.assert_allclose(found, np.float32([[0.0, 0.1], [0.5, 0.8]]))
    assert found.dtype == np.float32


def rows_of(source, index):
    return steps.Rows(source, np.array(index), steps.Affine(2.0, 1.0))


def test_kernels_are_scikit_learns():
    """Sums of Gaussians on transformed training rows, with offset and intercept; far and equal rows as well."""
    x, source = x_of(6, 3), x_of(9, 3, seed=1).astype(np.float32)
    rows = rows_of(source, [4, 0, 7])
    train = 2 * source[[4, 0, 7]].astype(np.float64) + 1
    np.testing.assert_allclose(rows.values, train)
    dual, intercept = np.arange(6.0).reshape(3, 2) - 2, np.array([0.5, -1.5])
    expected = (0.7 + rbf_kernel(x, train, gamma=0.05)) @ dual + intercept
    np.testing.assert_allclose(steps.Kernel(rows, 0.05, dual, 0.7, intercept).predict(x), expected)
    np.testing.assert_allclose(steps.similarities(x, x, 0.02), RBF(5.0)(x), atol=1e-12)
    np.testing.assert_array_equal(np.diag(steps.similarities(1e3 * x, 1e3 * x, 1.0)).max(), 1.0)


def test_votes_are_scikit_learns():
    """Of four classes; a decision of exactly 0 votes for the first."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.integers(0, 4, 80)
    svm = SVC(decision_function_shape="ovo").fit(x, y)
    pairs = svm.decision_function(x)
    svm.decision_function_shape = "ovr"
    np.testing.assert_allclose(steps.Votes(4).predict(pairs), svm.decision_function(x))
    tie = np.zeros((1, 3))
    np.testing.assert_allclose(steps.Votes(3).predict(tie), [[2, 1, 0]])


def test_neighbours_are_a_loop_over_the_nearest():
    """By cosine, weighted by closeness and by the rows' own weight, with a prior."""
    x, source = x_of(40, 3), x_of(500, 3, seed=1)
    rows = rows_of(source, range(500))
    rng = np.random.default_rng(2)
    targets, weight, mean = rng.random((500, 2)), rng.uniform(0.5, 2, 500), np.array([0.3, 0.6])
    model = steps.Neighbours(rows, targets, mean, weight, n_near=64, temperature=0.2, prior=1.5)
    distance, near = NearestNeighbors(n_neighbors=64, metric="cosine").fit(2 * source + 1).kneighbors(x)
    expected = []
    for row_distance, row_near in zip(distance, near, strict=True):
        w = np.exp((row_distance[0] - row_distance) / 0.2) * weight[row_near]
        expected.append((w @ targets[row_near] + 1.5 * mean) / (w.sum() + 1.5))
    np.testing.assert_allclose(model.predict(x), expected)


def test_unit_rows():
    """Length 1, and zeros stay zeros."""
    np.testing.assert_allclose(steps.unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])


def test_missing_numbers():
    """Filled; flagged on request."""
    x = np.array([[1.0], [NAN], [3.0]])
    np.testing.assert_array_equal(steps.Impute(2.5, False).predict(x), [[1], [2.5], [3]])
    np.testing.assert_array_equal(steps.Impute(2.5, True).predict(x), [[1, 0], [2.5, 1], [3, 0]])


def test_dates_are_circles():
    """After a quarter of a period the sine is 1; a missing day is the fill."""
    x = np.array([[0.0], [7.0], [1.75], [NAN]])
    found = steps.DateParts(3.5, np.array([7.0, 365.0])).predict(x)
    days = np.array([0, 7, 1.75, 3.5])
    expected = [days, np.sin(days * 2 * np.pi / 7), np.sin(days * 2 * np.pi / 365)]
    expected += [np.cos(days * 2 * np.pi / 7), np.cos(days * 2 * np.pi / 365)]
    np.testing.assert_allclose(found, np.array(expected).T, atol=1e-12)
    assert found[2, 1] == pytest.approx(1)


def test_categories():
    """As scikit-learn codes them; what training did not show is no category, and missing is one where it was seen."""
    codes, x = np.array([0.0, 2.0, 5.0]), np.array([[2.0], [5.0], [1.0], [0.0], [NAN]])
    encoder = OneHotEncoder(categories=[codes], handle_unknown="ignore", sparse_output=False).fit(codes[:, None])
    np.testing.assert_array_equal(steps.OneHot(codes).predict(x[:4]), encoder.transform(x[:4]))
    np.testing.assert_array_equal(steps.OneHot(codes).predict(x)[4], [0, 0, 0])
    np.testing.assert_array_equal(steps.OneHot(np.array([2.0, NAN])).predict(x)[:, 1], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(steps.Ordinal(codes).predict(x), [[1], [2], [-1], [0], [-1]])
    means, prior = np.array([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2]]), np.array([0.5, 0.5])
    found = steps.CategoryMeans(codes, means, prior).predict(x)
    np.testing.assert_allclose(found, [means[1], means[2], prior, means[0], prior])


def test_metadata_goes_through_a_step_a_column():
    """Behind the features, which stay as they are."""
    x = np.array([[0.1, 0.2, 5.0, NAN], [0.3, 0.4, 2.0, 1.0]], np.float32)
    found = steps.EncodeMetadata(2, (steps.OneHot(np.array([2.0, 5.0])), steps.Impute(7.0, True))).predict(x)
    np.testing.assert_allclose(found, [[0.1, 0.2, 0, 1, 7, 1], [0.3, 0.4, 1, 0, 1, 0]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["regression", "multiclass"])
def test_trees_are_lightgbms(objective):
    """From its text."""
    lightgbm = pytest.importorskip("lightgbm")
    x, y = x_of(60, 3), np.arange(60) % 3
    settings = {"objective": objective, "num_class": 3 if objective == "multiclass" else 1, "verbose": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=3)
    found = steps.Trees(booster.model_to_string()).predict(x)
    np.testing.assert_allclose(found, booster.predict(x).reshape(60, -1))
