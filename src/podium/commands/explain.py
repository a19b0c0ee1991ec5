"""`podium explain [IMAGE_ID ...]`: where in an image a model sees its evidence, as pictures.

Without ids: the images of the report's gallery, and a copy of the report that shows the maps over them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from podium import paths
from podium.analysis import heatmaps
from podium.analysis.heatmaps import Heatmap
from podium.analysis.report.compose import compose, write
from podium.config import Config, vector_task
from podium.contracts import models
from podium.contracts.folds import FoldTable
from podium.contracts.tables import IMAGES, ROWS, by_id
from podium.errors import PodiumError, preview
from podium.features.extraction import Extraction, resolve_auto
from podium.imaging.images import Reader
from podium.imaging.overlay import data_uri, over, png
from podium.splits.folds import splits
from podium.storage import csv_table
from podium.storage.files import atomic
from podium.tasks.vector import VectorTask
from podium.training.encoder import Encoder, find

_PAGE_PX = 128  # of a map on the page; it has about 8 places a side


def run(config: Config, ids: list[str], member: str | None) -> None:
    """Write heatmaps/C/ID.png for each image, by `member` or else the best whose maps are exact; finetunes' are."""
    name = config.params.competition
    images = IMAGES.read(paths.data(name, "images.parquet"))
    unknown = sorted(set(ids) - set(images["image_id"]))
    if unknown:
        raise PodiumError(f"{paths.data(name, 'images.parquet')}: no image_id {preview(unknown)}")
    chosen, encoder = _choose(config, member)
    page = None if ids else compose(config)[0]
    wanted = ids or [tile.image_id for tile in page.tiles if tile.source]  # type: ignore[union-attr]  # a page where no ids
    asked = by_id(images, wanted, "images", "image_id")
    if isinstance(encoder, Extraction):
        found, how = _explain(config, chosen, encoder, asked), encoder.backbone.resize
    else:
        found, how = _explain_finetune(config, chosen, encoder, asked), encoder.spec.resize
    heat = {}
    with Reader(paths.raw(name)) as reader:
        for image_id, source in by_id(images, list(found), "images", "image_id")[["image_id", "source"]].to_numpy():
            pixels = reader.read(source)
            spread = heatmaps.placed(found[image_id].places, pixels.shape[:2], how)
            _write(over(pixels, spread), paths.heatmap(name, f"{quote(image_id, safe='')}.png"))
            heat[image_id] = data_uri(spread, _PAGE_PX)
    print(f"{paths.heatmap(name, '')}: {len(heat)} images explained by {chosen}")  # noqa: T201  # the command's answer
    if page:
        file = paths.heatmap(name, "report.html")
        legend = f"Heatmaps of {chosen}: red speaks for the label it gives (of two, for the second), blue against."
        write(replace(page, heat=heat, summary=f"{page.summary} {legend}"), file)
        print(f"{file}: the report with its heatmaps")  # noqa: T201


def _choose(config: Config, member: str | None) -> tuple[str, Extraction | Encoder]:
    """Return the member or finetune to explain, and what sees for it; raises PodiumError where there is none."""
    params, where = config.params, str(paths.PARAMS)
    if not isinstance(config.competition.task, VectorTask):
        kind = config.competition.task.kind
        raise PodiumError(f"explain: it shows evidence for classes and values; the competition's task is {kind}")
    choices = [*params.members, *params.finetunes]
    if member is not None and member not in choices:
        raise PodiumError(f"{where}: members: no {member!r}; choose one of: {', '.join(choices)}")
    table = paths.bank_table(params.competition)
    ranked = [member] if member else list(csv_table.read(table.read_bytes(), str(table))["member"])
    for name in ranked:
        encoder: Extraction | Encoder
        if name in params.finetunes:
            encoder = find(params.finetunes[name], f"{where}: finetunes.{name}")
        elif (one := params.members.get(name)) and one.backbones[0] in params.backbones and not one.metadata:
            if one.head.takes == "images" or not (member or one.head.is_linear):
                continue
            encoder = resolve_auto(params.backbones[one.backbones[0]], f"{where}: backbones.{one.backbones[0]}")
        else:  # it has no images of its own: a fusion, an import
            continue
        if heatmaps.pooling(encoder):
            return name, encoder
    raise PodiumError(
        f"{where}: members: none has a linear head on means or maxima of feature maps alone, as heatmaps need"
    )


def _explain(config: Config, name: str, extraction: Extraction, images: pd.DataFrame) -> dict[str, Heatmap]:
    """Return the maps by image id: of a train image by the models that did not see it, of a test image by all."""
    competition, task, how = config.params.competition, vector_task(config), str(heatmaps.pooling(extraction))
    with Reader(paths.raw(competition)) as reader:
        pairs = images[["image_id", "source"]].itertuples(index=False, name=None)
        maps = dict(heatmaps.maps_of(extraction, pairs, reader, paths.cache() / "models"))
    each: dict[str, list[Heatmap]] = {}
    for model, own in _models_of(config, name, images):
        score = heatmaps.score_of_head(model, task)
        for image_id in own["image_id"]:
            each.setdefault(image_id, []).append(heatmaps.activation(score, maps[image_id], how))
    return {image_id: _mean(found) for image_id, found in each.items()}


def _explain_finetune(config: Config, name: str, encoder: Encoder, images: pd.DataFrame) -> dict[str, Heatmap]:
    """Return the maps by image id, as `_explain` does; each fold's network looks with its own encoder."""
    task, how, each = vector_task(config), str(heatmaps.pooling(encoder)), dict[str, list[Heatmap]]()
    with Reader(paths.raw(config.params.competition)) as reader:
        pixels = {
            image_id: reader.resized(source, encoder.spec.resize, encoder.shape)
            for image_id, source in images[["image_id", "source"]].itertuples(index=False, name=None)
        }
    for model, own in _models_of(config, name, images):
        squares = np.stack([pixels[image_id] for image_id in own["image_id"]])
        score = heatmaps.score_of_finetune(model, task)
        for image_id, maps in zip(
            own["image_id"], heatmaps.maps_of_finetune(encoder, model.weights, squares), strict=True
        ):
            each.setdefault(image_id, []).append(heatmaps.activation(score, maps, how))
    return {image_id: _mean(found) for image_id, found in each.items()}


def _models_of(config: Config, name: str, images: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield each saved model with the images that it may explain: it saw none of their train rows' groups."""
    competition = config.params.competition
    folder, folds = paths.models(competition, name), FoldTable.read(paths.dataset(competition))
    is_test = images["split"] == "test"
    if (folder / f"{models.FULL}.json").exists() and is_test.any():
        yield models.load(folder, models.FULL), images[is_test]
        is_test &= False
    for split in splits(folds, ROWS.read(paths.data(competition, "rows.parquet"))):
        own = images[images["row_id"].isin(split.valid) | is_test]
        if len(own):
            yield models.load(folder, models.of_fold(split.repeat, split.fold)), own


def _mean(found: list[Heatmap]) -> Heatmap:
    """Return the mean of several models' maps, of those that give the label which most of them give."""
    label = Counter(sorted(one.label for one in found)).most_common(1)[0][0]
    return Heatmap(label, np.mean([one.places for one in found if one.label == label], axis=0))


def _write(pixels: np.ndarray, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(png(pixels))
