"""Networks that are trained from scratch. One module each; it defines `class ScratchNetwork(networks.ScratchNetwork)`.

A module imports Keras inside `build`, so that checking params.yaml does not.
"""

from typing import Any, ClassVar, Literal

from podium.errors import PodiumError
from podium.imaging.images import Shape
from podium.settings import Settings

Input = int | Shape | tuple[None, None]  # the side of a square, height and width, or any of both


class ScratchNetwork(Settings):
    """A network with its settings as fields; its weights are drawn when it is built, by `keras.utils.set_random_seed`.

    It holds no dropout, so that nothing in it is random while it trains.
    """

    native_px: ClassVar[int]  # the side of the square images that it was made for
    min_px: ClassVar[int]
    native_width: ClassVar[int | None] = None  # of pictures that are no squares; `native_px` is their height
    ends_in_map: ClassVar[bool] = False  # then its last layer is the mean over the places of that map
    # steps: a vector for each part of the width; maps: one for each pixel
    gives: ClassVar[Literal["features", "steps", "maps"]] = "features"

    @property
    def native(self) -> int | Shape:
        """Return the shape that it was made for."""
        return self.native_px if self.native_width is None else (self.native_px, self.native_width)

    def check(self, px: int | Shape, where: str) -> None:
        """Raise PodiumError naming the param below `where` that the network has no answer to."""
        sides = {"px": px} if isinstance(px, int) else {"height": px[0], "width": px[1]}
        for key, side in sides.items():
            if side < self.min_px:
                raise PodiumError(f"{where}.resize.{key}: this network needs at least {self.min_px}, not {side}")

    def steps(self, width: int) -> int:
        """Return how many steps a picture of this width has, in a network that gives steps."""
        raise NotImplementedError

    @property
    def stride(self) -> int:
        """Return what the sides of a picture must be multiples of, in a network that gives maps."""
        raise NotImplementedError

    def build(self, px: Input) -> Any:
        """Return a Keras model from `(n, h, w, 3)` float32 RGB in [0, 255] to what it `gives`, in float32.

        That is `(n, d)` features, `(n, steps, d)`, or `(n, h, w, d)` maps, for which `px` may be (None, None).
        """
        raise NotImplementedError
