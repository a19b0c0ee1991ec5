"""What several networks are made of. Every function takes and returns Keras tensors."""

from typing import Any

from podium.training.networks import Input


def pixels(px: Input) -> tuple[Any, Any]:
    """Return the input `(n, h, w, 3)` in [0, 255], and it around 0 with a deviation of about 1, in float32."""
    import keras

    image = keras.Input((px, px, 3) if isinstance(px, int) else (*px, 3))
    return image, keras.layers.Rescaling(1 / 64, offset=-127.5 / 64, dtype="float32")(image)


def convolved(maps: Any, n_out: int, *, pool: bool = False) -> Any:
    """Return 3x3 convolution, (2x2 maximum), batch norm, ReLU. Norm comes after the maximum: a quarter of its work."""
    from keras import layers

    maps = layers.Conv2D(n_out, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(maps)
    maps = layers.MaxPooling2D()(maps) if pool else maps
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(maps))


def averaged(image: Any, maps: Any) -> Any:
    """Return the model from the image to the mean over places, which is float32 in mixed precision too."""
    import keras

    return keras.Model(image, keras.layers.GlobalAveragePooling2D(dtype="float32")(maps))


def gray(pictures: Any) -> Any:
    """Return the mean of the channels as the only one: a third of the first convolution's work."""
    import keras

    return keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3))(pictures)
