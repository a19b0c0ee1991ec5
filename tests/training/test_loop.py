"""Training on images that can be told apart at once: that it learns, what it leaves, and what stops it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from podium.errors import PodiumError
from podium.storage import checkpoints
from podium.training import loop
from podium.training.loop import final, train

pytestmark = pytest.mark.keras

KILLED = Path(__file__).with_name("killed.py")


def right(model, toy):
    """Return the share of the toy's images that a binary model is right about."""
    kernel, bias = model.output.final().values()
    return (((model.features(toy.pixels) @ kernel + bias)[:, 0] > 0) == (toy.y == 1)).mean()


def test_a_separable_set_is_learnt(trained, toy):
    """The loss falls and every image is told right, with every optional part of training switched on."""
    model, steps = trained(
        epochs=15,
        ema=0.8,
        label_smoothing=0.05,
        accumulate=2,
        clip_norm=1.0,
        sampling="balanced",
        augment=["hflip", {"shift": 0.1}],
    )
    assert steps[-1].loss < 0.5 * steps[4].loss
    assert right(model, toy) == 1.0
    assert steps[-1].n_images == steps[-1].n_total == 15 * 40


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_every_kind_of_task_is_learnt(trained, toy, task):
    """Targets as the task's loss takes them; values in units of their deviation."""
    y = toy.y.astype(np.float32)
    target = {
        "multiclass": np.eye(2)[toy.y],
        "multilabel": np.column_stack([y, 1 - y]),
        "regression": 2 * y[:, None] - 1,
    }
    train_set = replace(toy.train_set, target=target[task].astype(np.float32))
    _, steps = trained(task=task, n_outputs=target[task].shape[1], train_set=train_set, epochs=15)
    assert steps[-1].loss < 0.4 * steps[4].loss


def test_the_same_seed_gives_the_same_bytes(trained):
    """Initial weights, order, dropout and augmentation are of the seed."""
    settings = {"dropout": 0.3, "ema": 0.9, "augment": ["hflip", {"rotation": 20}]}
    once, again = (trained(folder=name, **settings)[0] for name in ("once", "again"))
    assert {name: a.tobytes() for name, a in once.arrays().items()} == {
        name: a.tobytes() for name, a in again.arrays().items()
    }


def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    """Killed with SIGKILL in the fourth epoch and run again: the file of final weights is the undisturbed run's."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(KILLED)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    killed = subprocess.run([*command, str(tmp_path / "killed"), "3"], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert not final(tmp_path / "killed").exists()
    again = subprocess.run(
        [*command, str(tmp_path / "killed")], check=True, env=environment, capture_output=True, text=True
    )
    assert again.stdout.split() == ["3", "4", "5"]  # the epochs that were still to do
    whole, resumed = (checkpoints.load(final(tmp_path / name))[0] for name in ("whole", "killed"))
    assert {name: array.tobytes() for name, array in resumed.items()} == {
        name: array.tobytes() for name, array in whole.items()
    }


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_last_epochs_are_averaged(trained, monkeypatch, ema):
    """The weights are the mean of those after each of the last three epochs, or of their moving averages then."""
    after = []
    save = loop._save

    def watched(path, model, progress):
        with model.averaged():
            after.append(model.arrays())
        save(path, model, progress)

    monkeypatch.setattr(loop, "_save", watched)
    model, _ = trained(soup=3, ema=ema, schedule="constant", warmup_fraction=0)
    mean = {name: np.mean([one[name] for one in after[-3:]], axis=0) for name in after[0]}
    weights = [name for name, array in model.arrays().items() if np.issubdtype(array.dtype, np.floating)]
    assert weights
    for name in weights:
        np.testing.assert_allclose(model.arrays()[name], mean[name], rtol=1e-4, atol=1e-6)
    assert not all(np.allclose(mean[name], after[-1][name], rtol=1e-3) for name in weights)


def test_an_average_goes_on_where_it_was_killed(trained, job, monkeypatch):
    """After the first of the epochs that are averaged; the bytes at the end are the same."""
    whole, _ = trained(soup=3, folder="whole")
    save, n_saved = loop._save, 0

    def killed(path, model, progress):
        nonlocal n_saved
        save(path, model, progress)
        n_saved += 1
        if n_saved == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(soup=3, folder="killed")
    resumed, _ = trained(soup=3, folder="killed")
    assert n_saved == 6
    assert {name: a.tobytes() for name, a in resumed.arrays().items()} == {
        name: a.tobytes() for name, a in whole.arrays().items()
    }


def test_a_finished_network_is_not_trained_again(trained):
    """Its weights are where they were left."""
    first, _ = trained()
    second, steps = trained()
    assert steps == []
    assert all((first.arrays()[name] == array).all() for name, array in second.arrays().items())


def test_early_stopping_keeps_the_best_epoch_of_images_it_never_learns_from(trained, toy, job):
    """Judged by images with turned labels, the first epochs are the best: the weights kept are theirs."""
    valid_set = toy.train_set.of(np.arange(40) % 4 == 0)
    valid_set = replace(valid_set, target=1 - valid_set.target)
    train_set = toy.train_set.of(np.arange(40) % 4 > 0)
    model, _ = trained(train_set=train_set, valid_set=valid_set, epochs=20, patience=2, batch=5)
    curve = checkpoints.load(final(job().folder))[1]["curve"]
    losses = [line["valid_loss"] for line in curve]
    best = int(np.argmin(losses))
    assert len(curve) == best + 3 < 20
    assert model.loss(toy.pixels[valid_set.place], valid_set.target, valid_set.weight) == pytest.approx(
        losses[best], rel=1e-5
    )


def test_a_loss_that_is_no_number_stops_at_its_step(trained, job):
    """One line, and the weights of the epochs before are kept."""
    with pytest.raises(PodiumError) as caught:
        trained(learning_rate=1e30, head_epochs=0, warmup_fraction=0.0)
    assert "finetunes.toy: the loss is nan in epoch 1, step " in str(caught.value)
    assert "\n" not in str(caught.value)
    spoilt = job(folder="spoilt", epochs=2)
    spoilt = replace(spoilt, train_set=replace(spoilt.train_set, target=spoilt.train_set.target.copy()))

    def watch(step):
        if step.epoch == 1:
            spoilt.train_set.target[:] = np.nan

    with pytest.raises(PodiumError, match=r"in epoch 2, step \d of 5.*the weights after epoch 1 are kept in"):
        train(spoilt, watch)
    arrays, _ = checkpoints.load(spoilt.folder / "last.npz")
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_batch_larger_than_the_fold_is_refused(trained):
    """It would never be full."""
    with pytest.raises(PodiumError, match=r"finetunes\.toy\.batch: 64 is more than the 40 images of a fold"):
        trained(batch=64)


def test_running_out_of_memory_suggests_a_smaller_batch(job, monkeypatch):
    """The same steps in halves; TensorFlow's own exception is known by its name."""
    import keras

    class ResourceExhaustedError(Exception):
        pass

    def exhausted(*_):
        raise ResourceExhaustedError("OOM when allocating tensor with shape[8,16,16,3]")

    monkeypatch.setattr(keras.Model, "train_on_batch", exhausted)
    with pytest.raises(PodiumError, match="out of memory at batch: 8; the same steps in less: batch: 4, accumulate: 6"):
        train(job(accumulate=3), lambda _: None)
