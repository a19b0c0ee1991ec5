"""Rows of keras.applications: constructor and preprocessing come from one module, so that they cannot be mixed up."""

import hashlib
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from podium.backbones.network import PretrainedNetwork
from podium.errors import PodiumError

_SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class Application(PretrainedNetwork):
    """`module` is one of keras.applications, `constructor` a class in it."""

    module: str
    constructor: str
    maps: tuple[str, ...]  # Keras's names of the layers that end a stage; the last stands for the model's output
    digest: str  # Keras's digest, MD5 or SHA-256, of the weights without the classifier,
    digest_top: str  # and of the file with it

    @property
    def poolings(self) -> tuple[str, ...]:
        """See Network."""
        return ("avg", "max", "avg_max", "gem", "logits")

    @property
    def layers(self) -> tuple[str, ...]:
        """See Network."""
        return self.maps

    @property
    def preprocessing(self) -> str:
        """Return the name of the function that Keras ships with the weights."""
        return f"keras.applications.{self.module}.preprocess_input"

    def preprocess(self, pixels: Any) -> Any:
        """See PretrainedNetwork."""
        return self._import().preprocess_input(pixels)

    def check(self, px: int, pooling: str, layers: tuple[str, ...], where: str) -> None:
        """See Network; the classifiers were made for one size."""
        super().check(px, pooling, layers, where)
        if pooling == "logits" and px != self.native_px:
            raise PodiumError(f"{where}.resize.px: pooling 'logits' needs {self.native_px}, not {px}")

    def file(self, pooling: str) -> Path:
        """Return where Keras keeps, or would keep, the weights."""
        home = os.environ.get("KERAS_HOME")
        name = self.weights if pooling == "logits" else self.weights.replace(".h5", "_notop.h5")
        return (Path(home) if home else Path.home() / ".keras") / "models" / name

    def require_weights(self, where: str, pooling: str) -> None:
        """See Network; what is missing is downloaded here and now, by Keras."""
        path = self.file(pooling)
        if path.exists():
            self._verify(pooling, where)
            return
        try:
            self._model(top=pooling == "logits", weights="imagenet")
        except Exception as error:  # noqa: BLE001  # network, proxy or disk: whatever it is, the file is not here
            reason = str(error).splitlines()[0]
            raise PodiumError(f"{where}: cannot download {path.name} ({reason}); put it into {path.parent}") from None

    def trunk(self, px: int | None, names: tuple[str, ...], *, pretrained: bool) -> Any:
        """See PretrainedNetwork."""
        import keras

        top = names == ("logits",)
        if pretrained:
            self._verify("logits" if top else "", self.weights)
        model = self._model(top=top, weights="imagenet" if pretrained else None, input_shape=(px, px, 3))
        last = "logits" if top else self.maps[-1]
        outputs = {name: model.output if name == last else model.get_layer(name).output for name in names}
        return keras.Model(model.input, outputs)

    def _model(self, *, top: bool, **options: Any) -> Any:
        constructor = getattr(self._import(), self.constructor)
        # Without an activation the classifier gives logits.
        return constructor(include_top=top, **(options | ({"classifier_activation": None} if top else {})))

    def _import(self) -> Any:
        return import_module(f"keras.applications.{self.module}")

    def _verify(self, pooling: str, where: str) -> None:
        """Raise PodiumError where the file is not the one that Keras means; Keras itself would download it again."""
        path = self.file(pooling)
        if path.exists():
            meant = self.digest_top if pooling == "logits" else self.digest
            kind = "sha256" if len(meant) == _SHA256_DIGITS else "md5"
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
            if found != meant:
                raise PodiumError(f"{where}: {path} has {kind} {found}, not {meant}; delete it or replace it")
