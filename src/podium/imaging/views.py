"""Deterministic views of one image, as data: a name stands for an operation and its parameters.

All of them so far only move pixels, so they are exact and lose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from podium.frozen import Frozen
from podium.imaging.pixels import apply

__all__ = ["VIEWS", "View", "Views", "apply"]


@dataclass(frozen=True)
class View:
    """What a view does: the name of an operation, and its parameters (JSON values)."""

    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


VIEWS = {
    "identity": View("identity"),
    "hflip": View("flip", {"direction": "horizontal"}),
    "vflip": View("flip", {"direction": "vertical"}),
    "rot90": View("rotate", {"quarter_turns": 1}),
    "rot180": View("rotate", {"quarter_turns": 2}),
    "rot270": View("rotate", {"quarter_turns": 3}),
    "transpose": View("transpose", {"diagonal": "main"}),
    "antitranspose": View("transpose", {"diagonal": "other"}),
}


class Views(Frozen):
    """The views of each image that heads are trained on, and those that predictions are averaged over."""

    train: tuple[str, ...] = Field(("identity",), min_length=1)
    """Views that heads are trained on."""
    test: tuple[str, ...] = Field(("identity",), min_length=1)
    """Views whose predictions are averaged, of out-of-fold and test rows alike."""
