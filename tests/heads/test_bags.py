"""Heads that look at each image of a row: what they find in bags of digits that the bag's mean does not show."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from podium import plugins
from podium.contracts.averages import mean_by_row
from podium.contracts.bags import Attention, Recurrent, packed, unpacked
from podium.contracts.steps import Chain, Linear, Relu, predict
from podium.heads import Training

pytestmark = pytest.mark.slow

N, N_TRAIN, D = 500, 350, 64
WIDTH = D + 1
X, DIGIT = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def test_rows_are_packed_and_unpacked():
    """Images follow each other; where a row has none left, there is nothing."""
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    rows = packed(x, np.array([0, 3, 4]), np.array([3, 1, 2]))
    assert rows[1].tolist() == [1, 6, 7, 0, 0, 0, 0, 0, 0]
    images, is_there = unpacked(rows, 3)
    assert images[is_there].tolist() == x.tolist()
    assert is_there.tolist() == [[True] * 3, [True, False, False], [True, True, False]]


def auc(name, options, x, y, width=WIDTH):
    """Return the AUC of a head's predictions for rows that it was not fitted on."""
    train = np.arange(N) < N_TRAIN
    weight, group = np.ones(N_TRAIN), np.arange(N_TRAIN)
    data = Training(x[train], y[train], "binary", 1, group, weight, seed=0, width=width)
    model = plugins.make("heads", name, options, "x").fit(data)
    return roc_auc_score(y[~train], predict(model, x[~train])[:, 0])


def test_attention_finds_the_one_image_that_counts():
    """Bags of six to twelve digits, of which one may be a nine."""
    rng = np.random.default_rng(0)
    count, has_nine = rng.integers(6, 13, N), rng.integers(0, 2, N)
    first = np.cumsum(count) - count
    drawn = rng.choice(np.flatnonzero(DIGIT != 9), count.sum())
    nines = rng.choice(np.flatnonzero(DIGIT == 9), N)
    place = first + rng.integers(count)
    drawn[place[has_nine == 1]] = nines[has_nine == 1]
    by_mean = auc("logistic", {"C": [0.01, 0.1, 1.0]}, mean_by_row(X[drawn], first, count), has_nine, None)
    found = auc("attention", {"epochs": 20, "learning_rate": 0.01}, packed(X[drawn], first, count), has_nine)
    assert by_mean < 0.85
    assert found > 0.95


def test_a_recurrent_head_knows_the_order():
    """Three digits, of which the first may be less than the last: their mean is the same in any order."""
    drawn = np.random.default_rng(0).choice(len(X), (N, 3))
    first, count = np.arange(N) * 3, np.full(N, 3)
    rises = (DIGIT[drawn[:, 0]] < DIGIT[drawn[:, 2]]).astype(int)
    images = X[drawn.reshape(-1)]
    by_mean = auc("logistic", {"C": [0.01, 0.1, 1.0]}, mean_by_row(images, first, count), rises, None)
    found = auc("gru", {"epochs": 25, "learning_rate": 0.01}, packed(images, first, count), rises)
    assert by_mean < 0.65
    assert found > 0.85


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("name", ["attention", "gru"])
def test_gradients_are_the_loss_s_slopes(name, task):
    """Of every weight, by small steps to either side, in float64; some rows have fewer images."""
    rng = np.random.default_rng(0)
    head = plugins.make(
        "heads", name, {"hidden": 4, "l2": 0.01, "attention" if name == "attention" else "units": 3}, "x"
    )
    k = 1 if task in ("binary", "regression") else 3
    pool, width = head.begin(rng)
    weights = pool | {"each": rng.normal(size=(5, 4)), "each_offset": rng.normal(size=4)}
    weights |= {"last": rng.normal(size=(width, k)), "last_offset": rng.normal(size=k)}
    is_there = np.arange(3) < np.array([3, 1, 2, 3, 2, 1])[:, None]
    x = rng.normal(size=(6, 3, 5)) * is_there[:, :, None]
    target = np.eye(3)[rng.integers(0, 3, 6)] if task == "multiclass" else rng.integers(0, 2, (6, k)).astype(float)
    parts = (x, is_there, target, rng.uniform(0.5, 2, 6))
    _, gradients = head.gradients(weights, parts, task)
    assert set(gradients) == set(weights)
    for key, array in weights.items():
        for place in np.ndindex(array.shape):
            losses = []
            for step in (1e-5, -1e-5):
                moved = array.copy()
                moved[place] += step
                losses.append(head.gradients(weights | {key: moved}, parts, task)[0])
            assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(gradients[key][place], rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", ["attention", "gru"])
def test_what_trains_is_what_predicts(name):
    """The vector of each row while it trains is the saved model's."""
    rng = np.random.default_rng(0)
    head = plugins.make("heads", name, {"hidden": 6}, "x")
    rows, _ = rows_of(rng, [3, 1, 5], 4)
    weights, _ = head.begin(rng)
    each = steps_of(rng, 4, 6)
    images, is_there = unpacked(rows, 5)
    hidden = each.predict(images.reshape(-1, 4)).reshape(3, 5, 6)
    np.testing.assert_allclose(head.step(weights, 5, each).predict(rows), head.pool(weights, hidden, is_there)[0])


def rows_of(rng, count, d):
    """Return packed rows of random images, and the images of each."""
    images = rng.normal(size=(sum(count), d))
    first = np.cumsum(count) - count
    return packed(images, first, np.array(count)), [images[f : f + c] for f, c in zip(first, count, strict=True)]


def steps_of(rng, d, h):
    return Chain((Linear(rng.normal(size=(d, h)), rng.normal(size=h)), Relu()))


@pytest.mark.keras
def test_the_recurrent_unit_is_keras_s():
    """Row by row, in float32, whatever follows a row's images."""
    import keras

    rng = np.random.default_rng(0)
    rows, images = rows_of(rng, [3, 1, 5], 4)
    each = steps_of(rng, 4, 6)
    layer = keras.layers.GRU(7, reset_after=True)
    expected = []
    for own in images:
        inputs = each.predict(own)[None].astype(np.float32)
        if not layer.built:
            layer.build(inputs.shape)
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
        expected.append(np.asarray(layer(inputs))[0])
    found = Recurrent(5, each, *layer.get_weights()).predict(rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_attention_weighs_a_row_s_own_images():
    """By the formula, an image at a time; a lone image is itself, and padding has no say."""
    rng = np.random.default_rng(1)
    rows, images = rows_of(rng, [3, 1, 5], 4)
    each, tanh, gate, score = steps_of(rng, 4, 6), *rng.normal(size=(2, 7, 3)), rng.normal(size=3)
    expected = []
    for own in images:
        hidden = each.predict(own)
        gated = np.tanh(hidden @ tanh[:6] + tanh[6]) / (1 + np.exp(-(hidden @ gate[:6] + gate[6])))
        powers = np.exp(gated @ score)
        expected.append(powers @ hidden / powers.sum())
    model = Attention(5, each, tanh, gate, score)
    np.testing.assert_allclose(model.predict(rows), expected)
    longer = np.hstack([rows, np.zeros((3, 10))])
    np.testing.assert_allclose(model.predict(longer), expected)
    assert np.isfinite(model.predict(np.zeros((2, 10)))).all()
