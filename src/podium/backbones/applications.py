"""Rows of keras.applications: constructor and preprocessing come from one module, so that they cannot be mixed up."""

import hashlib
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from podium.backbones.network import KerasNetwork
from podium.errors import PodiumError


@dataclass(frozen=True)
class Application(KerasNetwork):
    """`module` is one of keras.applications, `constructor` a class in it; `md5` is Keras's digest of the weights."""

    module: str
    constructor: str
    md5: str

    @property
    def preprocessing(self) -> str:
        """Return the name of the function that Keras ships with the weights."""
        return f"keras.applications.{self.module}.preprocess_input"

    def file(self) -> Path:
        """Return where Keras keeps, or would keep, the weights."""
        home = os.environ.get("KERAS_HOME")
        return (Path(home) if home else Path.home() / ".keras") / "models" / self.weights

    def require_weights(self, where: str) -> None:
        """See Network; what is missing is downloaded here and now, by Keras."""
        if self.file().exists():
            self._verify(where)
            return
        try:
            getattr(self._import(), self.constructor)(include_top=False, weights="imagenet")
        except Exception as error:  # noqa: BLE001  # network, proxy or disk: whatever it is, the file is not here
            reason = str(error).splitlines()[0]
            raise PodiumError(
                f"{where}: cannot download {self.weights} ({reason}); put it into {self.file().parent}"
            ) from None

    def trunk(self, px: int, *, pretrained: bool = True) -> Any:
        """See KerasNetwork."""
        import keras

        if pretrained:
            self._verify(self.weights)
        module = self._import()
        pixels = keras.Input((px, px, 3))
        constructor = getattr(module, self.constructor)
        network = constructor(include_top=False, weights="imagenet" if pretrained else None, input_shape=(px, px, 3))
        return keras.Model(pixels, network(module.preprocess_input(pixels)))

    def _import(self) -> Any:
        return import_module(f"keras.applications.{self.module}")

    def _verify(self, where: str) -> None:
        """Raise PodiumError where the file is not the one that Keras means; Keras itself would download it again."""
        path = self.file()
        if path.exists():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != self.md5:
                raise PodiumError(
                    f"{where}: {path} has MD5 {found}, not {self.md5}; delete it or put the right one there"
                )
