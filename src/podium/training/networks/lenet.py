"""LeNet-5 (LeCun et al. 1998) with ReLU and maxima, on colour pictures."""

from typing import Any, ClassVar

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Two 5x5 convolutions with a maximum each, then two dense layers; `width` multiplies the founding numbers."""

    native_px: ClassVar[int] = 32
    min_px: ClassVar[int] = 16

    width: int = Field(1, ge=1)
    """What the numbers of filters are multiplied by."""

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        import keras
        from keras import layers

        image, maps = pixels(px)
        for n_out in (6, 16):
            maps = layers.Conv2D(n_out * self.width, 5, activation="relu", kernel_initializer="he_normal")(maps)
            maps = layers.MaxPooling2D()(maps)
        vector = layers.Flatten()(maps)
        for n_out in (120, 84):
            vector = layers.Dense(n_out * self.width, "relu", kernel_initializer="he_normal")(vector)
        return keras.Model(image, layers.Activation("linear", dtype="float32")(vector))
