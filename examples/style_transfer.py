"""Neural style transfer (Gatys, Ecker and Bethge 2016) with a trunk of podium's table.

    python examples/style_transfer.py [PICTURE.png] [CONTENT STYLE]

The result keeps the content's deep feature map, and has the style's correlations between channels (Gram matrices) in
shallower ones. Its pixels are what Adam changes; their differences keep them smooth. With EfficientNet-Lite0, whose
weights come with a package, 200 steps at 224 px took a minute on a busy CPU; `network="vgg16"` is the paper's, and
downloads its weights.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from podium.backbones import NETWORKS
from podium.backbones.network import PretrainedNetwork
from podium.imaging.images import Resize, decode, resize

CONTENT_LAYER, STYLE_LAYERS = "block4", ("stem", "block1", "block2", "block3", "block4")


def gram(maps: Any) -> Any:
    """Return `(c, c)`: the mean products of channels over the places of a map `(1, h, w, c)`."""
    from keras import ops

    flat = ops.reshape(maps, (-1, maps.shape[-1]))
    return ops.matmul(ops.transpose(flat), flat) / flat.shape[0]


class Objective:
    """The loss of pixels `(1, px, px, 3)` float32 in [0, 255]: far from the content, unlike the style, or rough."""

    def __init__(
        self, content: np.ndarray, style: np.ndarray, network: str, weights: tuple[float, float, float]
    ) -> None:
        known = NETWORKS[network]
        assert isinstance(known, PretrainedNetwork)
        self._network, self._weights = known, weights
        lite = network.startswith("efficientnet_lite")
        self._layers = STYLE_LAYERS if lite else known.layers[:-1]
        self._content_layer = CONTENT_LAYER if lite else known.layers[-2]
        names = tuple(dict.fromkeys([*self._layers, self._content_layer]))
        self._trunk = known.trunk(len(content), names, pretrained=True)
        self._content = self._maps(content[None])[self._content_layer]
        maps = self._maps(style[None])
        self._grams = {layer: gram(maps[layer]) for layer in self._layers}

    def __call__(self, pixels: Any) -> Any:
        """Return the loss, a scalar tensor; each part is relative to what the style or content itself has."""
        from keras import ops

        maps = self._maps(pixels)
        content = ops.mean((maps[self._content_layer] - self._content) ** 2) / ops.mean(self._content**2)
        style = sum(
            ops.mean((gram(maps[layer]) - target) ** 2) / ops.mean(target**2) for layer, target in self._grams.items()
        ) / len(self._grams)
        down, right = pixels[:, 1:] - pixels[:, :-1], pixels[:, :, 1:] - pixels[:, :, :-1]
        rough = (ops.mean(down**2) + ops.mean(right**2)) / 255**2
        return self._weights[0] * content + self._weights[1] * style + self._weights[2] * rough

    def _maps(self, pixels: Any) -> dict[str, Any]:
        from keras import ops

        found: dict[str, Any] = self._trunk(self._network.preprocess(ops.cast(pixels, "float32")), training=False)
        return found


def transfer(
    content: np.ndarray,
    style: np.ndarray,
    steps: int = 200,
    network: str = "efficientnet_lite0",
    weights: tuple[float, float, float] = (1.0, 30.0, 3.0),
) -> tuple[np.ndarray, list[float]]:
    """Return the picture `(px, px, 3)` uint8 RGB, and the loss by step.

    Args:
        content: `(px, px, 3)` uint8 RGB, where the search starts.
        style: `(px, px, 3)` uint8 RGB.
        steps: of Adam, by TensorFlow.
        network: a pretrained one of the table.
        weights: of content, style and smoothness.
    """
    import keras
    import tensorflow as tf

    objective = Objective(content, style, network, weights)
    pixels = tf.Variable(content[None].astype(np.float32))
    optimizer = keras.optimizers.Adam(4.0)
    optimizer.build([pixels])

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = objective(pixels)
        optimizer.apply([tape.gradient(loss, pixels)], [pixels])
        pixels.assign(tf.clip_by_value(pixels, 0.0, 255.0))
        return loss

    losses = [float(step()) for _ in range(steps)]
    return np.asarray(pixels[0]).round().astype(np.uint8), losses


def main(
    picture: Path, content: Path | None = None, style: Path | None = None, px: int = 224, steps: int = 200
) -> float:
    """Write content, style and result side by side; returns the last loss as a share of the first."""
    import cv2
    from skimage import data

    sources = [
        data.chelsea() if content is None else _read(content),
        data.immunohistochemistry() if style is None else _read(style),
    ]
    squares = [resize(source, Resize(mode="crop"), px) for source in sources]
    result, losses = transfer(*squares, steps=steps)
    cv2.imwrite(str(picture), np.hstack([*squares, result])[..., ::-1])
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {steps} steps")
    return losses[-1] / losses[0]


def _read(path: Path) -> np.ndarray:
    return decode(path.read_bytes())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:] or ["style_transfer.png"]))
