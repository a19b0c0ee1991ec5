"""Strings: one softmax a place on the encoder's features, or CTC on its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from podium.contracts.models import Fitted
from podium.contracts.sequences import Emissions, Sequences
from podium.contracts.steps import Chain
from podium.errors import PodiumError, preview
from podium.tasks import decoding
from podium.training import outputs
from podium.training.model import Model
from podium.training.networks import ScratchNetwork
from podium.training.outputs import Lessons
from podium.training.outputs import Output as Base
from podium.training.trained import TrainedNetwork

_FLOOR = -30.0  # of log-probabilities that are kept
_FIRST_BLANK = 0.1  # probability of the blank before training; see Ctc


@dataclass(frozen=True)
class Steps(Fitted):
    """Flat log-probabilities `(n, steps * symbols)` as steps."""

    n_symbols: int

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return `(n, steps, symbols)`."""
        return x.reshape(len(x), -1, self.n_symbols)


@dataclass(frozen=True)
class Problem(outputs.Problem):
    """Text. What is kept of an image are log-probabilities of each step: no features for heads."""

    has_features: ClassVar[bool] = False

    @property
    def has_blank(self) -> bool:
        """Return whether the network's steps are read by CTC."""
        return self.encoder.gives == "steps"

    @property
    def longest(self) -> int:
        """Return the characters of the longest text."""
        return int(self.task.longest(self.data))

    @property
    def name(self) -> str:
        """See Problem."""
        return f"{super().name} {len(self.data.labels)} {self.longest}"

    def check(self) -> None:
        """See Problem: places need one length, and CTC needs as many steps as each text takes."""
        if not self.has_blank:
            if not self.task.is_fixed:
                raise PodiumError(
                    f"{self.where}.network: {self.encoder.spec.network} reads texts of one length; set the task's"
                    " min_length and max_length to it, or take crnn"
                )
            return
        network, (_, width) = self.encoder.network, self.encoder.shape
        assert isinstance(network, ScratchNetwork)
        ids = self.data.rows.loc[self.data.rows["split"] != "test", "row_id"].to_numpy(object)
        needed = np.array([decoding.needed_steps(text) for text in self.task.truth(self.data, ids)])
        most, steps = int(needed.max()), network.steps(width)
        if most > steps:
            wanted = next(wider for wider in range(width, width * most + most * 64) if network.steps(wider) >= most)
            raise PodiumError(
                f"{self.where}.resize.width: {width} gives {steps} steps, and CTC needs {most}, a character each and"
                f" one between equal neighbours, for row_id {preview(ids[needed > steps])}; at least {wanted} would do"
            )

    def lessons(self, row_ids: np.ndarray) -> Lessons:
        """See Problem; codes of characters, of CTC from 1 on and filled up with 0."""
        texts, code = self.task.truth(self.data, row_ids), {char: n for n, char in enumerate(self.data.labels)}
        target = np.zeros((len(texts), self.longest), np.float32)
        for row, text in enumerate(texts):
            target[row, : len(text)] = [code[char] + self.has_blank for char in text]
        lengths = np.array([len(text) for text in texts], np.int64)
        return Lessons(target, np.ones(len(texts)), np.zeros(len(texts), np.int64), lengths)

    def build(self, seed: int) -> Model:
        """See Problem."""
        n, dropout = len(self.data.labels), self.encoder.spec.dropout

        def output() -> Base:
            return Ctc(n, dropout, seed) if self.has_blank else Places(n, self.longest, dropout, seed)

        return Model(self.encoder, output, seed)

    def kept(self, model: Model, images: np.ndarray) -> np.ndarray:
        """See Problem; log-probabilities `(n, steps * symbols)`."""
        logits = model.outputs(images).astype(np.float64)
        logits -= logits.max(axis=2, keepdims=True)
        logp = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
        return np.asarray(np.maximum(logp, _FLOOR), np.float32).reshape(len(images), -1)

    def trained(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> TrainedNetwork:  # noqa: ARG002
        """See Problem; `predict` takes what is kept of images."""
        return TrainedNetwork(outputs.weights(arrays), Chain(()), Steps(len(self.data.labels) + self.has_blank))

    def predictions(self, asked: Sequence[Any], networks: Sequence[Any]) -> Sequences:
        """See Problem: every image, view and network of a row is one model of its emissions."""
        parts = []
        for (model, plan), network in zip(asked, networks, strict=True):
            logp = network.predict(np.stack([*model.rows.get(plan["key"])])).astype(np.float16)
            parts.append((plan[["row_id", "split"]], logp))
        plan, logp = pd.concat([plan for plan, _ in parts]), np.concatenate([logp for _, logp in parts])
        order = np.argsort(plan["row_id"].to_numpy(str), kind="stable")
        row_id, first, counts = np.unique(plan["row_id"].to_numpy(str)[order], return_index=True, return_counts=True)
        offset = np.concatenate([[0], np.cumsum(counts)])
        split = plan["split"].to_numpy(object)[order][first]
        emissions = Emissions(logp[order], offset, self.has_blank)
        found: Sequences = self.task.decode(row_id.astype(object), split, emissions, self.data.labels, self.longest)
        return found


class Places(Base):
    """Logits `(n, places, characters)`, each place by itself."""

    takes: ClassVar[str] = "features"

    def __init__(self, n_characters: int, n_places: int, dropout: float, seed: int) -> None:
        from keras import layers

        self._dropout = layers.Dropout(dropout, seed=seed, dtype="float32")
        self._dense = layers.Dense(n_places * n_characters, dtype="float32", name="head")
        self._reshape = layers.Reshape((n_places, n_characters), dtype="float32")

    def connect(self, encoded: Any) -> Any:
        """See Output."""
        return self._reshape(self._dense(self._dropout(encoded)))

    def loss(self) -> Any:
        """See Output."""
        import keras

        class PlacesLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
            """Cross-entropy, the mean over a text's places: a weight is then a text's."""

            def call(self, target: Any, logits: Any) -> Any:
                each = keras.losses.sparse_categorical_crossentropy(target, logits, from_logits=True)
                return keras.ops.mean(each, axis=-1)

        return PlacesLoss()

    def metric(self) -> Any:
        """See Output; the share of characters that are right."""
        import keras

        return keras.metrics.SparseCategoricalAccuracy("accuracy")

    def layers(self) -> list[Any]:
        """See Output."""
        return [self._dense]


class Ctc(Base):
    """Logits `(n, steps, 1 + characters)`, the blank first (Graves et al. 2006).

    Before training all characters are as likely as each other, and the blank is held down: else the first thing that
    CTC learns is to say nothing at all, and it takes hundreds of steps to come out of that.
    """

    takes: ClassVar[str] = "steps"

    def __init__(self, n_characters: int, dropout: float, seed: int) -> None:
        import keras

        others = (1 - _FIRST_BLANK) / n_characters
        bias = keras.initializers.Constant([np.log(_FIRST_BLANK / others), *np.zeros(n_characters)])
        self._dropout = keras.layers.Dropout(dropout, seed=seed, dtype="float32")
        self._dense = keras.layers.Dense(1 + n_characters, dtype="float32", name="head", bias_initializer=bias)

    def connect(self, encoded: Any) -> Any:
        """See Output."""
        return self._dense(self._dropout(encoded))

    def loss(self) -> Any:
        """See Output."""
        import keras

        return keras.losses.CTC()

    def metric(self) -> Any:
        """See Output; the share of texts that the likeliest path gives."""
        import keras

        return keras.metrics.MeanMetricWrapper(greedy_match, "exact_match")

    def layers(self) -> list[Any]:
        """See Output."""
        return [self._dense]


def greedy_match(target: Any, logits: Any) -> Any:
    """Return `(n,)` 1.0 where the likeliest path of `(n, steps, 1 + k)` gives the codes `(n, longest)`, else 0.0."""
    from keras import ops

    symbols = ops.argmax(logits, axis=2)
    before = ops.pad(symbols[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    is_new = ops.logical_and(symbols != before, symbols > 0)
    # A new symbol goes where as many came before it; what is no symbol goes nowhere.
    place = ops.cumsum(ops.cast(is_new, "int32"), axis=1) - 1
    longest = target.shape[1]
    at = ops.cast(place[:, :, None] == ops.arange(longest, dtype="int32"), "float32")
    kept = ops.where(is_new, symbols, ops.zeros_like(symbols))
    text = ops.sum(at * ops.cast(kept, "float32")[:, :, None], axis=1)
    count = ops.sum(ops.cast(is_new, "float32"), axis=1)
    right = ops.all(ops.abs(text - ops.cast(target, "float32")) < 0.5, axis=1)  # noqa: PLR2004  # equal codes
    return ops.cast(ops.logical_and(right, count <= longest), "float32")
