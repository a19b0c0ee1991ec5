"""Unfreezing by depth: which layers are trained in which epochs."""

from collections.abc import Iterator
from dataclasses import dataclass

from podium.training.encoder import Encoder


@dataclass(frozen=True)
class Phase:
    """Epochs with one set of trained layers, one optimiser and one schedule."""

    name: str
    epochs: range
    depth: int  # of the first layers that are trained; beyond the last: the head alone
    learning_rate: float


def phases(encoder: Encoder) -> Iterator[Phase]:
    """Yield the phases in order: the head alone, then from each name of `unfreeze` on, in equal shares of epochs."""
    spec, names = encoder.spec, encoder.spec.unfreeze or encoder.depths[:1]
    warmup = spec.head_epochs if spec.head_epochs is not None else int(encoder.is_pretrained and spec.epochs > 1)
    if warmup:
        yield Phase("head", range(warmup), len(encoder.depths), spec.head_learning_rate)
    start, left = warmup, spec.epochs - warmup
    for n, name in enumerate(names):
        stop = warmup + (n + 1) * left // len(names)
        yield Phase(name, range(start, stop), encoder.depths.index(name), spec.learning_rate)
        start = stop
