"""AdamW (Loshchilov and Hutter 2019) whose learning rate may differ from weight to weight."""

from collections.abc import Sequence
from typing import Any


def adamw(rates: Sequence[float], weight_decay: float, **options: Any) -> Any:
    """Return a Keras optimiser that multiplies its learning rate for each variable that it is built with, in order.

    `update_step` is Keras's own hook, and the same on every backend. Kernels decay, by the variable's own rate;
    biases and the scales and offsets of norms do not.
    """
    import keras

    class AdamW(keras.optimizers.Adam):  # type: ignore[misc]  # Keras has no types
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = learning_rate * rates[self._get_variable_index(variable)]
            if weight_decay and len(variable.shape) > 1:
                self.assign_sub(variable, variable * keras.ops.cast(rate * weight_decay, variable.dtype))
            super().update_step(gradient, variable, rate)

    return AdamW(**options)


def schedule(kind: str, rate: float, n_steps: int, warmup_fraction: float) -> Any:
    """Return the learning rate as a function of the step: a linear warm-up, then half a cosine down to 0, or flat."""
    import keras

    n_warmup = round(warmup_fraction * n_steps)
    if kind == "constant" and not n_warmup:
        return rate
    return keras.optimizers.schedules.CosineDecay(
        0.0 if n_warmup else rate,
        max(n_steps - n_warmup, 1),
        alpha=1.0 if kind == "constant" else 0.0,
        warmup_target=rate if n_warmup else None,
        warmup_steps=n_warmup,
    )
