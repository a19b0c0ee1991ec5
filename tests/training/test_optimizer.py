"""AdamW with a rate for each weight, against Keras's own and against steps by hand."""

import numpy as np
import pytest

from podium.training.optimizer import adamw, schedule

pytestmark = pytest.mark.keras


def stepped(optimizer, gradients):
    """Return a kernel and a bias after these steps."""
    import keras

    weights = [keras.Variable(np.ones((2, 2), np.float32)), keras.Variable(np.ones(2, np.float32))]
    optimizer.build(weights)
    for gradient in gradients:
        optimizer.apply([keras.ops.full((2, 2), gradient), keras.ops.full((2,), gradient)])
    return [keras.ops.convert_to_numpy(weight) for weight in weights]


def test_with_equal_rates_it_is_keras_own():
    """Ten steps, kernels decaying and biases not."""
    import keras

    theirs = keras.optimizers.AdamW(0.1, weight_decay=0.3)
    theirs.exclude_from_weight_decay(var_list=[])
    gradients = np.random.default_rng(0).normal(size=10).astype(np.float32)
    kernel, bias = stepped(adamw([1.0, 1.0], 0.3, learning_rate=0.1), gradients)
    assert kernel == pytest.approx(stepped(theirs, gradients)[0], rel=1e-5)
    assert bias == pytest.approx(stepped(keras.optimizers.Adam(0.1), gradients)[1], rel=1e-5)


def test_each_weight_moves_by_its_own_rate():
    """Adam's first step is the learning rate, whatever the gradient's size."""
    kernel, bias = stepped(adamw([0.25, 1.0], 0.0, learning_rate=0.1), [7.0])
    assert kernel == pytest.approx(np.full((2, 2), 1 - 0.025), rel=1e-5)
    assert bias == pytest.approx(np.full(2, 1 - 0.1), rel=1e-5)


def test_accumulated_gradients_step_once():
    """Two halves of a batch are one step with their mean; the rate counts both."""
    one = stepped(adamw([1.0, 1.0], 0.0, learning_rate=0.1, gradient_accumulation_steps=2), [3.0, 5.0])
    whole = stepped(adamw([1.0, 1.0], 0.0, learning_rate=0.1), [4.0])
    assert one[0] == pytest.approx(whole[0], rel=1e-6)


def test_the_rate_rises_and_then_falls_to_nothing():
    """A tenth of the steps up, a half cosine down."""
    rate = schedule("cosine", 0.5, n_steps=100, warmup_fraction=0.1)
    assert [float(rate(step)) for step in (0, 5, 10, 55, 100)] == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-6)


def test_a_constant_rate_may_rise_too():
    """Or be a number."""
    rate = schedule("constant", 0.5, n_steps=100, warmup_fraction=0.1)
    assert [float(rate(step)) for step in (5, 10, 99)] == pytest.approx([0.25, 0.5, 0.5])
    assert schedule("constant", 0.5, n_steps=100, warmup_fraction=0.0) == 0.5
