"""Images to learn from, in the order of an epoch, batch by batch."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium.splits.folds import seed_of
from podium.training import Finetune

Batch = tuple[Any, Any, Any]  # what a network takes for (b, h, w, 3) images, targets (b, k) float32, weights (b,)
_AHEAD = 2  # batches that are augmented while one is learnt from


@dataclass(frozen=True)
class Examples:
    """Images by their place among the decoded ones, with their rows' targets."""

    place: np.ndarray  # (n,) int64
    target: np.ndarray  # (n, k) float32, as the loss takes it
    weight: np.ndarray  # (n,) float32
    stratum: np.ndarray  # (n,) int64 class codes, for balanced sampling; 0 where there are no classes

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.place)

    def of(self, chosen: np.ndarray) -> "Examples":
        """Return the chosen images, by mask or position."""
        return Examples(self.place[chosen], self.target[chosen], self.weight[chosen], self.stratum[chosen])


def order(examples: Examples, spec: Finetune, seed: int, epoch: int) -> np.ndarray:
    """Return `(steps, batch)` places in `examples`: a function of seed and epoch only, so that it can be resumed.

    Each image comes once at most, and what does not fill a batch waits for another epoch; or, balanced, every class
    comes equally often, its images drawn with repetition.
    """
    rng = np.random.default_rng([seed, epoch])
    n = len(examples)
    if spec.sampling == "balanced":
        counts = np.bincount(examples.stratum)
        share = 1 / (np.count_nonzero(counts) * counts[examples.stratum])
        chosen = rng.choice(n, n, p=share / share.sum())
    else:
        chosen = rng.permutation(n)
    steps = n // spec.batch
    return np.asarray(chosen[: steps * spec.batch].reshape(steps, spec.batch))


def batches(
    examples: Examples,
    pixels: np.ndarray,
    spec: Finetune,
    seed: int,
    epoch: int,
    prepare: Callable[[Any], Any] = lambda images: images,
    ready: Callable[[np.ndarray, int], Any] | None = None,
    draw: Callable[[np.ndarray, int], tuple[Any, Any]] | None = None,
) -> Iterator[Batch]:
    """Yield an epoch's augmented batches; the seed of each is its own, so that they can be made ahead by a thread.

    `prepare` makes of augmented images `(b, px, px, 3)` float32 what the network takes; or `ready` has it, by the
    images' places and the seed, where augmentation leaves targets as they are. `draw` gives augmented images
    and their targets by the same two, where targets lie upon pixels.
    """

    def make(step: int, chosen: np.ndarray) -> Batch:
        # Where pictures are mixed, so are targets and weights.
        beside = np.column_stack([examples.target[chosen], examples.weight[chosen]])
        places, own_seed = examples.place[chosen], seed_of(seed, epoch, step)
        if ready is not None:
            return ready(places, own_seed), beside[:, :-1], beside[:, -1]
        if draw is not None:
            images, targets = draw(places, own_seed)
            return prepare(images), targets, beside[:, -1]
        images, beside = spec.augment.apply(pixels[places], beside, own_seed)
        return prepare(images), beside[:, :-1], beside[:, -1]

    steps = enumerate(order(examples, spec, seed, epoch))
    ahead: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for item in steps:
                ahead.append(pool.submit(make, *item))
                if len(ahead) > _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
