"""Networks that read: images a second in training against Keras's own `fit`, and the seconds of decoding.

    python benchmarks/text.py [--images 2048] [--blocks 5] [--rows 10000]

Both train the recipe's `crnn` on the same random pictures, without augmentation, in the same batches; they take turns,
in blocks of an epoch, and the ratio is the median of the blocks'. Decoding is that of rows of 32 steps and 36
characters with a beam of 10, as sure as a trained network's.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from podium.contracts.dataset import Dataset
from podium.tasks import decoding
from podium.tasks.text import Task
from podium.training import Finetune
from podium.training.data import Examples, batches
from podium.training.encoder import find
from podium.training.outputs.sequences import Problem
from podium.training.phases import phases

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STEPS, LENGTH = 32, 4
WIDTH, HEIGHT, BATCH = 86, 40, 32


def seconds(function: Callable[[], object]) -> float:
    """Return how long it takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def training(n: int, n_blocks: int) -> None:
    """Print both speeds and the ratio."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (n, HEIGHT, WIDTH, 3), dtype=np.uint8)
    target = rng.integers(1, 1 + len(ALPHABET), (n, LENGTH)).astype(np.float32)
    rows = pd.DataFrame({"row_id": ["a"], "split": ["train"], "y": [float(LENGTH)], "weight": [1.0]})
    shape = {"width": WIDTH, "height": HEIGHT}
    spec = Finetune(network="crnn", resize=shape, batch=BATCH, epochs=n_blocks + 2, learning_rate=0.002)
    task, data = Task(target="text", min_length=LENGTH, max_length=LENGTH), Dataset.in_memory(rows, ALPHABET)
    problem = Problem(find(spec, "benchmark"), task, data, "benchmark")
    examples = Examples(np.arange(n), target, np.ones(n, np.float32), np.zeros(n, np.int64))
    ours, theirs = (problem.build(seed=1) for _ in range(2))
    for model in (ours, theirs):
        model.open(next(iter(phases(model.encoder))), steps=n // BATCH)
    keras: Any = theirs._learner  # noqa: SLF001  # the Keras model itself
    images = pictures.astype(np.float32)

    def by_podium(epoch: int) -> None:
        for batch in batches(examples, pictures, spec, 1, epoch, ours.prepare):
            ours.step(*batch)

    def by_keras() -> None:
        keras.fit(images, target, batch_size=BATCH, epochs=1, verbose=0)

    pairs = []
    for block in range(n_blocks + 1):
        order = [lambda block=block: by_podium(block), by_keras]
        taken = [seconds(one) for one in (order if block % 2 else order[::-1])]
        pairs.append(taken if block % 2 else taken[::-1])
    pairs = pairs[1:]  # the first traces both
    podium, plain = np.median(pairs, axis=0)
    ratio = np.median([theirs / ours for ours, theirs in pairs])
    print(f"crnn: podium {n / podium:.0f} images/s, fit {n / plain:.0f}; podium is {ratio:.2f} times as fast")


def reading(n: int) -> None:
    """Print the seconds of decoding `n` rows."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (n, STEPS, 1 + len(ALPHABET))).astype(np.float32)
    at = rng.integers(0, STEPS, (n, LENGTH))
    logits[..., 0] += 6
    logits[np.arange(n)[:, None], at, rng.integers(1, 1 + len(ALPHABET), (n, LENGTH))] += 9
    logp = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    taken = seconds(lambda: decoding.beam_search(logp, 10, least=1, most=8))
    print(f"beam search, {n:,} rows of {STEPS} steps, beam 10: {taken:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option, default in (("--images", 2048), ("--blocks", 5), ("--rows", 10_000)):
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    reading(options.rows)
    training(options.images, options.blocks)
