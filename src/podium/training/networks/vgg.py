"""A VGG (Simonyan and Zisserman 2014) with batch norm: the founding network from scratch for cats and dogs."""

from typing import Any, ClassVar

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import averaged, convolved, pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Blocks of two 3x3 convolutions and a maximum, each block twice as wide as the one before, up to eight times."""

    native_px: ClassVar[int] = 128
    min_px: ClassVar[int] = 32
    ends_in_map: ClassVar[bool] = True

    width: int = Field(32, ge=1)
    """Filters of the first block."""
    blocks: int = Field(5, ge=1, le=5)
    """Blocks, each of which halves the resolution."""

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        image, maps = pixels(px)
        for block in range(self.blocks):
            n_out = self.width * 2 ** min(block, 3)
            maps = convolved(convolved(maps, n_out), n_out, pool=True)
        return averaged(image, maps)
