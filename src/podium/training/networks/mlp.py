"""Dense layers on pixels: the founding network for small gray pictures like MNIST's."""

from typing import Any, ClassVar

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import pixels


class ScratchNetwork(networks.ScratchNetwork):
    """Hidden layers with ReLU over all pixels at once."""

    native_px: ClassVar[int] = 28
    min_px: ClassVar[int] = 4

    hidden: tuple[int, ...] = Field((512, 512), min_length=1)
    """Units of each hidden layer."""

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        import keras
        from keras import layers

        image, maps = pixels(px)
        vector = layers.Flatten()(maps)
        for width in self.hidden:
            vector = layers.Dense(width, "relu", kernel_initializer="he_normal")(vector)
        return keras.Model(image, layers.Activation("linear", dtype="float32")(vector))
