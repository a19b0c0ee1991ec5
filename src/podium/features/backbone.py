"""The settings of a backbone: a pretrained network and all that changes its features."""

from typing import Literal

from pydantic import Field

from podium.frozen import Frozen
from podium.imaging.images import Resize


class Backbone(Frozen):
    """A pretrained network and all that changes its features."""

    network: str
    pooling: str | None = None  # None: the network's own
    layers: tuple[str, ...] = ()  # none: the last feature map
    resize: Resize = Resize()
    engine: Literal["auto", "keras", "openvino", "numpy"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: int = Field(32, ge=1)
