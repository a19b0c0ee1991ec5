"""Every mean on the way from features to a row's prediction, against a loop."""

import numpy as np

from podium.contracts import averages
from podium.contracts.steps import Affine, Chain, Relu


def test_only_rows_within_half_precision_are_halved():
    """65504 is the largest float16; one number beyond keeps its whole row as float32."""
    x = np.array([[65504, -1 / 3], [65505, 1 / 3], [-70000, 0.1], [0.1, np.inf]])
    np.testing.assert_array_equal(averages.fits_half(x), [True, False, False, False])
    kept = averages.as_kept(x)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept[0], np.float32(np.float16(x[0])))
    np.testing.assert_array_equal(kept[1:], np.float32(x[1:]))
    assert x[0, 1] == -1 / 3


def test_the_mean_of_a_row_is_that_of_its_pictures():
    """Two pictures, one and three; rows of one picture each stay to the bit."""
    x = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)
    found = averages.mean_by_row(x, np.array([0, 2, 3]), np.array([2, 1, 3]))
    np.testing.assert_allclose(found, [x[0:2].mean(axis=0), x[2], x[3:6].mean(axis=0)], rtol=1e-6)
    assert found.dtype == np.float32
    assert averages.mean_by_row(x, np.arange(6), np.ones(6, int)) is x


def test_views_are_averaged_before_or_after_a_head():
    """Of features, one view is left; of predictions, `(n, k)`."""
    x = np.random.default_rng(0).normal(size=(5, 3, 2))
    np.testing.assert_allclose(averages.mean_view(x), x.mean(axis=1)[:, None])
    head = Chain((Affine(2.0, -0.5), Relu()))
    expected = [np.mean([np.maximum(2 * view - 0.5, 0) for view in row], axis=0) for row in x]
    found = averages.predict_views(head, x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float64


def test_each_row_is_averaged_over_the_models_that_predict_it():
    """By position; a row that none predicts is said."""
    parts = [(np.array([2, 0]), np.array([[1.0], [2.0]])), (np.array([0]), np.array([[4.0]])), (slice(0, 1), [[6.0]])]
    parts = [(rows, np.asarray(p)) for rows, p in parts]
    mean, has_any = averages.mean_over_models(4, parts)
    np.testing.assert_array_equal(mean, [[4], [0], [1], [0]])
    np.testing.assert_array_equal(has_any, [True, False, True, False])
