"""Features by row: of a row's images and views, of several backbones side by side, and of its metadata."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from podium.contracts.features import Features
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview


@dataclass(frozen=True)
class RowFeatures:
    """Features of rows by view: `x (n, v, d)` float32 of the sorted `row_id (n,)`."""

    row_id: np.ndarray
    x: np.ndarray

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
        return dataclasses.replace(self, x=self.x.mean(axis=1, keepdims=True))


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


def read_features(table: Features, images: pd.DataFrame, views: Sequence[str], where: str) -> AnyFeatures:
    """Return the features of the images' rows, by one network or by the network of each fold."""
    if not table.networks:
        return row_features(table, images, views, where)

    def by_network(name: str) -> RowFeatures:
        if name not in table.networks:
            raise PodiumError(f"{where}: no features by a network {name}; it has: {', '.join(table.networks)}")
        return row_features(table.of_network(name), images, views, where)

    return FoldFeatures(np.unique(images["row_id"].to_numpy(object)), len(views), by_network)


def row_features(features: Features, images: pd.DataFrame, views: Sequence[str], where: str) -> RowFeatures:
    """Return the features of the images' rows; where several images share a row, their mean in each view."""
    at = features.index.assign(place=np.arange(len(features.index)))
    planes = []
    for view in views:
        table = images[["image_id", "row_id"]].merge(at[at["view"] == view], on="image_id", how="left", validate="1:1")
        if (lacking := table["place"].isna()).any():
            raise PodiumError(f"{where}: no view {view!r} of image_id {preview(table['image_id'][lacking])}")
        table = table.sort_values(["row_id", "image_id"], kind="stable")
        ids, first, count = np.unique(table["row_id"].to_numpy(object), return_index=True, return_counts=True)
        x = features.matrix[table["place"].to_numpy(np.int64)].astype(np.float32)
        # A lone image's features stay as they are, to the bit.
        planes.append(
            x if len(ids) == len(x) else np.add.reduceat(x, first, axis=0) / count[:, None].astype(np.float32)
        )
    return RowFeatures(ids, np.stack(planes, axis=1))


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


def tabular(rows: pd.DataFrame, like: AnyFeatures) -> RowFeatures:
    """Return the metadata of a block's rows as features `(n, v, d)`, the same in every view.

    Raises PodiumError where a column holds anything but numbers.
    """
    columns = [name for name in rows.columns if name.startswith("meta_")]
    known = by_id(rows, like.row_id, "rows")
    x = known[columns].apply(pd.to_numeric, errors="coerce")
    if (wrong := x.isna()).any(axis=None):
        column = wrong.any().idxmax()
        ids = preview(known["row_id"][wrong[column]])
        raise PodiumError(f"layout.metadata: {column.removeprefix('meta_')!r} must be a number: row_id {ids}")
    return RowFeatures(like.row_id, np.repeat(x.to_numpy(np.float32)[:, None], like.n_views, axis=1))
