"""`podium explain [IMAGE_ID ...]`: where in an image a member or the ensemble sees its evidence, as pictures.

Without ids: the images of the report's gallery, and a copy of the report that shows the maps over them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from podium import paths
from podium.analysis import heatmaps
from podium.analysis.heatmaps import Heatmap, Pooled
from podium.analysis.report.page import pictured, with_heatmaps
from podium.config import Config, vector_task
from podium.contracts import models
from podium.contracts.folds import FoldTable
from podium.contracts.metadata import NAME as METADATA
from podium.contracts.scores import Scores
from podium.contracts.steps import Linear
from podium.contracts.tables import IMAGES, ROWS, by_id
from podium.errors import PodiumError, preview
from podium.features.extraction import Extraction, resolve_auto
from podium.imaging.images import Reader, Shape
from podium.imaging.overlay import data_uri, over, png, stretched
from podium.splits.folds import splits
from podium.storage import csv_table
from podium.storage.files import atomic
from podium.tasks.vector import VectorTask
from podium.training.encoder import Encoder, find

ENSEMBLE = "ensemble"
_MOST_PX = 128  # of a heatmap's longer side: a network has about 8 places a side
_Found = dict[str, Heatmap]  # image id -> the evidence over the whole image


@dataclass(frozen=True)
class _Subject:
    """What is explained: members by name with their weights, and by what each of them sees."""

    name: str
    weights: Mapping[str, float]
    eyes: Mapping[str, Encoder | Sequence[Extraction]]
    note: str = ""


def run(config: Config, ids: list[str], member: str | None) -> None:
    """Write heatmaps/C/ID.png for each image, by `member`, by the ensemble, or by the best whose maps are exact."""
    name = config.params.competition
    images = IMAGES.read(paths.data(name, "images.parquet"))
    unknown = sorted(set(ids) - set(images["image_id"]))
    if unknown:
        raise PodiumError(f"{paths.data(name, 'images.parquet')}: no image_id {preview(unknown)}")
    subject = _choose(config, member)
    page = "" if ids else _report(name)
    found = _explain(config, subject, by_id(images, ids or pictured(page), "images", "image_id"))
    heat = {}
    with Reader(paths.raw(name)) as reader:
        for image_id, source in by_id(images, list(found), "images", "image_id")[["image_id", "source"]].to_numpy():
            pixels = reader.read(source)
            places = found[image_id].places
            _write(
                over(pixels, stretched(places, pixels.shape[:2])),
                paths.heatmap(name, f"{quote(image_id, safe='')}.png"),
            )
            heat[image_id] = data_uri(places, _MOST_PX)
    print(f"{paths.heatmap(name, '')}: {len(heat)} images explained by {subject.name}{subject.note}")  # noqa: T201  # the command's answer
    if page:
        file = paths.heatmap(name, "report.html")
        legend = (
            f"Heatmaps of {subject.name}: red speaks for the label it gives (of two, for the second), blue against."
        )
        with atomic(file) as temporary:
            temporary.write_text(with_heatmaps(page, heat, legend), encoding="utf-8")
        print(f"{file}: the report with its heatmaps")  # noqa: T201


def _report(name: str) -> str:
    """Return the page of the competition's report; raises PodiumError where there is none."""
    file = paths.report(name, "report.html")
    if not file.exists():
        raise PodiumError(f"{file}: there is no such file; run `dvc repro report`, or name the images to explain")
    return file.read_text(encoding="utf-8")


def _choose(config: Config, member: str | None) -> _Subject:
    """Return what to explain, and what sees for it; raises PodiumError where there is none."""
    params, where = config.params, str(paths.PARAMS)
    if not isinstance(config.competition.task, VectorTask):
        kind = config.competition.task.kind
        raise PodiumError(f"explain: it shows evidence for classes and values; the competition's task is {kind}")
    if member == ENSEMBLE:
        return _ensemble(config)
    choices = [*params.models(), *params.finetunes]
    if member is not None and member not in choices:
        raise PodiumError(f"{where}: members: no {member!r}; choose one of: {', '.join([*choices, ENSEMBLE])}")
    table = paths.bank_table(params.competition)
    ranked = [member] if member else list(csv_table.read(table.read_bytes(), str(table))["member"])
    for name in ranked:
        is_exact = name in params.finetunes or (name in params.models() and params.models()[name].head.is_linear)
        if (member or is_exact) and (eyes := _eyes(config, name)):
            return _Subject(name, {name: 1.0}, {name: eyes})
    raise PodiumError(
        f"{where}: members: none has a linear head on means or maxima of feature maps alone, as heatmaps need"
    )


