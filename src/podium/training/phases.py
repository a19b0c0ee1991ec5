"""Unfreezing by depth: which layers are trained in which epochs."""

from collections.abc import Iterator
from dataclasses import dataclass

from podium.training.encoder import Trunk


@dataclass(frozen=True)
class Phase:
    """Epochs with one set of trained layers, one optimiser and one schedule."""

    name: str
    epochs: range
    depth: int  # of the first layers that are trained; beyond the last: the head alone
    learning_rate: float


def phases(trunk: Trunk) -> Iterator[Phase]:
    """Yield the phases in order: the head alone, then from each name of `unfreeze` on, in equal shares of epochs."""
    spec, names = trunk.spec, trunk.spec.unfreeze or trunk.depths[:1]
    warmup = spec.warmup_epochs if spec.warmup_epochs is not None else int(trunk.is_pretrained and spec.epochs > 1)
    if warmup:
        yield Phase("head", range(warmup), len(trunk.depths), spec.warmup_learning_rate)
    start, left = warmup, spec.epochs - warmup
    for n, name in enumerate(names):
        stop = warmup + (n + 1) * left // len(names)
        yield Phase(name, range(start, stop), trunk.depths.index(name), spec.learning_rate)
        start = stop
