"""Networks trained on the competition's images: their settings here, one idea a module beside it.

Light to import: Keras is loaded where a network is built.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from podium.frozen import Frozen
from podium.imaging.images import Resize
from podium.training.augmentation import Augmentation


class Finetune(Frozen):
    """One network, trained once a fold: a pretrained one of the table of backbones, or a preset from scratch.

    A pretrained network is trained in phases: its head alone, then from each name of `unfreeze` on, with a fresh
    optimiser and schedule each; the epochs after the warm-up are shared out evenly.
    """

    network: str
    options: dict[str, Any] = Field(default_factory=dict)  # of a preset, such as its width
    pooling: str | None = None  # of a pretrained network; None: its own
    layers: tuple[str, ...] = ()  # of a pretrained network: the maps that are pooled; none: the last
    resize: Resize = Resize()
    augment: Augmentation = Augmentation()
    seed: int = Field(0, ge=0)  # beside the competition's: another number, another model

    epochs: int = Field(10, ge=1)
    head_epochs: int | None = Field(None, ge=0)  # of the head alone; None: 1, and 0 from scratch
    unfreeze: tuple[str, ...] = ()  # the first of the network's layers that is trained, by phase; none: all of them
    learning_rate: float = Field(1e-3, gt=0)
    head_learning_rate: float = Field(1e-2, gt=0)  # of the head alone
    layer_decay: float = Field(1.0, gt=0, le=1)  # of the learning rate, by each layer further from the head
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_fraction: float = Field(0.1, ge=0, lt=1)  # the part of a phase in which the rate rises from 0
    weight_decay: float = Field(1e-2, ge=0)  # of kernels; decoupled (AdamW)
    clip_norm: float | None = Field(None, gt=0)  # of all gradients together

    batch: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)  # batches to a step
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  # auto: float32, and bfloat16 on a GPU
    batch_norm: Literal["frozen", "train"] | None = None  # None: frozen, and train from scratch
    dropout: float = Field(0.2, ge=0, lt=1)  # of the features, before the head
    ema: float | None = Field(None, gt=0, lt=1)  # momentum of the weights' moving average, which then predicts
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight: Literal["balanced"] | dict[str, float] | None = None  # by label
    sampling: Literal["uniform", "balanced"] = "uniform"  # each image once an epoch, or every class as often
    patience: int | None = Field(None, ge=1)  # epochs without a better loss of one of `inner` parts, never learnt from
    inner: int = Field(6, ge=2)

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _enough_epochs(self) -> Self:
        if self.epochs < (self.head_epochs or 0) + len(self.unfreeze):
            raise ValueError(f"`epochs`: {self.epochs} are too few for the warm-up and each phase of `unfreeze`")
        return self
