"""A U-Net (Ronneberger, Fischer and Brox 2015), small and of full resolution."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import convolved, pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Halvings whose maps double, and back again beside the maps of the way down; batch norm, nearest enlargement."""

    native_px: ClassVar[int] = 256
    min_px: ClassVar[int] = 16
    gives: ClassVar[Literal["features", "steps", "maps"]] = "maps"

    width: int = Field(16, ge=1)
    """Maps at full resolution."""
    depth: int = Field(3, ge=1, le=6)
    """Halvings."""
    most: int = Field(128, ge=1)
    """Maps at any resolution, at most."""

    @property
    def stride(self) -> int:
        """See podium.training.networks."""
        return int(2**self.depth)

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        import keras
        from keras import layers

        image, maps = pixels(px)
        below = []
        for level in range(self.depth + 1):
            n = min(self.width * 2**level, self.most)
            maps = convolved(convolved(maps, n), n)
            if level < self.depth:
                below.append(maps)
                maps = layers.MaxPooling2D()(maps)
        for level in range(self.depth - 1, -1, -1):
            n = min(self.width * 2**level, self.most)
            maps = layers.Concatenate()([layers.UpSampling2D()(convolved(maps, n)), below[level]])
            maps = convolved(convolved(maps, n), n)
        return keras.Model(image, layers.Activation("linear", dtype="float32")(maps))
