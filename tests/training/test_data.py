"""The order of images in an epoch, and what a batch holds."""

from dataclasses import replace

import numpy as np

from podium.training import Finetune
from podium.training.data import batches, order


def spec(**settings):
    return Finetune(**{"network": "mlp", "batch": 6} | settings)


def test_an_epoch_holds_each_image_once_and_every_epoch_is_shuffled_anew(toy):
    """36 of 40 images fill six batches; which ones, and in which order, differs by epoch and by seed alone."""
    first = order(toy.train_set, spec(), seed=1, epoch=0)
    assert first.shape == (6, 6)
    assert len(np.unique(first)) == 36
    assert (first == order(toy.train_set, spec(), seed=1, epoch=0)).all()
    assert (first != order(toy.train_set, spec(), seed=1, epoch=1)).any()
    assert (first != order(toy.train_set, spec(), seed=2, epoch=0)).any()


def test_sorted_rows_do_not_make_batches_of_one_class(toy):
    """The toy's rows come class by class."""
    chosen = order(toy.train_set, spec(batch=20), seed=1, epoch=0)
    assert (np.abs(toy.y[chosen].mean(axis=1) - 0.5) < 0.3).all()


def test_balanced_sampling_draws_a_rare_class_as_often(toy):
    """Four of forty rows are of class 1; over twenty epochs half of what is drawn is."""
    rare = replace(toy.train_set, stratum=(np.arange(40) < 4).astype(int))
    drawn = [order(rare, spec(sampling="balanced"), 1, epoch) for epoch in range(20)]
    assert abs(rare.stratum[np.concatenate(drawn)].mean() - 0.5) < 0.06  # 3 standard errors


def test_a_batch_is_rgb_with_its_own_targets_and_weights(toy):
    """Red images are class 0: their first channel is the strongest. Rows meet their pixels by place."""
    turned = replace(toy.train_set, place=toy.train_set.place[::-1].copy(), target=toy.train_set.target[::-1].copy())
    turned = replace(turned, weight=np.linspace(0, 1, 40, dtype=np.float32))
    for images, targets, weights in batches(turned, toy.pixels, spec(), seed=1, epoch=0):
        mean = np.asarray(images).mean(axis=(1, 2))
        assert ((mean[:, 0] < mean[:, 2]) == (np.asarray(targets)[:, 0] == 1)).all()
        assert np.asarray(weights).shape == (6,)
    assert np.asarray(images).dtype == np.float32


def test_batches_can_be_made_again(toy):
    """A resumed run sees the same augmentation: every batch has a seed of its own."""
    settings = spec(augment=["hflip", {"shift": 0.2}, {"mixup": 0.4}])
    once, again = (list(batches(toy.train_set, toy.pixels, settings, 1, 4)) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        for part, same in zip(one, other, strict=True):
            assert np.asarray(part).tobytes() == np.asarray(same).tobytes()
