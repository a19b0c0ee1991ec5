"""The Keras head: the founding one, and a deeper one."""

import numpy as np
import pytest

from podium.heads import Training
from podium.heads.mlp import Head

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def data():
    """Classes that only their sum's sign tells."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 6)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    return Training(x, y, "binary", 1, np.arange(256), np.ones(256), seed=1)


def model_of(head, data):
    """Return the Keras model that a head would train."""
    import keras

    return head._model(keras, data)


def test_the_default_is_the_founding_head(data):
    """Dropout 0.5, then one dense sigmoid; adadelta at rate 1, batches of 128, 8 epochs."""
    head = Head()
    model = model_of(head, data)
    assert [type(layer).__name__ for layer in model.layers] == ["Dropout", "Dense"]
    assert model.layers[0].rate == 0.5
    assert type(model.optimizer).__name__ == "Adadelta"
    assert float(model.optimizer.learning_rate) == 1.0
    assert (head.batch, head.epochs) == (128, 8)


def test_hidden_layers_learn_what_no_line_separates(data):
    """A product of two features, which the founding head cannot learn; dropout is off in prediction."""
    head = Head(hidden=(32,), batch_norm=True, dropout=0.1, optimizer="adam", learning_rate=0.02, epochs=40)
    model = head.fit(data)
    p = model.predict(data.x)
    assert ((p[:, 0] > 0.5) == data.y).mean() > 0.9
    np.testing.assert_array_equal(p, model.predict(data.x))


def test_patience_keeps_the_best_epoch(data):
    """Noise cannot be learnt: with patience the network stays near the prior, without it learns by heart."""
    rng = np.random.default_rng(2)
    noise = Training(data.x, rng.integers(0, 2, 256), "binary", 1, data.group, data.weight, seed=1)
    many = {"hidden": (64,), "dropout": 0.0, "optimizer": "adam", "learning_rate": 0.02, "epochs": 40}
    stopped, by_heart = (Head(**many, patience=patience).fit(noise).predict(noise.x).std() for patience in (2, None))
    assert stopped < 0.5 * by_heart


@pytest.mark.parametrize(("task", "k", "last"), [("multiclass", 3, "softmax"), ("regression", 1, "linear")])
def test_the_last_layer_is_the_tasks(data, task, k, last):
    """Softmax for classes, the value itself for regression."""
    layer = model_of(Head(), Training(data.x, data.y, task, k, data.group, data.weight, 0)).layers[-1]
    assert (layer.units, layer.activation.__name__) == (k, last)


@pytest.mark.parametrize(("task", "k"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_predictions_are_those_of_the_keras_model(data, task, k, monkeypatch):
    """The NumPy model of dense layers and batch norm gives what Keras gives, dropout off."""
    models = []
    make = Head._model
    monkeypatch.setattr(Head, "_model", lambda *args: models.append(make(*args)) or models[-1])
    y = np.arange(256) % 3 if task == "multiclass" else data.y
    rows = Training(data.x, y, task, k, data.group, data.weight, seed=1)
    found = Head(hidden=(16, 8), batch_norm=True, optimizer="adam", learning_rate=0.01).fit(rows).predict(data.x)
    scaled = (data.x - data.x.mean(axis=0)) / data.x.std(axis=0)
    expected = np.asarray(models[0](scaled, training=False))
    if task == "regression":
        expected = expected * y.std() + y.mean()
    np.testing.assert_allclose(found, expected, atol=1e-5)
