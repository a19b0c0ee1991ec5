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
    untouched: int = 0  # the depth below which no layer has been trained so far


def phases(encoder: Encoder) -> Iterator[Phase]:
    """Yield the phases in order: the head alone, then from each name of `unfreeze` on, in equal shares of epochs."""
    spec, names = encoder.spec, encoder.spec.unfreeze or encoder.depths[:1]
    warmup = spec.head_epochs if spec.head_epochs is not None else int(encoder.is_pretrained and spec.epochs > 1)
    if warmup:
        yield Phase("head", range(warmup), len(encoder.depths), spec.head_learning_rate, len(encoder.depths))
    start, left, untouched = warmup, spec.epochs - warmup, len(encoder.depths)
    for n, name in enumerate(names):
        stop = warmup + (n + 1) * left // len(names)
        depth = encoder.depths.index(name)
        untouched = min(untouched, depth)
        yield Phase(name, range(start, stop), depth, spec.learning_rate, untouched)
        start = stop
