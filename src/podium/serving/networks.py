"""Text, masks and boxes of new pictures, by the networks trained here: each part of them a data set of test rows."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from podium import paths, plugins
from podium.config import Config
from podium.contracts import features, models
from podium.contracts.blends import EnsembleModel
from podium.contracts.dataset import Dataset
from podium.imaging import regions
from podium.imaging.images import UnreadableImageError, resize
from podium.imaging.views import VIEWS, apply
from podium.serving.ensemble import restored
from podium.serving.runtime import Picture, Row
from podium.storage.rowcache import RowCache, row_key
from podium.training.encoder import find
from podium.training.trained import TrainedNetwork

ROWS_AT_ONCE = 64  # whose pictures are in memory, or fewer
_MOST_BYTES = 2**29  # of decoded pictures, beyond which a part ends


@dataclass(frozen=True)
class Part:
    """Predictions of some rows, as they go out, and the data set that they are test rows of.

    Masks are read from files that are gone with the next part. `unreadable` are (picture, reason).
    """

    predictions: Any
    data: Dataset
    unreadable: list[tuple[str, str]]


class _Kept(NamedTuple):
    """Stands for a fold's model where predictions are made of what is kept of images."""

    rows: RowCache


@dataclass
class _Loaded:
    """Rows' pictures: the Images table of those that can be read, how each image's pixels are had, and the others."""

    images: pd.DataFrame = field(default_factory=pd.DataFrame)
    pixels: dict[str, Callable[[int | None], np.ndarray]] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    n_pictures: int = 0


@dataclass(frozen=True)
class _Member:
    """One finetune: its problem, and each network that predicts new rows, as Keras runs it and as it was saved."""

    problem: Any  # of podium.training.outputs
    networks: list[tuple[Any, TrainedNetwork]]


def predict(
    config: Config, ensemble: EnsembleModel, rows: Iterable[Row], watch: Callable[[int], object]
) -> Iterator[Part]:
    """Yield the predictions of a few dozen rows at a time, in their order; rows with no readable picture lack.

    The members of `ensemble` are finetunes. `watch` gets the number of pictures of each part.
    """
    members = [_started(config, name) for name in ensemble.names]
    remaining, task = iter(rows), config.competition.task
    while (loaded := _read(config, remaining)).n_pictures:
        images = loaded.images
        with TemporaryDirectory(prefix="podium-") as folder:
            data = Dataset(paths.dataset(config.params.competition)).with_test(images["row_id"].unique(), images)
            found = [
                _predicted(config, member, data, loaded.pixels, Path(folder) / str(n))
                for n, member in enumerate(members)
                if len(images)
            ]
            yield Part(ensemble.combine(task, found) if found else None, data, loaded.unreadable)
        watch(loaded.n_pictures)


def _started(config: Config, name: str) -> _Member:
    where, task = f"{paths.PARAMS}: finetunes.{name}", config.competition.task
    competition, encoder = config.params.competition, find(config.params.finetunes[name], where)
    kind = plugins.find("outputs", task.predictions.kind, where)
    problem = kind(encoder, task, Dataset(paths.dataset(competition)), where)
    folder = paths.models(competition, name)
    saved = [models.load(folder, one) for one in models.that_predict(folder)]
    return _Member(problem, [(restored(problem.build(0), one.weights), one) for one in saved])


def _read(config: Config, rows: Iterator[Row]) -> _Loaded:
    """Return the images of the next few rows; none where there are no more.

    A picture is one image, or the tiles that the layout makes of one to predict.
    """
    loaded = _Loaded()
    lines: list[dict[str, Any]] = []
    n_bytes = 0
    for row in islice(rows, ROWS_AT_ONCE):
        for k, picture in enumerate(row.pictures):
            loaded.n_pictures += 1
            try:
                whole = picture.load()
            except UnreadableImageError as error:
                loaded.unreadable.append((picture.name, str(error)))
                continue
            n_bytes += whole.nbytes
            height, width = whole.shape[:2]
            for n, source in enumerate(config.competition.layout.parts(f"{row.row_id}/{k}", (width, height))):
                part = regions.parse(source)
                shape = (part.width, part.height) if part.is_part else (width, height)
                name = f"{row.row_id}/{k}/{n:06d}"
                loaded.pixels[name] = _pixels(picture, whole, part)
                lines.append({"image_id": name, "row_id": row.row_id, "source": source, "size": shape})
        if n_bytes > _MOST_BYTES:
            break
    images = pd.DataFrame(lines, columns=["image_id", "row_id", "source", "size"])
    images["width"], images["height"] = (images["size"].str[side].astype("int64") for side in (0, 1))
    images = images.drop(columns="size").assign(split="test", digest=images["image_id"])
    loaded.images = images.sort_values("image_id", ignore_index=True)
    return loaded


def _pixels(picture: Picture, whole: np.ndarray, part: regions.Region) -> Callable[[int | None], np.ndarray]:
    """Return what gives an image's pixels, decoded as small as a network's `least_px` allows."""
    if part.is_part:
        return lambda _: whole[part.y : part.y + part.height, part.x : part.x + part.width]
    return lambda least_px: whole if least_px is None else picture.pixels(least_px)


def _predicted(
    config: Config,
    member: _Member,
    data: Dataset,
    pixels: dict[str, Callable[[int | None], np.ndarray]],
    folder: Path,
) -> Any:
    """Return a member's predictions of the data set's images; what is kept of them goes to `folder`."""
    problem = replace(member.problem, data=data)
    encoder, form = problem.encoder, problem.encoder.spec.resize
    least_px = form.least_px(encoder.shape)
    decoded = [problem.decoded(resize(pixels[one](least_px), form, encoder.shape)) for one in data.images["image_id"]]
    plan = _plan(data.images.drop(columns=["width", "height", "source"]), config.params.views.test)
    asked = []
    for n, (model, _) in enumerate(member.networks):
        rows = RowCache(folder / str(n), folder / str(n))
        for start in range(0, len(plan), problem.at_once):
            some = plan.iloc[start : start + problem.at_once]
            columns = (some[name].tolist() for name in ("place", "operation", "parameters"))
            views = [apply(decoded[place], how, json.loads(given)) for place, how, given in zip(*columns, strict=True)]
            images = views if encoder.gives == "maps" else np.stack(views)
            rows.put(some["key"].tolist(), problem.kept(model, images), is_exact=problem.is_exact)
        asked.append((_Kept(rows), plan))
    return problem.predictions(asked, [saved for _, saved in member.networks])


def _plan(images: pd.DataFrame, views: Iterable[str]) -> pd.DataFrame:
    """Return a line for each image and view, sorted by both, with the image's place and the line's key."""
    asked = pd.DataFrame(
        [(name, VIEWS[name].operation, json.dumps(dict(VIEWS[name].parameters), sort_keys=True)) for name in views],
        columns=["view", "operation", "parameters"],
    ).drop_duplicates("view")
    plan = images.assign(place=range(len(images))).merge(asked, how="cross")
    plan = plan.sort_values(features.KEY, ignore_index=True)
    plan["key"] = list(map(row_key, plan["digest"], plan["operation"], plan["parameters"]))
    return plan
