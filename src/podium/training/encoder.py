"""What is trained: a pretrained network or a preset, from pixels to features, and how deep each of its layers lies."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from podium import plugins
from podium.backbones import NETWORKS
from podium.backbones.network import PretrainedNetwork
from podium.backbones.pooling import POOLINGS
from podium.errors import PodiumError
from podium.imaging.images import Shape
from podium.training import Finetune
from podium.training.networks import ScratchNetwork

_MAP_AXES = 4  # of a batch of maps
_MOST_STRIDE = 32  # of the coarsest maps of pretrained networks


@dataclass(frozen=True)
class Encoder:
    """A network without its head. `depths` are its layers that `unfreeze` can name, from the pixels on."""

    spec: Finetune
    network: PretrainedNetwork | ScratchNetwork
    has_pyramid: bool = False  # a pretrained network's maps as they are, in the order of `pooled`, not one vector

    @property
    def is_pretrained(self) -> bool:
        """Return whether it starts from weights of its own."""
        return isinstance(self.network, PretrainedNetwork)

    @property
    def shape(self) -> Shape:
        """Return height and width of the images that it takes."""
        network = self.network
        return self.spec.resize.shape(network.native if isinstance(network, ScratchNetwork) else network.native_px)

    @property
    def px(self) -> int:
        """Return the side of the square images that it takes."""
        height, width = self.shape
        assert height == width, "only a network from scratch takes another shape, by `shape`"
        return height

    @property
    def gives(self) -> Literal["features", "steps", "maps"]:
        """Return whether an image becomes a vector, one for each part of its width, or maps of it."""
        if isinstance(self.network, ScratchNetwork):
            return self.network.gives
        return "features" if self.spec.decoder is None else "maps"

    @property
    def input(self) -> int | Shape:
        """Return the shape, or the side of a square."""
        height, width = self.shape
        return height if height == width else self.shape

    @property
    def depths(self) -> tuple[str, ...]:
        """Return the names of its layers, up to the last that is pooled."""
        if not isinstance(self.network, PretrainedNetwork):
            return ("all",)
        names = self.network.layers
        return names[: max(names.index(layer) for layer in self.spec.layers or names[-1:]) + 1]

    @property
    def pooled(self) -> tuple[str, ...]:
        """Return the names of a pretrained network's maps whose vectors are the features, in their order."""
        return self.spec.layers or self.network.layers[-1:] if isinstance(self.network, PretrainedNetwork) else ()

    @property
    def description(self) -> dict[str, Any]:
        """Return what says which network it is, and what weights it starts from."""
        if not isinstance(self.network, PretrainedNetwork):
            return {"weights": "", "preprocessing": "the preset's own", "pooling": "the preset's own", "layers": ""}
        return {
            "weights": self.network.weights,
            "preprocessing": self.network.preprocessing,
            "pooling": "none" if self.has_pyramid else self.spec.pooling or self.network.poolings[0],
            "layers": ", ".join(self.pooled),
        }

    def require_weights(self, where: str) -> None:
        """Raise PodiumError opening with `where` unless the weights are on this machine or can be had now."""
        if isinstance(self.network, PretrainedNetwork):
            pooling = self.spec.pooling or self.network.poolings[0]
            self.network.require_weights(f"{where}.network", pooling)

    def build(self) -> tuple[Any, list[tuple[Any, int]]]:
        """Return a Keras model `(n, h, w, 3)` float32 RGB in [0, 255] -> what it `gives`, and its layers' depths.

        The depth of a layer is the place in `depths` of the first map that it leads to.
        """
        import keras

        if not isinstance(self.network, PretrainedNetwork):
            model = self.network.build((None, None) if self.gives == "maps" else self.input)
            return model, [(layer, 0) for layer in model.layers]
        if self.gives == "maps":
            return self._build_maps(self.network)
        inner = self.network.trunk(self.px, self.depths, pretrained=True)
        pixels = keras.Input((self.px, self.px, 3))
        maps = inner(self.preprocess(pixels))
        vectors = [self.pool(maps[name]) for name in self.pooled]
        if self.has_pyramid:
            return keras.Model(pixels, vectors), _depths(inner, self.depths)
        features = keras.ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
        return keras.Model(pixels, features), _depths(inner, self.depths)

    def _build_maps(self, network: PretrainedNetwork) -> tuple[Any, list[tuple[Any, int]]]:
        """Return the model from images of any size to its pixels and the last map of each stride, finest first."""
        import keras

        inner = network.trunk(None, self.depths, pretrained=True)
        pixels = keras.Input((None, None, 3))
        found = inner(self.preprocess(pixels))
        around_0 = keras.layers.Rescaling(1 / 64, offset=-127.5 / 64, dtype="float32")(pixels)
        return keras.Model(pixels, [around_0, *(found[name] for name in self.strides)]), _depths(inner, self.depths)

    @cached_property
    def strides(self) -> dict[str, int]:
        """Return the stride of each map that a decoder takes, the last of each, finest first.

        Raises PodiumError for a network whose maps are no pictures, or do not divide its input evenly.
        """
        assert isinstance(self.network, PretrainedNetwork)
        px = 4 * self.stride
        trunk = self.network.trunk(px, self.depths, pretrained=False)
        shapes = dict(zip(sorted(self.depths), (output.shape for output in trunk.outputs), strict=True))
        if any(len(shape) != _MAP_AXES or px % shape[1] for shape in shapes.values()):
            raise PodiumError(
                f"finetunes: decoder: {self.spec.network} has no maps that a decoder can take; choose one whose maps"
                " are a half, a quarter, ... of the picture, such as efficientnet_lite0, resnet50 or vgg16"
            )
        last = {px // shapes[name][1]: name for name in self.depths}
        return {name: stride for stride, name in sorted(last.items()) if stride > 1}

    @property
    def stride(self) -> int:
        """Return what the sides of a picture must be multiples of, in a network that gives maps."""
        return self.network.stride if isinstance(self.network, ScratchNetwork) else _MOST_STRIDE

    def preprocess(self, pixels: Any) -> Any:
        """Return what a pretrained network's trunk takes, from float32 RGB in [0, 255], symbolic like it."""
        assert isinstance(self.network, PretrainedNetwork)
        return self.network.preprocess(pixels)

    def pool(self, maps: Any) -> Any:
        """Return the vector `(n, d)` float32 of one of a pretrained network's maps, symbolic like it; or the map."""
        from keras import ops

        assert isinstance(self.network, PretrainedNetwork)
        if self.has_pyramid:
            return ops.cast(maps, "float32")
        return POOLINGS[self.description["pooling"]](ops.cast(maps, "float32"), self.network.n_prefix)


def find(spec: Finetune, where: str) -> Encoder:
    """Return the encoder that `spec` names; raises PodiumError naming the param below `where` that is wrong."""
    pretrained = {name: network for name, network in NETWORKS.items() if isinstance(network, PretrainedNetwork)}
    if spec.network in pretrained:
        encoder = Encoder(spec, pretrained[spec.network])
        if spec.resize.width is not None and spec.decoder is None:
            raise PodiumError(f"{where}.resize.width: {spec.network} takes squares: give `px`, with `mode: pad`")
        pretrained[spec.network].check(min(encoder.shape), encoder.description["pooling"], spec.layers, where)
        if spec.options:
            raise PodiumError(f"{where}.options: only a preset has options; {spec.network} is pretrained")
        if encoder.description["pooling"] in ("logits", "head"):
            raise PodiumError(f"{where}.pooling: it must pool a map; choose avg, max, avg_max or gem")
    elif spec.network in plugins.names("networks"):
        network = plugins.make("networks", spec.network, spec.options, f"{where}.options", "network")
        encoder = Encoder(spec, network)
        network.check(encoder.input, where)
        for key in ("pooling", "layers", "head_epochs", "unfreeze", "decoder"):
            if getattr(spec, key):
                raise PodiumError(f"{where}.{key}: leave it out: {spec.network} is trained from scratch, as it is")
    else:
        choices = ", ".join([*pretrained, *plugins.names("networks")])
        raise PodiumError(f"{where}.network: unknown network {spec.network!r}; choose one of: {choices}")
    for name in spec.unfreeze:
        if name not in encoder.depths:
            raise PodiumError(f"{where}.unfreeze: no layer {name!r}; choose from: {', '.join(encoder.depths)}")
    return encoder


def _depths(encoder: Any, names: tuple[str, ...]) -> list[tuple[Any, int]]:
    """Return each layer of a functional model, whose outputs are a dict of these names, with its depth."""
    import keras

    depths: dict[int, tuple[Any, int]] = {}
    outputs = dict(zip(sorted(names), encoder.outputs, strict=True))  # Keras flattens a dict by its sorted keys
    for depth, name in enumerate(names):
        for layer in keras.Model(encoder.inputs, outputs[name]).layers:
            depths.setdefault(id(layer), (layer, depth))
    return list(depths.values())
