"""From a pretrained network's maps of several strides to one of full resolution. Functions of Keras tensors."""

from typing import Any

_WIDTHS = {1: 16, 2: 24, 4: 32, 8: 64, 16: 96, 32: 128}  # maps, by stride
_LIGHT = 48  # maps of the FPN-like one
_FCN_STRIDE = 8  # of the finest map that FCN-8s looks at


def unet(maps: list[Any], strides: list[int]) -> tuple[Any, list[Any]]:
    """Return a map `(n, h, w, 16)` and the layers that are new: maps join on the way up, the pixels last.

    `maps` are of rising `strides`, from 1 (the pixels) on (Ronneberger et al. 2015).
    """
    from keras import layers

    block = _Blocks()
    last = block(maps[-1], _WIDTHS[strides[-1]])
    for level in range(len(maps) - 2, -1, -1):
        last = layers.Concatenate()([block.enlarged(last, strides[level + 1] // strides[level]), maps[level]])
        last = block(block(last, _WIDTHS[strides[level]]), _WIDTHS[strides[level]])
    return last, block.made


def fpn(maps: list[Any], strides: list[int]) -> tuple[Any, list[Any]]:
    """Return a map `(n, h, w, 16)` and the layers that are new: all maps as wide, summed (Kirillov et al. 2019)."""
    from keras import layers

    block = _Blocks()
    last = block(maps[-1], _LIGHT, kernel=1)
    for level in range(len(maps) - 2, 0, -1):
        enlarged = block.enlarged(last, strides[level + 1] // strides[level])
        last = layers.Add()([enlarged, block(maps[level], _LIGHT, kernel=1)])
    last = block.enlarged(block(last, _LIGHT), strides[1])
    return block(layers.Concatenate()([last, maps[0]]), _WIDTHS[1]), block.made


def fcn(maps: list[Any], strides: list[int]) -> tuple[Any, list[Any]]:
    """Return a map `(n, h, w, 16)` and the layers that are new: scores of the maps of strides 8 and more, summed.

    FCN-8s (Long, Shelhamer and Darrell 2015), its scores enlarged by bilinear interpolation: all of it is linear.
    """
    from keras import layers

    block, last, before = _Blocks(), None, 1
    for one, stride in sorted(zip(maps, strides, strict=True), key=lambda pair: -pair[1]):
        if stride < _FCN_STRIDE and last is not None:
            break
        scores = block.add(layers.Conv2D(_WIDTHS[1], 1, kernel_initializer="he_normal"))(one)
        last = scores if last is None else layers.Add()([block.enlarged(last, before // stride), scores])
        before = stride
    return block.enlarged(last, before), block.made


DECODERS = {"unet": unet, "fpn": fpn, "fcn": fcn}


class _Blocks:
    """Convolution, batch norm and ReLU, remembering the layers that it makes."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def add(self, layer: Any) -> Any:
        self.made.append(layer)
        return layer

    def enlarged(self, maps: Any, factor: int) -> Any:
        from keras import layers

        return self.add(layers.UpSampling2D(factor, interpolation="bilinear"))(maps)

    def __call__(self, maps: Any, n_out: int, kernel: int = 3) -> Any:
        from keras import layers

        maps = self.add(layers.Conv2D(n_out, kernel, padding="same", use_bias=False, kernel_initializer="he_normal"))(
            maps
        )
        return layers.ReLU()(self.add(layers.BatchNormalization(momentum=0.9))(maps))
