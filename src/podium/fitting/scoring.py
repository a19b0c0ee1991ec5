"""What predictions go through on their way out, before they are scored or submitted."""

import numpy as np

from podium.frozen import Frozen


class Submission(Frozen):
    """What is done to predictions on the way out; applied to out-of-fold rows before they are scored."""

    clip: tuple[float, float] | None = None

    def apply(self, p: np.ndarray) -> np.ndarray:
        """Return predictions `(n, k)` as they go out."""
        return p if self.clip is None else p.clip(*self.clip)
