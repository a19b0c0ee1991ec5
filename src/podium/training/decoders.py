"""From a pretrained network's maps of several strides to one of full resolution. Functions of Keras tensors."""

from typing import Any

_WIDTHS = {1: 16, 2: 24, 4: 32, 8: 64, 16: 96, 32: 128}  # maps, by stride
_LIGHT = 48  # maps of the FPN-like one


def unet(maps: list[Any]) -> tuple[Any, list[Any]]:
    """Return a map `(n, h, w, 16)` and the layers that are new: maps join on the way up, the pixels last.

    `maps` are of stride 1 (the pixels), 2, 4, ..., each half as large as the one before it (Ronneberger et al. 2015).
    """
    from keras import layers

    block = _Blocks()
    last = block(maps[-1], _WIDTHS[2 ** (len(maps) - 1)])
    for level in range(len(maps) - 2, -1, -1):
        last = layers.Concatenate()([block.add(layers.UpSampling2D(interpolation="bilinear"))(last), maps[level]])
        last = block(block(last, _WIDTHS[2**level]), _WIDTHS[2**level])
    return last, block.made


def fpn(maps: list[Any]) -> tuple[Any, list[Any]]:
    """Return a map `(n, h, w, 16)` and the layers that are new: all maps as wide, summed (Kirillov et al. 2019)."""
    from keras import layers

    block = _Blocks()
    last = block(maps[-1], _LIGHT, kernel=1)
    for level in range(len(maps) - 2, 0, -1):
        enlarged = block.add(layers.UpSampling2D(interpolation="bilinear"))(last)
        last = layers.Add()([enlarged, block(maps[level], _LIGHT, kernel=1)])
    last = block.add(layers.UpSampling2D(interpolation="bilinear"))(block(last, _LIGHT))
    return block(layers.Concatenate()([last, maps[0]]), _WIDTHS[1]), block.made


DECODERS = {"unet": unet, "fpn": fpn}


class _Blocks:
    """Convolution, batch norm and ReLU, remembering the layers that it makes."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def add(self, layer: Any) -> Any:
        self.made.append(layer)
        return layer

    def __call__(self, maps: Any, n_out: int, kernel: int = 3) -> Any:
        from keras import layers

        maps = self.add(layers.Conv2D(n_out, kernel, padding="same", use_bias=False, kernel_initializer="he_normal"))(
            maps
        )
        return layers.ReLU()(self.add(layers.BatchNormalization(momentum=0.9))(maps))
