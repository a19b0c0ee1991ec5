"""A recurrent network over a row's images, in their order."""

from collections.abc import Callable
from typing import Any

from pydantic import Field

from podium.contracts.bags import Recurrent
from podium.contracts.models import Fitted
from podium.heads.bags import BagHead


class Head(BagHead):
    """The last state of a gated recurrent unit that reads the images one by one: slices, frames, steps in time."""

    units: int = Field(32, ge=1)
    """Numbers that it keeps in mind."""

    def pooled(self, keras: Any, hidden: Any, is_there: Any) -> tuple[Any, Callable[[int, Fitted], Fitted]]:
        """See BagHead."""
        layer = keras.layers.GRU(self.units, reset_after=True)

        def made(width: int, each: Fitted) -> Recurrent:
            return Recurrent(width, each, *layer.get_weights())

        return layer(hidden, mask=is_there), made
