"""The settings of a backbone: a pretrained network and all that changes its features."""

from typing import Literal

from pydantic import Field

from podium.imaging.images import Resize
from podium.settings import Settings


class Backbone(Settings):
    """A pretrained network and all that changes its features."""

    network: str
    """A name of the table of networks."""
    pooling: str | None = None
    """How a feature map becomes a vector; null: the network's own way."""
    layers: tuple[str, ...] = ()
    """The feature maps to pool, side by side; none: the last one."""
    resize: Resize = Resize()
    """How an image becomes the network's input."""
    engine: Literal["auto", "keras", "openvino", "numpy"] = "auto"
    """What runs the network; `auto`: OpenVINO on a CPU, Keras on a GPU."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of weights and activations; `auto`: the fastest that the machine computes at full speed."""
    batch: int = Field(32, ge=1)
    """Images a batch."""
