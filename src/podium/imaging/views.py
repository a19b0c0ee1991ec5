"""Deterministic views of one image, as data: a name stands for an operation and its parameters.

All of them so far only move pixels, so they are exact and lose nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field

from podium.imaging.pixels import apply
from podium.settings import Settings

__all__ = ["VIEWS", "View", "Views", "apply", "undo"]


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


def undo(maps: np.ndarray, shape: tuple[int, int], operation: str, parameters: str) -> np.ndarray:
    """Return maps `(c, h * w)` of a view, flat, as `(c, h, w)` maps of the image, which has this `shape`.

    `parameters` are JSON, as in the plan of views. Every view but a quarter turn is its own inverse.
    """
    given = json.loads(parameters)
    turns = given.get("quarter_turns", 0)
    swaps = operation == "transpose" or turns % 2 == 1
    of_view = shape[::-1] if swaps else shape
    back = {"quarter_turns": 4 - turns} if turns else given
    return np.stack([apply(one.reshape(of_view), operation, back) for one in maps])


class Views(Settings):
    """The views of each image that heads are trained on, and those that predictions are averaged over."""

    train: tuple[str, ...] = Field(("identity",), min_length=1)
    """Views that heads are trained on."""
    test: tuple[str, ...] = Field(("identity",), min_length=1)
    """Views whose predictions are averaged, of out-of-fold and test rows alike."""
