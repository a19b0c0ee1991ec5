"""What a network ends in, after its encoder: one module for each type of prediction."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np


class Output(ABC):
    """Layers after the encoder, with their loss and metric. All methods run where Keras is loaded."""

    takes: ClassVar[str]  # `features`: the encoder's pooled vector; `maps`: a dict of its named maps

    @abstractmethod
    def connect(self, encoded: Any) -> Any:
        """Return the Keras tensors, one or a dict, that the network ends in."""

    @abstractmethod
    def loss(self) -> Any:
        """Return the Keras loss."""

    @abstractmethod
    def metric(self) -> Any:
        """Return the Keras metric that is shown beside the loss; its name heads a column of the learning curve."""

    @abstractmethod
    def layers(self) -> list[Any]:
        """Return the layers that are trained in every phase, at the full learning rate."""

    def begin(self, model: Any, images: np.ndarray) -> None:  # noqa: B027  # most outputs need no preparation
        """Adapt to a pretrained encoder before the first step; `images` are some of the training set."""

    def final(self) -> Mapping[str, np.ndarray]:
        """Return arrays to keep beside the network's own at the end."""
        return {}
