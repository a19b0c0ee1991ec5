"""Convolutions, then a dense layer over all of the map, which tells places apart: for texts of a fixed length."""

from typing import Any, ClassVar

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import convolved, gray, pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Gray pictures; each block doubles the channels and halves both sides, then a dense layer with ReLU."""

    native_px: ClassVar[int] = 40
    native_width: ClassVar[int | None] = 86
    min_px: ClassVar[int] = 16

    width: int = Field(32, ge=1)
    """Channels of the first block."""
    blocks: int = Field(4, ge=1, le=5)
    """Halvings of both sides; channels double with each, up to four times the first."""
    hidden: int = Field(256, ge=1)
    """The dense layer's units."""

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        import keras
        from keras import layers

        image, maps = pixels(px)
        maps = gray(maps)
        for block in range(self.blocks):
            maps = convolved(maps, self.width * 2 ** min(block, 2), pool=True)
        vector = layers.Dense(self.hidden, use_bias=False, kernel_initializer="he_normal")(layers.Flatten()(maps))
        vector = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(vector))
        return keras.Model(image, layers.Activation("linear", dtype="float32")(vector))
