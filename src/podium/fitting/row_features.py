"""Features by row: of a row's images and views, of several backbones side by side, and of its metadata."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from podium.contracts.averages import mean_by_row, mean_view
from podium.contracts.bags import packed
from podium.contracts.features import Features
from podium.contracts.metadata import MetadataColumn
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.fitting import metadata


@dataclass(frozen=True)
class RowFeatures:
    """Features of rows by view: `x (n, v, d)` float32 of the sorted `row_id (n,)`.

    The last columns of `x` are those of `metadata`, not encoded yet: that is learnt on each fold's training rows. Where
    a row's images are kept apart, `x` is packed, and `width` the columns of each image.
    """

    row_id: np.ndarray
    x: np.ndarray
    metadata: tuple[MetadataColumn, ...] = ()
    width: int | None = None

    @property
    def n_views(self) -> int:
        """Return v."""
        return int(self.x.shape[1])

    def of_model(self, _name: str) -> Self:
        """Return the features that the model of this name takes: the same for all."""
        return self

    def lines(self, ids: np.ndarray) -> np.ndarray:
        """Return `(len(ids),)` int64: where these rows lie in `x`; raises PodiumError for a row that is not there."""
        indices = pd.Index(self.row_id).get_indexer(pd.Index(ids))
        if (indices < 0).any():
            raise PodiumError(f"no features for row_id {preview(np.asarray(ids)[indices < 0].tolist())}")
        return np.asarray(indices, np.int64)

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Return `(len(ids), v, d)`, in the order of the ids."""
        return np.asarray(self.x[self.lines(ids)])

    def merged(self) -> Self:
        """Return the mean of each row's views as its only view."""
        return dataclasses.replace(self, x=mean_view(self.x))


@dataclass(frozen=True)
class FoldFeatures:
    """Features of rows by networks trained once a fold: each model is fitted on those by the network of its fold.

    Another fold's network has weights, and so a space, of its own, and saw the rows that the model is to predict.
    """

    row_id: np.ndarray
    n_views: int
    by_network: Callable[[str], RowFeatures]

    def of_model(self, name: str) -> RowFeatures:
        """Return the features that the model of this name takes."""
        return self.by_network(name)

    def merged(self) -> Self:
        """Return the mean of each row's views as its only view."""
        return dataclasses.replace(self, n_views=1, by_network=lambda name: self.of_model(name).merged())


AnyFeatures = RowFeatures | FoldFeatures


def read_features(
    table: Features, images: pd.DataFrame, views: Sequence[str], where: str, *, each: bool = False
) -> AnyFeatures:
    """Return the features of the images' rows, by one network or by the network of each fold; `each` keeps images."""
    if not table.networks:
        return row_features(table, images, views, where, each=each)

    def by_network(name: str) -> RowFeatures:
        if name not in table.networks:
            raise PodiumError(f"{where}: no features by a network {name}; it has: {', '.join(table.networks)}")
        return row_features(table.of_network(name), images, views, where, each=each)

    return FoldFeatures(np.unique(images["row_id"].to_numpy(object)), len(views), by_network)


def row_features(
    features: Features, images: pd.DataFrame, views: Sequence[str], where: str, *, each: bool = False
) -> RowFeatures:
    """Return the features of the images' rows; where several images share a row, their mean in each view.

    With `each` they are kept apart instead, in the order of their position, or else of their ids.
    """
    at = features.index.assign(place=np.arange(len(features.index)))
    order = ["row_id", *(["position"] if "position" in images else []), "image_id"]
    planes = []
    for view in views:
        table = images[[*order]].merge(at[at["view"] == view], on="image_id", how="left", validate="1:1")
        if (lacking := table["place"].isna()).any():
            raise PodiumError(f"{where}: no view {view!r} of image_id {preview(table['image_id'][lacking])}")
        table = table.sort_values(order, kind="stable")
        ids, first, count = np.unique(table["row_id"].to_numpy(object), return_index=True, return_counts=True)
        x = features.matrix[table["place"].to_numpy(np.int64)].astype(np.float32)
        planes.append(packed(x, first, count) if each else mean_by_row(x, first, count))
    return RowFeatures(ids, np.stack(planes, axis=1), width=features.matrix.shape[1] + 1 if each else None)


def fused(blocks: Sequence[AnyFeatures]) -> AnyFeatures:
    """Return the blocks of several backbones side by side; they must hold the same rows and views."""
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    if any(isinstance(block, FoldFeatures) for block in blocks):
        return FoldFeatures(
            first.row_id, first.n_views, lambda name: _side_by_side([block.of_model(name) for block in blocks])
        )
    return _side_by_side([block.of_model("") for block in blocks])


def _side_by_side(blocks: Sequence[RowFeatures]) -> RowFeatures:
    row_id = blocks[0].row_id
    return RowFeatures(row_id, np.concatenate([block.of(row_id) for block in blocks], axis=2))


def blank(row_id: np.ndarray) -> RowFeatures:
    """Return rows without features in a single view, for metadata to stand beside."""
    ids = np.sort(row_id)
    return RowFeatures(ids, np.empty((len(ids), 1, 0), np.float32))


def with_metadata(block: AnyFeatures, rows: pd.DataFrame, columns: tuple[MetadataColumn, ...]) -> AnyFeatures:
    """Return the features with the rows' metadata as last columns, the same in every view."""
    cells = metadata.matrix(by_id(rows, block.row_id, "rows"), columns)
    in_views = np.repeat(cells[:, None], block.n_views, axis=1)

    def beside(own: RowFeatures) -> RowFeatures:
        return RowFeatures(block.row_id, np.concatenate([own.of(block.row_id), in_views], axis=2), columns)

    if isinstance(block, FoldFeatures):
        return dataclasses.replace(block, by_network=lambda name: beside(block.of_model(name)))
    return beside(block)
