"""Class activation maps against the founding formula, by hand."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from podium import config
from podium.analysis import heatmaps, pooled_maps
from podium.backbones.pooling import POOLINGS
from podium.contracts.steps import Linear, Softmax
from podium.features.extraction import resolve_auto
from podium.heads import Training
from podium.heads.logistic import Head
from podium.imaging.images import Reader, Resize, resize
from podium.imaging.overlay import coloured
from podium.tasks import binary, multiclass, regression
from podium.training import Finetune
from podium.training.encoder import find
from podium.training.outputs.scores import build
from podium.training.trained import TrainedNetwork


@pytest.fixture
def maps():
    """A feature map of 5 x 4 places and 6 channels."""
    return np.random.default_rng(0).gamma(1, 1, (5, 4, 6)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


TASKS = {task.kind: task(target="x") for task in (binary.Task, multiclass.Task, regression.Task)}


def score(function, kind):
    """The score of a head that is a function of features."""
    model = function if hasattr(function, "predict") else SimpleNamespace(predict=function)
    return heatmaps.score_of_head(model, TASKS[kind])


def test_a_linear_heads_map_is_its_weights_times_the_features(maps):
    """Zhou's map: at each place w . f + b, and their mean is the logit of the pooled features."""
    w, b = np.array([0.5, -1.0, 0.3, 0.0, 2.0, -0.7]), -0.2
    found = heatmaps.activation(
        score(lambda x: sigmoid(x @ w + b)[:, None].astype(np.float32), "binary"), [maps], "avg"
    )
    assert found.places == pytest.approx(maps @ w + b, abs=1e-4)
    assert found.places.mean() == pytest.approx(maps.mean(axis=(0, 1)) @ w + b, abs=1e-4)


def test_a_saturated_place_is_still_exact(maps):
    """A logit of 60 at a place would be a probability of 1 in float32."""
    spiky = maps.copy()
    spiky[2, 1, 4] = 60.0
    w = np.array([0, 0, 0, 0, 1.0, 0])
    found = heatmaps.activation(
        score(lambda x: sigmoid(x @ w - 3)[:, None].astype(np.float32), "binary"), [spiky], "avg"
    )
    assert found.places[2, 1] == pytest.approx(57, abs=1e-3)


def test_of_several_classes_the_predicted_one_is_explained(maps):
    """Evidence of a class is its score less the mean of all, which softmax cannot hide."""
    w = np.random.default_rng(1).normal(size=(6, 3))

    def softmax(x):
        e = np.exp(x @ w)
        return (e / e.sum(axis=1, keepdims=True)).astype(np.float32)

    found = heatmaps.activation(score(softmax, "multiclass"), [maps], "avg")
    scores = maps.mean(axis=(0, 1)) @ w
    assert found.label == scores.argmax()
    assert found.places == pytest.approx(maps @ (w[:, found.label] - w.mean(axis=1)), abs=1e-3)


def test_values_are_explained_in_their_own_units(maps):
    """A regression's map averages to its value."""
    w = np.arange(6.0)
    found = heatmaps.activation(score(lambda x: (x @ w)[:, None], "regression"), [maps], "avg")
    assert found.places.mean() == pytest.approx(maps.mean(axis=(0, 1)) @ w, rel=1e-5)


def test_the_projects_own_logistic_head_is_linear(maps):
    """Its map's mean is its logit, so `is_linear` says the truth."""
    assert Head.is_linear
    rng = np.random.default_rng(2)
    x = rng.gamma(1, 1, (200, 6)).astype(np.float32)
    y = (x[:, 0] + rng.normal(0, 0.5, 200) > 1).astype(np.int64)
    data = Training(x=x, y=y, task="binary", n_outputs=1, group=np.arange(200), weight=np.ones(200), seed=0)
    model = Head(C=1.0).fit(data)
    found = heatmaps.activation(score(model, "binary"), [maps], "avg")
    p = float(model.predict(maps.mean(axis=(0, 1))[None])[0, 0])
    assert found.places.mean() == pytest.approx(np.log(p / (1 - p)), abs=1e-4)
    assert found.places.std() > 0.1
    assert np.corrcoef(found.places.ravel(), maps[..., 0].ravel())[0, 1] > 0.5


