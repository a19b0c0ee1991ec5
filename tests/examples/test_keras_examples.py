"""Examples that run on Keras, or are held against it."""

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def test_gradients_are_those_of_keras(example):
    """Of a logistic regression's loss, through TensorFlow."""
    import keras
    import tensorflow as tf

    autograd = example("autograd")
    rng = np.random.default_rng(0)
    x, y, start = rng.normal(size=(20, 4)), rng.integers(2, size=20).astype(float), rng.normal(size=(4, 1))
    weights, offset = autograd.Tensor(start), autograd.Tensor(np.array([0.3]))
    loss = autograd.log_loss(x, y, weights, offset)
    loss.backward()
    theirs = [tf.Variable(start), tf.Variable(np.array([0.3]))]
    with tf.GradientTape() as tape:
        logits = tf.convert_to_tensor(x) @ theirs[0] + theirs[1]
        expected = tf.reduce_mean(keras.ops.binary_crossentropy(y[:, None], logits, from_logits=True))
    assert float(loss.value) == pytest.approx(float(expected), abs=1e-9)
    for own, gradient in zip((weights, offset), tape.gradient(expected, theirs), strict=True):
        np.testing.assert_allclose(own.gradient, gradient, atol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam"])
def test_optimisers_are_those_of_keras(example, name):
    """Ten steps down the same surface, at the same rates, to Keras's float32."""
    import keras

    race = example("optimizers")
    theirs = {
        "SGD": lambda: keras.optimizers.SGD(0.003),
        "momentum": lambda: keras.optimizers.SGD(0.003, momentum=0.9),
        "Nesterov": lambda: keras.optimizers.SGD(0.003, momentum=0.9, nesterov=True),
        "AdaGrad": lambda: keras.optimizers.Adagrad(0.5),
        "RMSProp": lambda: keras.optimizers.RMSprop(0.02),
        "Adam": lambda: keras.optimizers.Adam(0.1),
    }[name]()
    place = keras.Variable(race.START, dtype="float32")
    for _ in range(10):
        theirs.apply([keras.ops.convert_to_tensor(race.gradient(np.asarray(place)), "float32")], [place])
    np.testing.assert_allclose(race.race(10)[name][10], np.asarray(place), rtol=1e-4)


def test_a_style_lowers_its_loss_and_keeps_the_content(example, tmp_path, shape_of):
    """In a few steps at 64 px; content and style side by side with the result."""
    transfer = example("style_transfer")
    assert transfer.main(tmp_path / "style.png", px=64, steps=8) < 0.9
    assert shape_of(tmp_path / "style.png") == (64, 192, 3)


def test_gram_matrices_are_those_of_numpy(example):
    """Mean products of channels."""
    maps = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype(np.float32)
    flat = maps.reshape(20, 3)
    np.testing.assert_allclose(example("style_transfer").gram(maps), flat.T @ flat / 20, rtol=1e-5)


def test_an_epoch_has_every_picture_once(example, tmp_path, shape_of):
    """In batches, the last of which is shorter; the same seed makes the same ones, another epoch others."""
    generator = example("augmented_batches")
    images, names = generator.pictures(32)
    labels = np.eye(len(images), dtype=np.float32)

    def epoch(number, augment=generator.AUGMENT):
        made = list(generator.batches(images, labels, 2, augment, seed=7, epoch=number))
        return [len(batch) for batch, _ in made], *(np.concatenate(part) for part in zip(*made, strict=True))

    sizes, changed, targets = epoch(0)
    assert sizes == [2, 2, 1]
    assert sorted(targets.argmax(axis=1)) == list(range(len(names)))
    assert (epoch(0)[1] == changed).all()
    assert (epoch(1)[1] != changed).any()
    none = generator.Augmentation.model_validate([])
    _, same, own = epoch(0, none)
    assert (same == images[own.argmax(axis=1)]).all()
    assert generator.main(tmp_path / "sheet.png", epochs=2, px=32) == [2, 2, 1]
    assert shape_of(tmp_path / "sheet.png") == (24 + 5 * 164, 3 * 164, 3)
