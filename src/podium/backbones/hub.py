"""Rows of KerasHub (the extra `podium[hub]`): vision transformers, from presets that KerasHub publishes."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from podium.backbones.network import PretrainedNetwork
from podium.errors import PodiumError


@dataclass(frozen=True, kw_only=True)
class HubNetwork(PretrainedNetwork):
    """`weights` is the preset's handle with its version; pixel values are scaled as the preset's own files say."""

    own_poolings: tuple[str, ...]
    stages: tuple[str, ...] = ()
    any_px: bool = False  # whether its position embeddings can be interpolated to another size
    patch_px: int = 16

    @property
    def poolings(self) -> tuple[str, ...]:
        """See Network."""
        return self.own_poolings

    @property
    def layers(self) -> tuple[str, ...]:
        """See Network; `last` are the normalised tokens."""
        return (*self.stages, "last")

    @property
    def preprocessing(self) -> str:
        """Return that the preset holds it."""
        return "the preset's scale and offset"

    def check(self, px: int, pooling: str, layers: tuple[str, ...], where: str) -> None:
        """See Network; tokens are patches, and most networks know one number of them."""
        super().check(px, pooling, layers, where)
        if not self.any_px and px != self.native_px:
            raise PodiumError(f"{where}.resize.px: this network needs {self.native_px}, not {px}")
        if px % self.patch_px:
            raise PodiumError(f"{where}.resize.px: this network needs a multiple of {self.patch_px}, not {px}")

    def folder(self) -> Path:
        """Return where KerasHub keeps, or would keep, the preset."""
        home = os.environ.get("KAGGLEHUB_CACHE")
        return (Path(home) if home else Path.home() / ".cache/kagglehub") / "models" / self.weights

    def require_weights(self, where: str, pooling: str) -> None:  # noqa: ARG002  # one preset holds them all
        """See Network; what is missing is downloaded here and now."""
        if find_spec("keras_hub") is None:
            raise PodiumError(f"{where}: this network needs KerasHub; run `pip install 'podium[hub]'`")
        if (self.folder() / "config.json").exists():
            return
        try:
            import kagglehub

            kagglehub.model_download(self.weights)
        except Exception as error:  # noqa: BLE001  # network, account or disk: whatever it is, the preset is not here
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PodiumError(
                f"{where}: cannot download the preset {self.weights} ({reason}); put its files into {self.folder()}"
            ) from None

    def preprocess(self, pixels: Any) -> Any:
        """See PretrainedNetwork."""
        import keras_hub
        from keras import ops

        preset = keras_hub.layers.ImageConverter.from_preset(str(self.folder()))
        scale = 1.0 if preset.scale is None else preset.scale
        offset = 0.0 if preset.offset is None else preset.offset
        return pixels * ops.convert_to_tensor(scale, "float32") + ops.convert_to_tensor(offset, "float32")

    def trunk(self, px: int | None, names: tuple[str, ...], *, pretrained: bool) -> Any:
        """See PretrainedNetwork."""
        import keras
        import keras_hub

        resized = {"image_shape": (px, px, 3)} if self.any_px else {}
        model = keras_hub.models.Backbone.from_preset(str(self.folder()), load_weights=pretrained, **resized)
        model = getattr(model, "vision_encoder", model)  # of SigLIP, which has one for texts too
        return keras.Model(model.inputs[0], {name: self._map(model, name) for name in names})

    def _map(self, model: Any, name: str) -> Any:
        if name == "last" and "head" in self.poolings:
            return model.post_layer_norm.output  # the head pools by attention after it
        if name in ("last", "head"):
            return model.output
        pyramid = getattr(model, "pyramid_outputs", None)
        return pyramid[name] if pyramid else model.get_layer(name).output
