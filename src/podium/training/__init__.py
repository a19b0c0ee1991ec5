"""Networks trained on the competition's images: their settings here, one idea a module beside it.

Light to import: Keras is loaded where a network is built.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from podium.imaging.images import Resize
from podium.settings import Settings
from podium.training.augmentation import Augmentation
from podium.training.crops import MaskTraining
from podium.training.detection import Detection


class Finetune(Settings):
    """One network, trained once a fold: a pretrained one of the table of backbones, or a preset from scratch.

    A pretrained network is trained in phases: its head alone, then from each name of `unfreeze` on, with a fresh
    optimiser and schedule each; the epochs after the warm-up are shared out evenly.
    """

    network: str
    """A name of the table of networks, or a preset to train from scratch."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a preset, such as its width."""
    pooling: str | None = None
    """How a pretrained network's feature map becomes a vector; null: its own way."""
    layers: tuple[str, ...] = ()
    """The maps of a pretrained network that are pooled; none: the last."""
    resize: Resize = Resize()
    """How an image becomes the network's input."""
    augment: Augmentation = Augmentation()
    """Random changes of the images of a batch, in this order."""
    seed: int = Field(0, ge=0)
    """Beside the competition's: another number, another model."""

    epochs: int = Field(10, ge=1)
    """Passes over the training images, in all phases together."""
    head_epochs: int | None = Field(None, ge=0)
    """Epochs that train the head alone; null: 1 of a pretrained network, 0 from scratch."""
    unfreeze: tuple[str, ...] = ()
    """By phase, the first of the network's layers that is trained; none: all are."""
    learning_rate: float = Field(1e-3, gt=0)
    """The highest of a phase."""
    head_learning_rate: float = Field(1e-2, gt=0)
    """That of the head alone."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """What the learning rate is multiplied by, for each layer further from the head."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Of the learning rate within a phase."""
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    """The part of a phase in which the learning rate rises from 0."""
    weight_decay: float = Field(1e-2, ge=0)
    """Of kernels; decoupled (AdamW)."""
    clip_norm: float | None = Field(None, gt=0)
    """The greatest norm of all gradients together; null: any."""

    batch: int = Field(32, ge=1)
    """Images a batch."""
    accumulate: int = Field(1, ge=1)
    """Batches to a step of the optimiser."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: float32, and bfloat16 on a GPU."""
    frozen_engine: Literal["auto", "keras", "openvino"] = "auto"
    """Who runs the layers below `unfreeze`; `auto`: OpenVINO on a CPU, in its fastest precision if that is `auto`."""
    batch_norm: Literal["frozen", "train"] | None = None
    """null: frozen in a pretrained network, trained from scratch."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Of the features, before the head."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Momentum of the weights' moving average, which then predicts: for trainings of over 10 / (1 - ema) steps."""
    soup: int = Field(1, ge=1)
    """Epochs at the end whose weights are averaged; with `ema`, their moving averages are."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """The probability that is taken from the label and spread over the others."""
    focal: float | None = Field(None, ge=1)
    """Exponent of the focal loss, which weighs a row by (1 - p)^focal, p its label's probability; null: log loss."""
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    """Weights of rows by label, or `balanced`: all classes weigh the same."""
    sampling: Literal["uniform", "balanced"] = "uniform"
    """`uniform` shows each image once an epoch, `balanced` every class as often."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better loss of one of `inner` parts; null: never."""
    inner: int = Field(6, ge=2)
    """Parts of the training rows, of which early stopping holds one out."""
    decoder: Literal["unet", "fpn", "fcn"] | None = None
    """What makes masks of a network's maps: joined (`unet`), added (`fpn`), or FCN-8s (`fcn`); null: no masks."""
    masks: MaskTraining = MaskTraining()
    """Crops, loss and tiles, of networks that end in masks."""
    boxes: Detection | None = None
    """The end of a network that finds boxes, where it is not the usual one."""
    refit: Literal["folds", "full"] = "folds"
    """Test rows are predicted by the mean of the folds' networks, or by one network of all rows."""
    features: bool = False
    """Whether the networks' features of all rows are kept, for heads of members and fusions."""

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _enough_epochs(self) -> Self:
        if self.epochs < (self.head_epochs or 0) + len(self.unfreeze):
            raise ValueError(f"`epochs`: {self.epochs} are too few for the warm-up and each phase of `unfreeze`")
        if self.soup > 1 and self.patience is not None:
            raise ValueError("`soup`: `patience` keeps the best epoch, so there is none to average; leave one out")
        if self.soup > self.epochs:
            raise ValueError(f"`soup`: {self.soup} are more than the {self.epochs} epochs")
        return self
