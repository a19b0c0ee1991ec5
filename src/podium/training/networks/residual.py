"""A small residual network for pictures of 32 px (the ResNet-9 of Page 2018, "How to train your ResNet")."""

from typing import Any, ClassVar

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import averaged, convolved, pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Three halvings that double the width; the first and the last have a residual pair of convolutions behind them.

    `width: 64` is the published one, for a GPU.
    """

    native_px: ClassVar[int] = 32
    min_px: ClassVar[int] = 16
    ends_in_map: ClassVar[bool] = True

    width: int = Field(16, ge=1)
    """Filters of the first convolution, at full resolution."""

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        from keras import layers

        image, maps = pixels(px)
        maps = convolved(maps, self.width)
        for factor in (2, 4, 8):
            n_out = self.width * factor
            maps = convolved(maps, n_out, pool=True)
            if factor != 4:  # noqa: PLR2004  # the middle one of the three
                maps = layers.Add()([maps, convolved(convolved(maps, n_out), n_out)])
        return averaged(image, maps)