def _ensemble(config: Config) -> _Subject:
    """Return the ensemble: its members by their weights, as far as heatmaps can show them."""
    folder = paths.models(config.params.competition, ENSEMBLE)
    model = models.load(folder, models.FULL)
    found = model.blend.weights
    weights = dict(zip(model.names, np.full(len(model.names), 1.0) if found is None else found, strict=True))
    weights = {name: float(weight) for name, weight in weights.items() if weight}
    seen = {name: eyes for name in weights if (eyes := _eyes(config, name))}
    if not seen:
        raise PodiumError(f"{folder}: heatmaps need members on means or maxima of feature maps, and it has none")
    share = sum(abs(weights[name]) for name in seen) / sum(map(abs, weights.values()))
    left = ", ".join(name for name in weights if name not in seen)
    note = "" if not left else f", {share:.0%} of its weight: {left} cannot be shown"
    return _Subject(ENSEMBLE, {name: weights[name] for name in seen}, seen, note)


def _eyes(config: Config, name: str) -> Encoder | list[Extraction] | None:
    """Return what a member sees by: a trained network, or backbones; None where heatmaps cannot show it."""
    params = config.params
    if name in params.finetunes:
        encoder = find(params.finetunes[name], f"{paths.PARAMS}: finetunes.{name}")
        return encoder if heatmaps.pooling(encoder) else None
    one = params.models().get(name)
    if one is None or one.metadata or METADATA in one.backbones or one.head.takes == "images":
        return None
    folder = paths.models(params.competition, name)
    used = models.about(folder)["backbones"] if (folder / models.ABOUT).exists() else one.backbones
    if not set(used) <= set(params.backbones):  # of a trained network each fold has its own, or there are no images
        return None
    found = [resolve_auto(params.backbones[used_one], f"{paths.PARAMS}: backbones.{used_one}") for used_one in used]
    return found if all(map(heatmaps.pooling, found)) else None


def _explain(config: Config, subject: _Subject, images: pd.DataFrame) -> _Found:
    """Return the heatmaps by image id: of a train image by the models that did not see it, of a test image by all."""
    labels = _labels(config, images) if subject.name == ENSEMBLE else {}
    parts: dict[str, list[tuple[float, Heatmap]]] = {}
    networks = {name: eyes for name, eyes in subject.eyes.items() if isinstance(eyes, Encoder)}
    backbones = {name: eyes for name, eyes in subject.eyes.items() if not isinstance(eyes, Encoder)}
    for name, encoder in networks.items():
        for image_id, heatmap in _explain_network(config, name, encoder, images, labels):
            parts.setdefault(image_id, []).append((subject.weights[name], heatmap))
    if backbones:
        for name, image_id, heatmap in _explain_heads(config, backbones, images, labels):
            parts.setdefault(image_id, []).append((subject.weights[name], heatmap))
    return {image_id: _sum(own) for image_id, own in parts.items()}


def _labels(config: Config, images: pd.DataFrame) -> dict[str, int]:
    """Return by image id the label that the ensemble gives, so that all of its members speak of the same."""
    folder = paths.ensemble(config.params.competition)
    scores = Scores.read(folder)
    known = images[images["row_id"].isin(scores.row_id)]
    p = scores.by_id(known["row_id"], str(folder)).p
    return dict(zip(known["image_id"], map(int, p.argmax(axis=1)), strict=True))


