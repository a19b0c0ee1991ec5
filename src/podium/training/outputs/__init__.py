"""What a network ends in, after its encoder, and what becomes of it: one module for each type of prediction.

Each module defines `class Problem(outputs.Problem)`, and the `Output`s that its networks may end in.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium.contracts.dataset import Dataset
from podium.contracts.predictions import Predictions
from podium.fitting.lesson import Lesson
from podium.training.encoder import Encoder


class Output(ABC):
    """Layers after the encoder, with their loss and metric. All methods run where Keras is loaded."""

    takes: ClassVar[str]  # `features`: the pooled vector; `steps`: one for each part of the width; `maps`: of pixels

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


@dataclass(frozen=True)
class Lessons:
    """What `n` rows teach a network."""

    target: np.ndarray  # (n, k) float32, as the loss takes it
    weight: np.ndarray  # (n,) float64, beside the row's own
    stratum: np.ndarray  # (n,) int64 class codes, for balanced sampling; 0 where there are no classes
    inner: np.ndarray  # (n,) or (n, k), what the parts for early stopping hold equal shares of
    facts: Mapping[str, float] = field(default_factory=dict)  # to keep beside the final weights


@dataclass(frozen=True)
class Problem(ABC):
    """A competition's task as networks learn it: targets in, predictions out."""

    encoder: Encoder
    task: Any
    data: Dataset
    where: str  # the place in params.yaml, for errors

    has_features: ClassVar[bool]  # whether what is kept of an image are features that heads can take
    at_once: ClassVar[int] = 256  # images that are asked for between two writes to the cache
    is_exact: ClassVar[bool] = False  # whether what is kept needs float32

    @property
    def name(self) -> str:
        """Return what, beside targets, decides how the network ends."""
        return str(self.task.kind)

    def check(self) -> None:  # noqa: B027  # most tasks can be learnt by any network
        """Raise PodiumError where this network cannot learn this task, before anything is trained."""

    @abstractmethod
    def lessons(self, row_ids: np.ndarray) -> Lessons:
        """Return what these rows teach, in their order."""

    def taught(self, lesson: Lesson) -> Lessons:
        """Return what rows teach by a lesson, which takes the place of their targets and weights."""
        raise NotImplementedError

    @property
    def repeats(self) -> int:
        """Return how often an image comes in an epoch."""
        return 1

    def drawing(self, images: pd.DataFrame, pixels: np.ndarray) -> Callable[[np.ndarray, int], tuple[Any, Any]] | None:  # noqa: ARG002
        """Return what gives augmented images and targets by place and seed, where targets lie upon pixels.

        `images` has each one's row_id and place among `pixels (n, h, w, 3)`.
        """
        return None

    def decoded(self, image: np.ndarray) -> np.ndarray:
        """Return a decoded and resized image as the network is to see it."""
        return image

    @abstractmethod
    def build(self, seed: int) -> Any:
        """Return the `Model` before it is trained; `seed` is its only source of randomness."""

    @abstractmethod
    def kept(self, model: Any, images: Any) -> np.ndarray:
        """Return `(n, d)` float32: what is kept of each image `(n, h, w, 3)`, of which predictions are made.

        Networks of maps take a list of images, which may be turned and so have several shapes.
        """

    @abstractmethod
    def trained(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Any:
        """Return the network as it is saved, of its weights and the facts beside them."""

    @abstractmethod
    def predictions(self, asked: Sequence[Any], networks: Sequence[Any]) -> Predictions:
        """Return the predictions of all rows, by the saved `networks` of the folds.

        Args:
            asked: for each network, the FoldModel and the lines of the plan that it predicts.
            networks: what `trained` returned, as it was saved.
        """


def weights(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return the weights of a Keras model, in its own order, of the arrays that training keeps."""
    return tuple(arrays[f"model/{n}"] for n in range(sum(name.startswith("model/") for name in arrays)))
