"""What a network's outputs are compared with: the losses of the tasks."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from podium import config, plugins
from podium.errors import PodiumError
from podium.training import Finetune
from podium.training.encoder import find
from podium.training.finetuning import describe

pytestmark = pytest.mark.keras
LOGITS = np.random.default_rng(0).normal(0, 2, (6, 3)).astype(np.float32)


def task(kind):
    return plugins.make("tasks", kind, {"target": "x"}, "toy")


@pytest.mark.parametrize("kind", ["binary", "multilabel"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_of_labels_is_the_papers(kind, smoothing):
    """Lin et al. 2017, equation 4, without its weight of classes; a probability each."""
    logits = LOGITS[:, :1] if kind == "binary" else LOGITS
    y = (np.random.default_rng(1).random(logits.shape) < 0.5).astype(np.float32)
    q = y * (1 - smoothing) + smoothing / 2
    p = expit(logits.astype(np.float64))
    p_t = q * p + (1 - q) * (1 - p)
    expected = ((1 - p_t) ** 2 * -(q * np.log(p) + (1 - q) * np.log(1 - p))).mean()
    assert float(task(kind).network_loss(smoothing, 2.0)(y, logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_of_classes_is_the_papers():
    """Over a softmax: of the row's own class alone."""
    classes = np.array([0, 1, 2, 0, 1, 2])
    p = softmax(LOGITS.astype(np.float64), axis=1)[np.arange(6), classes]
    loss = task("multiclass").network_loss(0.0, 1.5)
    assert float(loss(np.eye(3)[classes], LOGITS)) == pytest.approx(((1 - p) ** 1.5 * -np.log(p)).mean(), rel=1e-5)


def test_the_networks_loss_is_the_one_that_is_named(job):
    """The same network and images: with `focal`, the loss is less, since no row weighs more than 1."""
    losses = []
    for focal in (None, 2.0):
        made = job(focal=focal)
        model = made.build()
        losses.append(model.loss(made.pixels, made.train_set.target, made.train_set.weight))
    assert 0 < losses[1] < losses[0]


def test_a_network_without_focal_loss_keeps_its_name():
    """What was trained before there was the choice is found again."""
    facts = [describe(find(Finetune(network="lenet", focal=focal), "a"))["training"] for focal in (None, 2.0)]
    assert "focal" not in facts[0]
    assert '"focal": 2.0' in facts[1]


def test_values_have_no_focal_loss():
    """One line, when params.yaml is checked."""
    spec = Finetune(network="lenet", focal=2.0)
    with pytest.raises(PodiumError, match=r"a\.focal: leave it out: the competition's task has no labels"):
        config._check_task(spec, task("regression"), "a")