def pyramid():
    """Three maps of one image, as layers give them: 8 x 8, 4 x 4 and 3 x 3 places."""
    rng = np.random.default_rng(3)
    return [rng.gamma(1, 1, (side, side, c)).astype(np.float32) for side, c in ((8, 3), (4, 5), (3, 6))]


@pytest.mark.parametrize("pooling", ["avg", "max", "avg_max"])
def test_layers_and_maxima_add_up_to_the_logit(pooling):
    """By hand: a mean gives each place its part, a maximum gives all to where it was found, coarse places are wide."""
    layers, rng = pyramid(), np.random.default_rng(4)
    expected, features, weights = np.zeros((8, 8)), [], []
    for layer in layers:
        side, c = layer.shape[1:]
        cells = np.minimum(np.arange(8) * side // 8, side - 1)
        for part in pooling.split("_"):
            w = rng.normal(size=c) / 20
            if part == "avg":
                own = layer @ w
                features.append(layer.mean(axis=(0, 1)))
            else:
                own = np.zeros((side, side))
                for channel in range(c):
                    at = np.unravel_index(layer[..., channel].argmax(), (side, side))
                    own[at] += layer[at][channel] * w[channel] * side * side
                features.append(layer.max(axis=(0, 1)))
            weights.append(w)
            fine = own[np.ix_(cells, cells)]
            expected += fine - fine.mean() + own.mean()
    w = np.concatenate(weights)
    found = heatmaps.activation(score(lambda x: sigmoid(x @ w - 0.4)[:, None], "binary"), layers, pooling)
    assert found.places.shape == (8, 8)
    assert found.places == pytest.approx(expected - 0.4, abs=1e-3)
    assert found.places.mean() == pytest.approx(np.concatenate(features) @ w - 0.4, abs=1e-4)


@pytest.mark.keras
def test_maps_come_with_their_places(tmp_path):
    """Of the default backbone: its layers' maps, whose pooled values are its features, in any engine's order."""
    backbone = config.Backbone(
        network="efficientnet_lite0",
        pooling="avg_max",
        layers=("block5", "block7"),
        resize=Resize(px=64),
        precision="float32",
        batch=2,
    )
    extraction = resolve_auto(backbone, "here")
    assert heatmaps.pooling(extraction) == "avg_max"
    pixels = np.random.default_rng(5).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    with Reader(tmp_path) as reader:
        [(image_id, maps)] = heatmaps.maps_of(extraction, [("a", "a.png")], reader, tmp_path / "models")
    assert image_id == "a"
    assert [one.shape for one in maps] == [(4, 4, 112), (2, 2, 320)]
    features = extraction.start(tmp_path / "features").run(np.stack([pixels, pixels]))[0]
    pooled = [pool(one, axis=(0, 1)) for one in maps for pool in (np.mean, np.max)]
    np.testing.assert_allclose(np.concatenate(pooled), features, rtol=1e-4, atol=1e-4)


TRAINED = {
    "residual": {"options": {"width": 4}},
    "efficientnet_lite0": {"resize": {"px": 64}, "pooling": "avg_max", "layers": ("block5", "block7")},
}


@pytest.mark.keras
@pytest.mark.parametrize("network", TRAINED)
def test_a_finetunes_map_is_grad_cam_by_tensorflows_own_gradients(network):
    """Gradient times map, summed over channels; the label's logit is told from the mean of all, as softmax has it."""
    import keras
    import tensorflow as tf

    encoder = find(Finetune(network=network, **TRAINED[network]), "x")
    task = multiclass.Task(target="x")
    model = build(encoder, task, 3, seed=1)
    kernel, bias = model.output.final().values()
    rng = np.random.default_rng(6)
    weights = model.arrays()  # as no initialiser draws them, so that each must find its place
    weights |= {name: array + rng.uniform(0, 0.05, array.shape) for name, array in weights.items() if array.ndim == 1}
    model.restore(weights)
    trained = TrainedNetwork(tuple(model.arrays().values()), Linear(kernel, bias), Softmax())
    image = rng.integers(0, 256, (1, encoder.px, encoder.px, 3), dtype=np.uint8)

    [maps] = heatmaps.maps_of_finetune(encoder, trained.weights, image)
    found = heatmaps.activation(heatmaps.score_of_finetune(trained, task), maps, heatmaps.pooling(encoder))

    tensors = [tf.constant(one[None]) for one in maps]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        features = tf.concat([POOLINGS[heatmaps.pooling(encoder)](one, 0) for one in tensors], axis=-1)
        logits = tf.matmul(features, kernel) + bias
        logit = logits[0, found.label] - tf.reduce_mean(logits)
    np.testing.assert_allclose(features, model.features(image), rtol=1e-3, atol=1e-4)
    assert found.label == int(np.argmax(logits))
    expected = np.zeros(maps[0].shape[:2])
    for one, gradient in zip(maps, tape.gradient(logit, tensors), strict=True):
        places = (one * gradient[0]).numpy().sum(axis=2) * one.shape[0] * one.shape[1]
        expected += np.kron(places, np.ones(np.array(expected.shape) // places.shape))
    np.testing.assert_allclose(found.places - found.places.mean(), expected - expected.mean(), atol=2e-3)
    assert found.places.mean() == pytest.approx(float(logit), abs=1e-3)
    assert found.places.std() > 0.01
    keras.backend.clear_session()


@pytest.mark.parametrize("shape", [(60, 40), (40, 61), (50, 50)])
@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
def test_a_map_lies_over_what_it_was_made_from(shape, mode):
    """A bright square in the image, found in the resized image, is found again at its own place."""
    image = np.zeros((*shape, 3), np.uint8)
    row, column = shape[0] // 2 - 12, shape[1] // 2 + 6
    image[row : row + 8, column : column + 8] = 255
    seen = resize(image, Resize(px=64, mode=mode), 64)[..., 0].astype(np.float64)
    back = heatmaps.placed(seen, shape, Resize(px=64, mode=mode))
    assert back.shape == shape
    centre = np.argwhere(back > 128).mean(axis=0)
    assert centre == pytest.approx([row + 3.5, column + 3.5], abs=1)


def test_red_is_for_and_blue_is_against():
    """The strongest place is opaque, one without evidence shows through."""
    rgba = coloured(np.array([[2.0, -1.0, 0.0]]))
    assert rgba[0, 0, 0] > rgba[0, 0, 2]
    assert rgba[0, 1, 2] > rgba[0, 1, 0]
    assert rgba[0, :, 3].tolist() == [255, 128, 0]


def test_one_bright_place_of_a_fine_map_is_a_spot_that_can_be_seen():
    """A maximum's evidence is spread around it and none is lost; a coarse map's place is wide already."""
    places = np.zeros((48, 48))
    places[30, 12] = 1.0
    heat = heatmaps.placed(places, (48, 48), Resize(mode="squash"))
    assert np.unravel_index(heat.argmax(), heat.shape) == (30, 12)
    assert heat.sum() == pytest.approx(1, abs=1e-6)
    assert 10 < (heat > heat.max() / 2).sum() < 40
    np.testing.assert_array_equal(heatmaps.placed(places[26:34, 8:16], (8, 8), Resize()), places[26:34, 8:16])


def parts_by_hand(shape, mode, array, grid):
    """The part that each place's middle lies in, by drawing every pixel's part and framing the drawing."""
    height, width = shape
    rows, columns = (np.arange(side) * n // side for side, n in zip(shape, grid, strict=True))
    drawn = (rows[:, None] * grid[1] + columns + 1).astype(np.uint8)  # 0 is outside
    picture = np.repeat(drawn[..., None], 3, axis=2)
    if mode == "pad":
        side = max(shape)
        whole = np.zeros((side, side, 3), np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        whole[top : top + height, left : left + width] = picture
        picture = whole
    elif mode == "crop":
        side = min(shape)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
    places = [
        ((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(array.shape, picture.shape, strict=False)
    ]
    return picture[np.ix_(*places)][..., 0].astype(int) - 1


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("pooling", ["avg", "max", "avg_max"])
def test_leaving_a_part_out_pools_the_places_that_are_left(mode, pooling):
    """Against masked means and maxima, of maps with other numbers of places, however the image was framed."""
    shape, grid = (410, 600), (2, 3)
    seen = heatmaps.Pooled(pyramid(), pooling, Resize(mode=mode))
    found = seen.without(shape, grid)
    assert found.shape == (6, len(seen.features))
    for part in range(6):
        expected = []
        for array in seen.maps:
            left = array[parts_by_hand(shape, mode, array, grid) != part].astype(np.float64)
            expected += [left.mean(axis=0) if kind == "avg" else left.max(axis=0) for kind in pooling.split("_")]
        assert found[part] == pytest.approx(np.concatenate(expected), abs=1e-6)


def test_of_a_linear_head_on_means_a_part_is_worth_its_mean(maps):
    """So what is left out and what is exact say the same; parts are no smaller than the places of a map."""
    w = np.array([[0.5, -1.0, 0.3, 0.0, 2.0, -0.7]]).T
    fine = np.repeat(np.repeat(maps, 2, axis=0), 2, axis=1)  # 10 x 8 places
    seen = [heatmaps.Pooled([fine, maps], "avg", Resize())]
    weights = np.vstack([w, -w / 2])
    found = heatmaps.left_out(lambda x: x @ weights - 0.2, seen, (300, 200))
    assert found.places.shape == (5, 4)
    assert found.places == pytest.approx((maps @ w / 2)[..., 0] - 0.2, abs=1e-5)
    assert heatmaps.left_out(
        lambda x: x @ weights, [heatmaps.Pooled([maps[:1, :1]] * 2, "max", Resize())], (9, 9)
    ).places.shape == (1, 1)


def test_trees_have_heatmaps_too():
    """A step is seen where the place is that crosses it, though its slope is 0."""
    array = np.zeros((4, 4, 2), np.float32)
    array[2, 1, 0] = 16.0
    seen = [heatmaps.Pooled([array], "avg_max", Resize())]
    places = heatmaps.left_out(lambda x: np.where(x[:, :1] > 0.5, 2.0, -1.0), seen, (64, 64), 0).places
    assert np.argwhere(places > 2).tolist() == [[2, 1]]


def test_the_evidence_of_several_backbones_adds_up(maps):
    """Each has its own places and framing; the means of all add up to the logit of the features side by side."""
    rng = np.random.default_rng(8)
    seen = [heatmaps.Pooled([maps], "avg", Resize()), heatmaps.Pooled(pyramid(), "avg_max", Resize(mode="crop"))]
    features = np.concatenate([one.features for one in seen])
    weights = rng.normal(size=(len(features), 3))
    score = lambda x: x @ weights + [0.1, 0.2, 0.3]  # noqa: E731
    model = heatmaps.linear(score, features + 1)
    said = score(features[None])[0]
    for label in (None, 0, 2):
        own, places = heatmaps.evidence(model, seen, label)
        assert own == (said.argmax() if label is None else label)
        assert [one.shape for one in places] == [(5, 4), (8, 8)]
        assert sum(one.mean() for one in places) == pytest.approx(said[own], abs=1e-9)


@pytest.mark.keras
@pytest.mark.parametrize("pooling", ["avg", "avg_max"])
def test_maps_are_found_in_the_exported_graph(tmp_path, monkeypatch, pooling):
    """The very maps that Keras would give, and no export of their own; a graph of another form goes the long way."""
    layers = ("block3", "block7")
    backbone = config.Backbone(
        network="efficientnet_lite0", pooling=pooling, layers=layers, resize=Resize(px=64), precision="float32", batch=2
    )
    extraction, pairs = resolve_auto(backbone, "here"), [(name, f"{name}.png") for name in "abc"]
    rng = np.random.default_rng(5)
    for _, file in pairs:
        assert cv2.imwrite(str(tmp_path / file), rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with Reader(tmp_path) as reader:
        fast = list(heatmaps.maps_of(extraction, pairs, reader, tmp_path / "models"))
        assert [path.name for path in (tmp_path / "models").iterdir()] == [extraction.fingerprint]
        monkeypatch.setattr(pooled_maps, "_reductions", lambda node: None)
        slow = list(heatmaps.maps_of(extraction, pairs, reader, tmp_path / "models"))
    assert (tmp_path / f"models/{extraction.fingerprint}-maps").exists()
    assert [name for name, _ in fast] == [name for name, _ in slow] == ["a", "b", "c"]
    for (_, own), (_, expected) in zip(fast, slow, strict=True):
        assert [one.shape for one in own] == [one.shape for one in expected] == [(8, 8, 40), (2, 2, 320)]
        for one, other in zip(own, expected, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