def _explain_heads(
    config: Config,
    eyes: Mapping[str, Sequence[Extraction]],
    images: pd.DataFrame,
    labels: Mapping[str, int],
) -> Iterator[tuple[str, str, Heatmap]]:
    """Yield member, image id and heatmap; each backbone looks at each image once, whoever takes its features."""
    competition, task = config.params.competition, vector_task(config)
    by_member = {name: [_Head(model, task, own) for model, own in _models_of(config, name, images)] for name in eyes}
    is_linear = {name: config.params.models()[name].head.is_linear for name in eyes}
    used = {one.fingerprint: one for several in eyes.values() for one in several}
    pairs = list(images[["image_id", "source"]].itertuples(index=False, name=None))
    shapes = _shapes(images)
    with Reader(paths.raw(competition)) as reader:
        looked = [heatmaps.maps_of(one, pairs, reader, paths.cache() / "models") for one in used.values()]
        for several in zip(*looked, strict=True):
            image_id = several[0][0]
            pooled = {
                mark: Pooled(maps, str(heatmaps.pooling(one)), one.backbone.resize)
                for (mark, one), (_, maps) in zip(used.items(), several, strict=True)
            }
            for name, heads in by_member.items():
                seen = [pooled[one.fingerprint] for one in eyes[name]]
                found = [
                    head.heatmap(seen, shapes[image_id], labels.get(image_id), is_linear=is_linear[name])
                    for head in heads
                    if image_id in head.images
                ]
                if found:
                    yield name, image_id, _mean(found)


class _Head:
    """A saved model of a member, with the images that it may explain."""

    def __init__(self, model: Any, task: VectorTask, images: pd.DataFrame) -> None:
        self._score = heatmaps.score_of_head(model, task)
        self._linear: Linear | None = None
        self.images = frozenset(images["image_id"])

    def heatmap(self, seen: Sequence[Pooled], shape: Shape, label: int | None, *, is_linear: bool) -> Heatmap:
        """Return the evidence over an image of this shape: exact of a linear head, else by leaving parts out."""
        if not is_linear:
            found = heatmaps.left_out(self._score, seen, shape, label)
            return Heatmap(found.label, stretched(found.places, shape))
        if self._linear is None:
            self._linear = heatmaps.linear(self._score, np.concatenate([one.features for one in seen]))
        label, places = heatmaps.evidence(self._linear, seen, label)
        framed = [heatmaps.placed(own, shape, one.framing) for own, one in zip(places, seen, strict=True)]
        return Heatmap(label, np.sum(framed, axis=0))


def _explain_network(
    config: Config, name: str, encoder: Encoder, images: pd.DataFrame, labels: Mapping[str, int]
) -> Iterator[tuple[str, Heatmap]]:
    """Yield image id and heatmap by a finetune; each fold's network looks with its own encoder."""
    task, how, each = vector_task(config), str(heatmaps.pooling(encoder)), dict[str, list[Heatmap]]()
    shapes = _shapes(images)
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
            found = heatmaps.activation(score, maps, how, labels.get(image_id))
            places = heatmaps.placed(found.places, shapes[image_id], encoder.spec.resize)
            each.setdefault(image_id, []).append(Heatmap(found.label, places))
    yield from ((image_id, _mean(found)) for image_id, found in each.items())


def _shapes(images: pd.DataFrame) -> dict[str, Shape]:
    """Return the shape of each image's heatmap by its id."""
    sides = images[["height", "width"]].to_numpy(np.float64)
    sides = np.maximum(sides * np.minimum(1, _MOST_PX / sides.max(axis=1, keepdims=True)), 1).round().astype(int)
    return {
        image_id: (int(height), int(width)) for image_id, (height, width) in zip(images["image_id"], sides, strict=True)
    }


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


def _sum(found: Sequence[tuple[float, Heatmap]]) -> Heatmap:
    """Return the weighted mean of several members' heatmaps, which are of the same label where there are several."""
    total = sum(abs(weight) for weight, _ in found)
    return Heatmap(found[0][1].label, np.sum([weight / total * one.places for weight, one in found], axis=0))


def _write(pixels: np.ndarray, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(png(pixels))
