"""The feature maps that a network pools, found in the graph that extraction exported: Keras takes seconds to import."""

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np

from podium.features.extraction import Extraction

_REDUCTIONS = {"ReduceMean": "mean", "ReduceMax": "maximum"}
_PASSED = ("Convert", "Reshape", "Squeeze")  # between a reduction and the vector of all
_IMAGES_MAP = 4  # axes of a map of rows and columns; one of tokens has 3


class PooledMaps:
    """Runs a network as an engine does, but to its feature maps: `(n, h w c)` float32 of all, one after the other."""

    def __init__(self, model: Any, maps: Sequence[tuple[Any, tuple[int, ...]]], precision: str) -> None:
        import openvino

        from podium.engines.openvino import compiled

        whole = openvino.Model([output for output, _ in maps], model.get_parameters())
        self._model = compiled(whole, precision)
        self._axes = [axes for _, axes in maps]
        self.shapes = [_shape(output.get_shape(), axes) for output, axes in maps]

    @classmethod
    def of(cls, extraction: Extraction, exported: Path, poolings: Sequence[str]) -> Self | None:
        """Return the maps that an extraction pools by `poolings` each, in this order; None where its graph is another.

        `exported` is the folder of its exported model, which is made where there is none.
        """
        import openvino

        from podium.engines.openvino import model_file

        side, layers = extraction.px, extraction.backbone.layers
        with TemporaryDirectory() as spare:
            file = model_file(
                lambda: extraction.network.build(side, extraction.pooling, layers),
                (extraction.backbone.batch, side, side, 3),
                exported,
                Path(spare),
            )
            model = openvino.Core().read_model(file)
            found = _reductions(model.get_results()[0].input(0).get_source_output().get_node())
            expected = [which for _ in extraction.layers for which in poolings]
            if found is None or [which for which, _, _ in found] != expected:
                return None
            maps = {_name(output): (output, axes) for _, output, axes in found}
            return (
                cls(model, list(maps.values()), extraction.precision) if len(maps) == len(extraction.layers) else None
            )

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return the maps of RGB images `(n, px, px, 3)` uint8."""
        answers = self._model(images)
        flat = []
        for n, axes in enumerate(self._axes):
            array = np.asarray(answers[n], np.float32)
            channels = ({*range(1, array.ndim)} - {*axes}).pop()
            flat.append(np.moveaxis(array, channels, -1).reshape(len(array), -1))
        return np.hstack(flat)


def _reductions(node: Any) -> list[tuple[str, Any, tuple[int, ...]]] | None:
    """Return kind, map and axes of the places of each mean or maximum below a node, or None where there is more."""
    kind = node.get_type_name()
    if kind in _REDUCTIONS:
        axes = node.input(1).get_source_output().get_node().get_vector()
        source = node.input(0).get_source_output()
        rank = len(source.get_shape())
        places = tuple(sorted(int(axis) % rank for axis in axes))
        is_map = rank - len(places) == 2 and 0 not in places  # noqa: PLR2004  # images and channels are left
        return [(_REDUCTIONS[kind], source, places)] if is_map else None
    if kind not in ("Concat", *_PASSED):
        return None
    inputs = node.inputs() if kind == "Concat" else node.inputs()[:1]
    parts = [_reductions(one.get_source_output().get_node()) for one in inputs]
    return None if any(part is None for part in parts) else [one for part in parts for one in part or []]


def _name(output: Any) -> tuple[str, int]:
    return str(output.get_node().get_friendly_name()), int(output.get_index())


def _shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int, int]:
    """Return height, width and depth of a map; tokens are places of a square."""
    (channels,) = {*range(1, len(shape))} - {*axes}
    if len(shape) == _IMAGES_MAP:
        return shape[axes[0]], shape[axes[1]], shape[channels]
    side = math.isqrt(shape[axes[0]])
    return side, side, shape[channels]
