"""Examples that need no network: gradients, optimisers, OpenCV and the sliding window."""

import cv2
import numpy as np
import pytest
from PIL import Image


def test_gradients_are_finite_differences(example):
    """To 1e-6, of everything that the little language can say, broadcasting included."""
    autograd = example("autograd")
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in ((5, 3), (3, 2), (2,), (5, 1))]

    def loss(*arrays):
        a, b, c, d = (autograd.Tensor(array) for array in arrays)
        out = (((a @ b) + c).tanh() * d + (a @ b).softplus() * c).mean()
        return out, (a, b, c, d)

    out, tensors = loss(*values)
    out.backward()
    for place, tensor in enumerate(tensors):
        numeric = np.empty_like(values[place])
        for index in np.ndindex(*values[place].shape):
            sides = []
            for step in (1e-5, -1e-5):
                moved = [value.copy() for value in values]
                moved[place][index] += step
                sides.append(loss(*moved)[0].value)
            numeric[index] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(tensor.gradient, numeric, atol=1e-6)


def test_logistic_regression_learns(example, tmp_path, shape_of):
    """Gradient descent ends where scikit-learn's solver does, and the two species are told apart."""
    from sklearn.linear_model import LogisticRegression

    autograd = example("autograd")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 3))
    y = (x @ [1.0, -2.0, 0.5] + rng.normal(size=80) > 0).astype(float)
    weights, offset, losses = autograd.train(x, y, steps=3000, rate=2.0)
    theirs = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(weights.value[:, 0], theirs.coef_[0], atol=1e-3)
    np.testing.assert_allclose(offset.value, theirs.intercept_, atol=1e-3)
    assert np.diff(losses).max() < 1e-9
    assert autograd.main(tmp_path / "a.png") > 0.9
    assert shape_of(tmp_path / "a.png") == (400, 900, 3)


def test_the_surface_s_gradient(example):
    """By finite differences; its minimum is one."""
    race = example("optimizers")
    place = np.array([0.7, -0.4])
    numeric = [(race.height(place + step) - race.height(place - step)) / 2e-6 for step in np.eye(2) * 1e-6]
    np.testing.assert_allclose(race.gradient(place), numeric, rtol=1e-6)
    assert race.height(race.MINIMUM) == 0
    assert (race.gradient(race.MINIMUM) == 0).all()


def test_the_race_is_a_picture_and_a_film(example, tmp_path, shape_of):
    """Each goes down; momentum is at the minimum first."""
    ends = example("optimizers").main(tmp_path / "race.png", tmp_path / "race.gif", steps=300, frames=3)
    assert set(ends) == {"SGD", "momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam"}
    assert max(ends.values()) < 0.2
    assert max(ends["momentum"], ends["Nesterov"]) < 1e-4
    assert shape_of(tmp_path / "race.png")[2] == 3
    with Image.open(tmp_path / "race.gif") as film:
        assert film.n_frames == 3


@pytest.mark.parametrize("seed", range(5))
def test_codes_are_read_and_balls_found(example, tmp_path, seed):
    """The text, and the ball's middle within two pixels and its radius within three, however they lie."""
    opencv = example("read_qr_find_ball")
    text, error = opencv.main(tmp_path / "seen.png", seed)
    assert text == opencv.TEXT
    assert error < 2
    picture, (_, _, radius) = opencv.photographed_ball(seed)
    assert opencv.find_ball(picture)[2] == pytest.approx(radius, abs=3)


def test_nothing_is_found_where_nothing_is(example):
    """Neither a code nor a ball."""
    opencv = example("read_qr_find_ball")
    empty = np.full((480, 640, 3), 120, np.uint8)
    assert opencv.read_code(empty)[0] == ""
    assert opencv.find_ball(empty) is None


def test_boxes_of_one_car_become_one(example):
    """The likeliest stays, and so does what overlaps it little; as OpenCV does it."""
    cars = example("find_cars")
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100, (60, 2))
    boxes, p = np.hstack([corner, corner + rng.uniform(20, 60, (60, 2))]), rng.random(60)
    rectangles = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
    theirs = cv2.dnn.NMSBoxes(rectangles, p.tolist(), 0.0, 0.3)
    assert cars.suppress(boxes, p, 0.3).tolist() == np.ravel(theirs).tolist()


def test_a_car_is_hit_once(example):
    """The second box on it is wrong, and so is one that overlaps by less than half."""
    cars = example("find_cars")
    truth = np.array([[0.0, 0, 10, 10], [50, 0, 60, 10]])
    boxes = np.array([[0.0, 0, 10, 9], [0, 0, 10, 10], [56, 0, 66, 10], [50, 0, 60, 8]])
    assert cars.hits_of(boxes, truth).tolist() == [True, False, False, True]


@pytest.mark.slow
def test_cars_are_found(example, tmp_path, shape_of):
    """Trained on sixteen streets, most cars of four others."""
    assert example("find_cars").main(tmp_path / "cars.png", n_train=16, n_hard=1, n_test=4) > 0.6
    assert shape_of(tmp_path / "cars.png") == (480, 720, 3)
