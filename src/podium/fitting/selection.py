"""Greedy forward selection: the choices that together predict best, one more at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What was added, and the loss of all that is chosen then."""

    added: str
    loss: float


def forward(choices: Sequence[str], loss: Callable[[tuple[str, ...]], float]) -> list[Step]:
    """Return the path: the best alone, then whatever lowers the loss most, until nothing does.

    `loss` takes the chosen names in the order of `choices`; it is asked `n (n + 1) / 2` times at most.
    Of equals the first is taken.
    """
    steps: list[Step] = []
    while len(steps) < len(choices):
        chosen = {step.added for step in steps}
        tried = [
            Step(name, loss(tuple(c for c in choices if c in chosen | {name})))
            for name in choices
            if name not in chosen
        ]
        best = min(tried, key=lambda step: step.loss)
        if steps and best.loss >= steps[-1].loss:
            break
        steps.append(best)
    return steps
