"""Networks that are trained from scratch. One module each; it defines `class ScratchNetwork(networks.ScratchNetwork)`.

A module imports Keras inside `build`, so that checking params.yaml does not.
"""

from typing import Any, ClassVar

from podium.errors import PodiumError
from podium.frozen import Frozen


class ScratchNetwork(Frozen):
    """A network with its settings as fields; its weights are drawn when it is built, by `keras.utils.set_random_seed`.

    It holds no dropout, so that nothing in it is random while it trains.
    """

    native_px: ClassVar[int]  # the side of the square images that it was made for
    min_px: ClassVar[int]
    ends_in_map: ClassVar[bool] = False  # then its last layer is the mean over the places of that map

    def check(self, px: int, where: str) -> None:
        """Raise PodiumError naming the param below `where` that the network has no answer to."""
        if px < self.min_px:
            raise PodiumError(f"{where}.resize.px: this network needs at least {self.min_px}, not {px}")

    def build(self, px: int) -> Any:
        """Return a Keras model from `(n, px, px, 3)` float32 RGB in [0, 255] to features `(n, d)` float32."""
        raise NotImplementedError
