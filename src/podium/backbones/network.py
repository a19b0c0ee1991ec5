"""What a row of the table of networks can do."""

from dataclasses import dataclass
from typing import Any, ClassVar

from podium.pooling import POOLINGS


@dataclass(frozen=True)
class Network:
    """From pixels to features; a family is a subclass, a network of it is one row."""

    weights: str  # names the exact weights: a file whose digest is known; "" where it has none
    native_px: int  # the side of the square images that it was made for
    width: int  # numbers per position of its last feature map, or per image where it has no map
    license: str  # of the weights

    engines: ClassVar[tuple[str, ...]]  # those that can run it; `auto` takes the first that suits the machine

    @property
    def preprocessing(self) -> str:
        """Return what it does to pixel values, for the fingerprint and the features file."""
        return "none"

    def require_weights(self, where: str) -> None:
        """Raise PodiumError opening with `where` unless the weights are on this machine or can be had now."""

    def build(self, px: int, pooling: str) -> Any:
        """Return what an engine runs: from `(n, px, px, 3)` uint8 RGB to `(n, d)` float32."""
        raise NotImplementedError


class KerasNetwork(Network):
    """A pretrained trunk whose model is Keras's; preprocessing and pooling are part of the model."""

    engines: ClassVar[tuple[str, ...]] = ("keras", "openvino")  # Keras suits a machine with a GPU

    def build(self, px: int, pooling: str, *, pretrained: bool = True) -> Any:
        """See Network; without `pretrained` the weights are random, for tests of speed and shape."""
        import keras

        pixels = keras.Input((px, px, 3), dtype="uint8")
        maps = self.trunk(px, pretrained=pretrained)(keras.ops.cast(pixels, "float32"))
        return keras.Model(pixels, POOLINGS[pooling](keras.ops.cast(maps, "float32")))

    def trunk(self, px: int, *, pretrained: bool = True) -> Any:
        """Return a Keras model from `(n, px, px, 3)` float32 RGB in [0, 255] to `(n, h, w, width)`, channels last."""
        raise NotImplementedError
