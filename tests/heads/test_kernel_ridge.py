"""Kernel ridge regression against scikit-learn's, and its closed form against models that did without the rows."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from podium.contracts.steps import similarities
from podium.errors import PodiumError
from podium.heads import Training
from podium.heads.kernel_ridge import Head, _errors

N, D = 60, 5


def test_values_are_scikit_learns():
    """With weights, which divide the penalty; the 1 in the kernel is the offset."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(N, D)) * [1, 10, 0.1, 1, 1] + 3).astype(np.float32)
    y, weight = x[:, 0] ** 2 + 5, rng.uniform(0.5, 2, N)
    data = Training(x, y, "regression", 1, np.arange(N), weight, seed=0)
    scaled = StandardScaler().fit_transform(x)
    kernel = 1 + rbf_kernel(scaled, gamma=0.7 / D)
    model = KernelRidge(alpha=0.2, kernel="precomputed").fit(kernel, (y - y.mean()) / y.std(), weight / weight.mean())
    expected = model.predict(kernel) * y.std() + y.mean()
    np.testing.assert_allclose(Head(alpha=0.2, gamma=0.7).fit(data).predict(x)[:, 0], expected, rtol=1e-4)


def test_too_many_rows_are_refused_before_memory_is():
    """Its matrix grows with their square."""
    data = Training(
        np.zeros((20_001, 1), np.float32), np.zeros(20_001), "regression", 1, *[np.arange(20_001)] * 2, seed=0
    )
    with pytest.raises(PodiumError, match=r"kernel_ridge: 20,001 training rows, and 20,000 at most; `views: mean`"):
        Head().fit(data)


@pytest.mark.parametrize("n_groups", [N, 13])
def test_errors_are_those_of_models_without_the_group(n_groups):
    """One inverse gives what a model for each group gives, fitted on the other groups."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(N, D)), rng.normal(size=(N, 2))
    group = rng.permutation(np.arange(N) % n_groups)
    kernel = similarities(x, x, 0.1, 1.0)
    inverse = np.linalg.inv(kernel + 0.3 * np.eye(N))
    found = _errors(inverse, inverse @ y, group)
    for one in range(n_groups):
        held = group == one
        model = KernelRidge(alpha=0.3, kernel="precomputed").fit(kernel[np.ix_(~held, ~held)], y[~held])
        np.testing.assert_allclose(found[held], y[held] - model.predict(kernel[np.ix_(held, ~held)]), atol=1e-8)
