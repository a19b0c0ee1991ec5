"""What a row of the table of networks can do."""

from dataclasses import dataclass
from typing import Any

from podium.backbones.pooling import POOLINGS
from podium.errors import PodiumError

# Poolings that read one place of the network, so that naming layers beside them would say nothing.
_WITHOUT_LAYERS = ("head", "logits", "none")


@dataclass(frozen=True, kw_only=True)
class Network:
    """From pixels to features; a family is a subclass, a network of it is one row."""

    weights: str = ""  # names the exact weights: a file whose digest is known; empty where there are none
    license: str = ""  # of the weights
    native_px: int  # the side of the square images that it was made for
    min_px: int = 32
    width: int  # numbers per image, with the default pooling

    engines: tuple[str, ...]  # those that can run it; `auto` takes the first that suits the machine

    @property
    def poolings(self) -> tuple[str, ...]:
        """Return the poolings it allows, the default first."""
        raise NotImplementedError

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the named feature maps, from the pixels on; the last is the default."""
        raise NotImplementedError

    @property
    def preprocessing(self) -> str:
        """Return what it does to pixel values, for the fingerprint and the features file."""
        return "none"

    def check(self, px: int, pooling: str, layers: tuple[str, ...], where: str) -> None:
        """Raise PodiumError naming the param below `where` that the network has no answer to."""
        if px < self.min_px:
            raise PodiumError(f"{where}.resize.px: this network needs at least {self.min_px}, not {px}")
        if pooling not in self.poolings:
            raise PodiumError(f"{where}.pooling: no {pooling!r} here; choose one of: {', '.join(self.poolings)}")
        if layers and pooling in _WITHOUT_LAYERS:
            raise PodiumError(f"{where}.layers: leave it out with pooling {pooling!r}")
        for layer in layers:
            if layer not in self.layers or layers.count(layer) > 1:
                raise PodiumError(f"{where}.layers: {layer!r} must be one of these, once: {', '.join(self.layers)}")

    def require_weights(self, where: str, pooling: str) -> None:
        """Raise PodiumError opening with `where` unless the weights are on this machine or can be had now."""

    def build(self, px: int, pooling: str, layers: tuple[str, ...]) -> Any:
        """Return what an engine runs: from `(n, px, px, 3)` uint8 RGB to `(n, d)` float32.

        `d` is the layers' widths one after the other, in the order of `layers`.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class PretrainedNetwork(Network):
    """A pretrained trunk whose model is Keras's; preprocessing and pooling are part of the model."""

    engines: tuple[str, ...] = ("keras", "openvino")  # Keras suits a machine with a GPU
    n_prefix: int = 0  # tokens that stand for no place in the image

    def build(self, px: int, pooling: str, layers: tuple[str, ...] = (), *, pretrained: bool = True) -> Any:
        """See Network; without `pretrained` the weights are random, for tests of speed and shape."""
        import keras

        names = layers or ((pooling,) if pooling in _WITHOUT_LAYERS else self.layers[-1:])
        pixels = keras.Input((px, px, 3), dtype="uint8")
        trunk = self.trunk(px, names, pretrained=pretrained)
        maps = trunk(self.preprocess(keras.ops.cast(pixels, "float32")))
        vectors = [POOLINGS[pooling](keras.ops.cast(maps[name], "float32"), self.n_prefix) for name in names]
        return keras.Model(pixels, keras.ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0])

    def preprocess(self, pixels: Any) -> Any:
        """Return what the trunk takes, from float32 RGB in [0, 255]."""
        raise NotImplementedError

    def trunk(self, px: int | None, names: tuple[str, ...], *, pretrained: bool) -> Any:
        """Return a Keras model from preprocessed pixels to a dict of the named maps (or `head`, or `logits`).

        Without `px` it takes pictures of any size, if the network can.
        """
        raise NotImplementedError
