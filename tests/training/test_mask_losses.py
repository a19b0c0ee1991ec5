"""Losses of masks against NumPy, and against what they are bounds of."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from podium.training.mask_losses import loss

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (2, 4, 5, 2)).astype(np.float32)
TARGET = (RNG.random((2, 4, 5, 2)) < 0.4).astype(np.float32)
EXCLUSIVE = RNG.normal(0, 2, (2, 4, 5, 3)).astype(np.float32)
CODES = RNG.integers(0, 3, (2, 4, 5))
ONE_HOT = np.eye(3, dtype=np.float32)[CODES]
WEIGHT = np.array([2.0, 0.5], np.float32)


def value(name, target, logits, *, exclusive, weight=None):
    return float(loss(name, exclusive=exclusive)(target, logits, sample_weight=weight))


def dice(p, target, weight=0.5):
    """Return 1 less Tversky's index of each picture, the mean over classes."""
    both, missed, false = (part.sum(axis=(1, 2)) for part in (p * target, (1 - p) * target, p * (1 - target)))
    return 1 - ((both + 1) / (both + weight * missed + (1 - weight) * false + 1)).mean(axis=-1)


def test_cross_entropy_is_the_mean_over_pixels():
    """Overlapping classes have sigmoids, exclusive ones a softmax with the background; weights are of pictures."""
    p = expit(LOGITS.astype(np.float64))
    each = -(TARGET * np.log(p) + (1 - TARGET) * np.log(1 - p)).mean(axis=(1, 2, 3))
    assert value("cross_entropy", TARGET, LOGITS, exclusive=False) == pytest.approx(each.mean(), rel=1e-5)
    weighted = value("cross_entropy", TARGET, LOGITS, exclusive=False, weight=WEIGHT)
    assert weighted == pytest.approx((each * WEIGHT).mean(), rel=1e-5)
    logp = np.take_along_axis(log_softmax(EXCLUSIVE, axis=-1), CODES[..., None], axis=-1)
    found = value("cross_entropy", ONE_HOT[..., 1:], EXCLUSIVE, exclusive=True)
    assert found == pytest.approx(-logp.mean(), rel=1e-5)


def test_dice_and_tversky_are_their_formulas():
    """Twice the overlap over the sum of both, and false negatives at 0.7."""
    p = expit(LOGITS)
    assert value("dice", TARGET, LOGITS, exclusive=False) == pytest.approx(dice(p, TARGET).mean(), rel=1e-5)
    assert value("tversky", TARGET, LOGITS, exclusive=False) == pytest.approx(dice(p, TARGET, 0.7).mean(), rel=1e-5)
    p = softmax(EXCLUSIVE, axis=-1)[..., 1:]
    found = value("dice", ONE_HOT[..., 1:], EXCLUSIVE, exclusive=True)
    assert found == pytest.approx(dice(p, ONE_HOT[..., 1:]).mean(), rel=1e-5)


def test_the_focal_loss_weighs_pixels_by_their_error():
    """(1 - p)^2, p the probability of the truth."""
    p = expit(LOGITS.astype(np.float64))
    right = np.where(TARGET == 1, p, 1 - p)
    found = value("focal", TARGET, LOGITS, exclusive=False)
    assert found == pytest.approx(-((1 - right) ** 2 * np.log(right)).mean(), rel=1e-5)


def test_lovasz_is_one_less_the_iou_of_sure_masks():
    """Its extension agrees with the IoU's loss where every probability is 0 or 1."""
    sure = np.where(RNG.random(TARGET.shape) < 0.5, 40.0, -40.0).astype(np.float32)
    found = sure > 0
    truth = TARGET == 1
    iou = (found & truth).sum(axis=(1, 2)) / (found | truth).sum(axis=(1, 2))
    assert value("lovasz", TARGET, sure, exclusive=False) == pytest.approx(1 - iou.mean(), abs=1e-5)


@pytest.mark.parametrize("name", ["both", "both_tversky", "both_lovasz"])
def test_sums_are_sums(name):
    """Cross-entropy and the other."""
    other = {"both": "dice"}.get(name, name.removeprefix("both_"))
    parts = [value(part, TARGET, LOGITS, exclusive=False) for part in ("cross_entropy", other)]
    assert value(name, TARGET, LOGITS, exclusive=False) == pytest.approx(sum(parts), rel=1e-5)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("name", ["cross_entropy", "both", "focal", "both_tversky", "both_lovasz"])
def test_a_loss_has_a_gradient_where_the_network_is_sure(name, exclusive):
    """Right or wrong, with probabilities that are 0 and 1 in float32."""
    import keras

    target = ONE_HOT[..., 1:]
    sure = 200 * (2 * (ONE_HOT if exclusive else target) - 1)
    sure[0] *= -1
    n = sure.shape[-1]
    model = keras.Sequential([keras.layers.Dense(n, kernel_initializer=keras.initializers.Constant(np.eye(n)))])
    model.compile(keras.optimizers.SGD(1e-3), loss=loss(name, exclusive=exclusive), jit_compile=False)
    model.train_on_batch(sure, target)
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.get_weights())
