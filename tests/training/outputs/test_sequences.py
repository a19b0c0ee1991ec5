"""Networks that read: what they are told, and that they learn, whatever the seed."""

import cv2
import numpy as np
import pandas as pd
import pytest

from podium.contracts.dataset import Dataset
from podium.errors import PodiumError
from podium.tasks import decoding
from podium.tasks.text import TEXTS, Task
from podium.training import Finetune
from podium.training.data import Examples
from podium.training.encoder import find
from podium.training.loop import Job, train
from podium.training.outputs.sequences import Ctc, Places, Problem, greedy_match

pytestmark = pytest.mark.keras
WHERE = "params.yaml: finetunes.reader"
SHAPE = {"width": 40, "height": 16}


def drawn(texts):
    """Return pictures `(n, 16, 40, 3)` uint8 of one or two characters in OpenCV's own font, at places of their own."""
    rng = np.random.default_rng(0)
    pictures = np.full((len(texts), 16, 40, 3), 220, np.uint8)
    for picture, text in zip(pictures, texts, strict=True):
        x = int(rng.integers(0, 6))
        for character in text:
            cv2.putText(picture, character, (x, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1)
            x += int(rng.integers(11, 16))
    return pictures


@pytest.fixture
def problem(tmp_path):
    """Return the function that makes the problem of a network on some texts."""

    def make(texts, network="crnn", **settings):
        ids = [f"r{k:03d}" for k in range(len(texts))]
        TEXTS.write(pd.DataFrame({"row_id": ids, "text": texts}, dtype="str"), tmp_path / "targets/texts.parquet")
        rows = pd.DataFrame({"row_id": ids, "split": "train", "y": [len(text) for text in texts], "weight": 1.0})
        data = Dataset(tmp_path)
        vars(data)["rows"] = rows
        rows.attrs = {"labels": sorted(set("".join(texts)))}
        lengths = {len(text) for text in texts}
        task = Task(target="text", min_length=min(lengths), max_length=max(lengths))
        options = {"width": 8, "blocks": 3, "hidden": 32}
        spec = {"network": network, "options": options, "resize": SHAPE, "batch": 16, "dropout": 0.0}
        return Problem(find(Finetune(**spec | settings), WHERE), task, data, WHERE), np.array(ids, object)

    return make


def trained(problem, ids, pictures, folder, seed):
    """Return the network after its epochs on all rows, and the accuracies of its curve."""
    lessons, n = problem.lessons(ids), len(ids)
    examples = Examples(np.arange(n), lessons.target, np.ones(n, np.float32), lessons.stratum)
    steps = []
    job = Job(lambda: problem.build(seed), pictures, examples, None, seed, folder, WHERE)
    return train(job, steps.append), steps


@pytest.mark.parametrize("seed", [0, 1])
def test_ctc_starts_at_once_whatever_the_seed(problem, tmp_path, seed):
    """Texts of one and two characters, 48 pictures: read after 30 epochs of 3 steps, with no epochs of silence."""
    texts = ["A", "B", "AB", "BA", "BB", "AA"] * 8
    made, ids = problem(texts, epochs=30, learning_rate=0.01)
    pictures = drawn(texts)
    model, steps = trained(made, ids, pictures, tmp_path / "job", seed)
    assert steps[-1].metric >= 0.9
    logp = made.kept(model, pictures).reshape(len(texts), -1, 3)
    read = ["".join("AB"[code] for code in strings[0]) for strings in decoding.beam_search(logp, least=1, most=2)]
    assert np.mean(np.array(read) == texts) >= 0.9
    np.testing.assert_allclose(np.exp(logp).sum(axis=2), 1, atol=1e-4)


def test_places_read_texts_of_one_length(problem, tmp_path):
    """A softmax for each of two places."""
    texts = ["AB", "BA", "BB", "AA"] * 12
    made, ids = problem(texts, "places", epochs=15, learning_rate=0.005)
    pictures = drawn(texts)
    model, _ = trained(made, ids, pictures, tmp_path / "job", seed=0)
    logp = made.kept(model, pictures).reshape(len(texts), 2, 2)
    read = ["".join("AB"[code] for code in row) for row in logp.argmax(axis=2)]
    assert np.mean(np.array(read) == texts) >= 0.9


def test_ctcs_loss_is_the_likelihood_that_decoding_computes():
    """Keras's loss against the forward algorithm, which tests hold against all paths; weights are of rows."""
    logits = np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32) * 2
    target = np.array([[1, 2, 0], [3, 3, 0], [4, 4, 1]], np.float32)
    logp = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    expected = -decoding.log_likelihood(logp, [[0, 1], [2, 2], [3, 3, 0]])
    weight = np.array([1, 2, 0.5], np.float32)
    assert float(Ctc(4, 0.0, 0).loss()(target, logits, sample_weight=weight)) == pytest.approx(
        (expected * weight).mean(), rel=1e-4
    )


def test_the_loss_of_places_is_their_mean_cross_entropy():
    """Weights are of rows, whose places share them."""
    logits = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    target = np.array([[0, 1, 2], [3, 3, 0]], np.float32)
    logp = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    each = -np.array([[logp[n, i, int(target[n, i])] for i in range(3)] for n in range(2)])
    loss = Places(4, 3, 0.0, 0).loss()(target, logits, sample_weight=np.array([2, 0.5], np.float32))
    assert float(loss) == pytest.approx((each.mean(axis=1) * [2, 0.5]).mean(), rel=1e-5)


def test_the_metric_of_ctc_reads_the_likeliest_path():
    """1 1 0 1 is `1 1`; too many characters are wrong, and so is silence."""
    paths = [[0, 1, 1, 0, 1], [2, 2, 2, 2, 2], [1, 2, 3, 0, 3], [0, 0, 0, 0, 0]]
    logits = 9 * np.eye(4, dtype=np.float32)[paths]
    target = np.array([[1, 1, 0], [2, 0, 0], [1, 2, 3], [1, 0, 0]], np.float32)
    assert np.asarray(greedy_match(target, logits)).tolist() == [1, 1, 0, 0]


def test_before_training_every_character_is_as_likely_and_the_blank_is_rare(problem):
    """What an untrained network would say is not silence."""
    made, _ = problem(["A", "BC"] * 8)
    p = np.exp(made.kept(made.build(0), np.full((4, 16, 40, 3), 127, np.uint8)).reshape(4, 10, 4))
    assert p[..., 0].mean() < 0.3


def test_a_text_that_ctc_cannot_say_is_refused_with_the_width_that_would_do(problem):
    """Ten steps and eleven needed: six characters with five equal neighbours. Then that width is enough."""
    texts = ["AB", "AAAAAA"] * 8
    made, _ = problem(texts)
    with pytest.raises(
        PodiumError, match=r"reader\.resize\.width: 40 gives 10 steps, and CTC needs 11, .*'r001'.*at least 44"
    ):
        made.check()
    problem(texts, resize={"width": 44, "height": 16})[0].check()


def test_places_refuse_texts_of_several_lengths(problem):
    """They would have no end."""
    with pytest.raises(PodiumError, match=r"reader\.network: places reads texts of one length; .* or take crnn"):
        problem(["A", "AB"] * 8, "places")[0].check()


def test_recurrent_steps_and_other_widths_are_options(problem):
    """The same steps, whatever lets them see each other."""
    options = {"width": 4, "blocks": 2, "hidden": 8, "sequence": "recurrent"}
    made, _ = problem(["A", "AB"] * 8, options=options)
    assert made.kept(made.build(0), np.zeros((2, 16, 40, 3), np.uint8)).shape == (2, 10 * 3)
