"""Convolutions, then steps along the width that see their neighbours (after Shi, Bai and Yao 2015), read by CTC."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from podium.training import networks
from podium.training.networks.layers import convolved, gray, pixels

_HALVINGS = 2  # of the width; the height is halved `blocks` times


class ScratchNetwork(networks.ScratchNetwork):
    """Gray pictures; the width is halved twice, so a picture of 86 pixels has 21 steps."""

    native_px: ClassVar[int] = 40
    native_width: ClassVar[int | None] = 86
    min_px: ClassVar[int] = 16
    gives: ClassVar[Literal["features", "steps", "maps"]] = "steps"

    width: int = Field(32, ge=1)
    """Channels of the first block."""
    blocks: int = Field(4, ge=_HALVINGS, le=5)
    """Halvings of the height; channels double with each, up to four times the first."""
    hidden: int = Field(128, ge=1)
    """Numbers of a step."""
    sequence: Literal["convolution", "recurrent"] = "convolution"
    """What lets a step see others: three dilated convolutions, or two bidirectional GRUs, which are slow on a CPU."""

    def steps(self, width: int) -> int:
        """See podium.training.networks."""
        return width // 4  # two halvings

    def build(self, px: networks.Input) -> Any:
        """See podium.training.networks."""
        import keras
        from keras import layers

        image, maps = pixels(px)
        maps = gray(maps)
        for block in range(self.blocks):
            maps = convolved(maps, self.width * 2 ** min(block, 2), pool=block < _HALVINGS)
            maps = maps if block < _HALVINGS else layers.MaxPooling2D((2, 1))(maps)
        _, height, width, n_maps = maps.shape
        steps = layers.Reshape((width, height * n_maps))(layers.Permute((2, 1, 3))(maps))
        steps = self._normed(layers.Dense(self.hidden, use_bias=False, kernel_initializer="he_normal")(steps))
        if self.sequence == "recurrent":
            for _ in range(2):
                steps = layers.Bidirectional(layers.GRU(self.hidden // 2, return_sequences=True))(steps)
        else:
            for dilation in (1, 2, 4):
                near = layers.Conv1D(
                    self.hidden,
                    3,
                    padding="same",
                    dilation_rate=dilation,
                    use_bias=False,
                    kernel_initializer="he_normal",
                )(steps)
                steps = layers.Add()([steps, self._normed(near)])
        return keras.Model(image, layers.Activation("linear", dtype="float32")(steps))

    @staticmethod
    def _normed(steps: Any) -> Any:
        from keras import layers

        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(steps))
