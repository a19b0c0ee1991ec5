"""A finetune of params.yaml, cross-fitted: one network a fold, each kept in the machine's cache under a key of its own.

A fold's key names all that changes its numbers, so that a finished fold is never trained again, whatever else is.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podium import paths, plugins
from podium.contracts import features, models
from podium.contracts.dataset import Dataset
from podium.contracts.folds import ALWAYS, FoldTable
from podium.contracts.models import Fitted
from podium.contracts.predictions import Predictions
from podium.contracts.steps import predict
from podium.contracts.tables import VIEWS, by_id
from podium.engines.keras import Engine
from podium.errors import PodiumError
from podium.features.extraction import decoder, named, workers
from podium.fitting.lesson import Lesson
from podium.imaging.images import Reader, UnreadableImageError
from podium.imaging.views import apply
from podium.pool import n_threads
from podium.splits import folds
from podium.storage import checkpoints
from podium.storage.files import atomic, atomic_folder, write_json
from podium.storage.rowcache import DESCRIPTION, RowCache, row_key
from podium.tasks import Task
from podium.training import Finetune
from podium.training.augmentation import OPERATIONS
from podium.training.data import Examples
from podium.training.encoder import Encoder, find
from podium.training.loop import Job, Watch, final, train
from podium.training.model import Model, precision
from podium.training.outputs import Problem
from podium.training.prefix import fastest, frozen_engine
from podium.training.trained import TrainedNetwork

METHOD = 1  # counts the changes of training and augmentation that changed what the same settings give
# Described apart, or of no effect on the weights: heads may be added without training anew.
_NOT_TRAINING = {"network", "resize", "precision", "pooling", "layers", "augment", "features", "frozen_engine", "refit"}
_OF_MASKS = {"decoder", "masks"}


@dataclass(frozen=True)
class Finetuning:
    """What a finetune is trained on and asked for; `images` and `plan` are sorted by id."""

    problem: Problem
    rows: pd.DataFrame  # with the groups of the folds
    fold_table: FoldTable
    images: pd.DataFrame  # with each one's place among the pixels
    plan: pd.DataFrame  # a line per image and view, with the image's columns and the key in the cache of rows
    pixels: np.ndarray  # (n, h, w, 3) uint8, in the order of `images`
    seed: int
    cache: Path  # the folder of all folds of all finetunes
    lessons: Callable[[folds.Split], Lesson] | None = None  # what a fold's network is taught in place of labels

    @classmethod
    def read(cls, competition: str, spec: Finetune, task: Task, seed: int, where: str) -> "Finetuning":
        """Return what a finetune is trained on and asked for; its images are decoded, if no run has done so before."""
        encoder, data = find(spec, where), Dataset(paths.dataset(competition))
        fold_table = FoldTable.read(data.folder)
        problem: Problem = plugins.find("outputs", task.predictions.kind, where)(encoder, task, data, where)
        problem.check()
        encoder.require_weights(where)
        frozen_engine(encoder, where)
        images = data.images.sort_values("image_id", ignore_index=True)
        images["place"] = images.index
        plan = VIEWS.read(data.folder / "views.parquet").sort_values(features.KEY, ignore_index=True)
        plan = plan.merge(images.drop(columns=["width", "height", "source"]), on="image_id", validate="many_to_one")
        plan["key"] = list(map(row_key, plan["digest"], plan["operation"], plan["parameters"]))
        with Reader(paths.raw(competition)) as reader:
            pixels = decoded(images, problem, reader, paths.cache() / "decoded")
        return cls(
            problem=problem,
            rows=fold_table.grouped(data.rows),
            fold_table=fold_table,
            images=images,
            plan=plan,
            pixels=pixels,
            seed=seed,
            cache=paths.cache() / "finetunes",
        )

    @property
    def encoder(self) -> Encoder:
        """Return what is trained."""
        return self.problem.encoder

    @property
    def task(self) -> Any:
        """Return what is asked of a row."""
        return self.problem.task

    @property
    def labels(self) -> list[str]:
        """Return the names of classes or labels, or an alphabet."""
        return self.problem.data.labels

    @property
    def where(self) -> str:
        """Return the place in params.yaml, for errors."""
        return self.problem.where

    @cached_property
    def models(self) -> tuple["FoldModel", ...]:
        """Return each fold's model, by (repeat, fold), trained or not."""
        readable = self.rows[self.rows["row_id"].isin(self.images["row_id"])]
        return tuple(FoldModel(self, split) for split in folds.splits(self.fold_table, readable))

    @cached_property
    def everyone(self) -> "FoldModel | None":
        """Return the model of all rows, trained or not, where it predicts the test rows in the folds' place."""
        if self.encoder.spec.refit != "full":
            return None
        readable = self.rows[self.rows["row_id"].isin(self.images["row_id"])]
        return FoldModel(self, folds.Split(0, ALWAYS, folds.full(readable), np.array([], object)))

    @property
    def networks(self) -> tuple["FoldModel", ...]:
        """Return all models: the folds', then the one of all rows, if there is one."""
        return (*self.models, self.everyone) if self.everyone else self.models

    def predictions(self, views: Sequence[str], networks: Sequence[Fitted]) -> Predictions:
        """Return the predictions by the models' saved `networks`: of a train row by models that did not see it.

        Every prediction is of the row's images and these views; a train row's also of all repeats, a test row's of
        all folds, or by the model of all rows.
        """
        asked = [(model, self.plan[self._is_asked(model, views)]) for model in self.networks]
        return self.problem.predictions(asked, networks)

    def _is_asked(self, model: "FoldModel", views: Sequence[str]) -> pd.Series:
        """Return which lines of the plan a model predicts."""
        asked = self.plan["row_id"].isin(model.split.valid)
        if self.everyone in (None, model):
            asked |= self.plan["split"] == "test"
        return asked & self.plan["view"].isin(views)

    def save(self, folder: Path) -> list[TrainedNetwork]:
        """Write every fold's network, and return them as they were saved."""
        with atomic_folder(folder) as temporary:
            for model in self.networks:
                models.save(model.trained, temporary, model.name)
            facts = {**describe(self.encoder), "labels": self.labels, "shape": list(self.encoder.shape)}
            facts["folds"] = self.fold_table.digest
            write_json(facts, temporary / "about.json")
        return [models.load(folder, model.name) for model in self.networks]

    def samples(self, n: int) -> np.ndarray:
        """Return some of the training images; of those that are trained on in crops, the middle."""
        some = self.pixels[:: len(self.pixels) // n + 1]
        if self.encoder.gives != "maps":
            return some
        height, width = some.shape[1:3]
        side = min(self.encoder.spec.masks.crop or height, height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return some[:, top : top + side, left : left + side]

    @cached_property
    def described(self) -> pd.DataFrame:
        """Return the lines of the plan that features are written of: all, or none where no head can ask for them."""
        return self.plan if self.encoder.spec.features and self.problem.has_features else self.plan[:0]

    def feature_rows(self) -> Iterator[np.ndarray]:
        """Yield the features of each described line, by one network after the other: `(networks * d,)`."""
        for rows in zip(*(model.rows.get(self.described["key"]) for model in self.models), strict=True):
            yield np.concatenate(rows)

    def form(self) -> dict[str, Any]:
        """Return `n_columns` and `dtype` of the features file."""
        if self.described.empty:
            return {"n_columns": 0, "dtype": "float16"}
        one = features.form({model.rows.shape(key) for model in self.models for key in self.described["key"]})
        return one | {"n_columns": one["n_columns"] * len(self.models)}

    def wanted(self, model: "FoldModel", views: Sequence[str]) -> pd.DataFrame:
        """Return the lines of the plan that a model's encoder is asked for: to be described, or to be predicted."""
        is_described = self.plan.index.isin(self.described.index) & (model is not self.everyone)
        wanted: pd.DataFrame = self.plan[is_described | self._is_asked(model, views)]
        return wanted

    def curves(self) -> pd.DataFrame:
        """Return a line per model and epoch: repeat, fold (-1: all rows), epoch, phase, loss, valid_loss, metric."""
        lines = [
            {"repeat": model.split.repeat, "fold": model.split.fold, **line}
            for model in self.networks
            for line in model.kept[1]["curve"]
        ]
        first = ["repeat", "fold", "epoch", "phase", "loss", "valid_loss"]
        # Earlier versions kept `seconds` with a network; a clock's reading would differ from run to run.
        metric = [name for name in lines[0] if name not in [*first, "seconds"]]
        return pd.DataFrame(lines)[[*first, *metric]]

    @property
    def fingerprint(self) -> str:
        """Return a name for all models: 32 hexadecimal digits."""
        return hashlib.sha256(" ".join(model.key for model in self.networks).encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class FoldModel:
    """One fold's network: trained when it is asked for what the cache does not hold."""

    finetuning: Finetuning
    split: folds.Split

    @property
    def name(self) -> str:
        """Return what its saved network is called."""
        if self.split.fold == ALWAYS:
            return models.FULL
        return models.of_fold(self.split.repeat, self.split.fold)

    @cached_property
    def seed(self) -> int:
        """Return the only source of randomness."""
        which = () if self.split.fold == ALWAYS else (self.split.repeat, self.split.fold)
        return folds.seed_of(self.finetuning.seed, self.finetuning.encoder.spec.seed, *which)

    @cached_property
    def examples(self) -> tuple[Examples, Examples | None, Mapping[str, float]]:
        """Return what is trained on, what stops it early, and the facts that predictions need beside the weights."""
        finetuning, spec = self.finetuning, self.finetuning.encoder.spec
        if finetuning.lessons is None:
            rows = by_id(finetuning.rows, self.split.train, "rows.parquet")
            lessons = finetuning.problem.lessons(self.split.train)
            weight = rows["weight"].to_numpy() * lessons.weight
        else:
            taught = finetuning.lessons(self.split)
            rows = by_id(finetuning.rows, taught.row_id, "rows.parquet")
            lessons = finetuning.problem.taught(taught)
            weight = lessons.weight
        table = pd.DataFrame({"row_id": rows["row_id"], "line": np.arange(len(rows))})
        images = finetuning.images.merge(table, on="row_id", validate="many_to_one")
        images = images.loc[images.index.repeat(finetuning.problem.repeats)]
        line = images["line"].to_numpy()
        share = 1 / np.bincount(line, minlength=len(rows))  # the images of a row share its weight
        weight = weight * share
        examples = Examples(
            place=images["place"].to_numpy(np.int64),
            target=lessons.target[line],
            weight=(weight / weight[line].mean())[line].astype(np.float32),
            stratum=lessons.stratum[line],
        )
        if spec.patience is None:
            return examples, None, lessons.facts
        group, is_value = rows["group"].to_numpy(), getattr(finetuning.task, "is_value", False)
        is_valid = folds.inner(lessons.inner, group, spec.inner, self.seed, is_value=is_value)[line] == 0
        return examples.of(~is_valid), examples.of(is_valid), lessons.facts

    @cached_property
    def key(self) -> str:
        """Return a name for all that changes the numbers: 32 hexadecimal digits."""
        train_set, valid_set, _ = self.examples
        digests = self.finetuning.images["digest"].to_numpy(object)
        hasher = hashlib.sha256(
            f"{fingerprint(self.finetuning.encoder)} {self.finetuning.problem.name} {self.seed}".encode()
        )
        for part in (train_set, *([valid_set] if valid_set else [])):
            hasher.update(" ".join(digests[part.place]).encode())
            for array in (part.target, part.weight, part.stratum):
                hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()[:32]

    @property
    def folder(self) -> Path:
        """Return where its checkpoint, its weights and its features are kept."""
        return self.finetuning.cache / fingerprint(self.finetuning.encoder) / self.key

    @cached_property
    def rows(self) -> RowCache:
        """Return the features of its encoder."""
        return RowCache(self.folder / "rows", self.folder / "rows")

    @cached_property
    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return its weights, the head's as `kernel` and `bias`, and the facts beside them."""
        found = checkpoints.load(final(self.folder))
        if found is None:
            raise PodiumError(f"{final(self.folder)}: there is no such file; run the stage again")
        return found

    def complete(self, plan: pd.DataFrame, watch: Watch) -> int:
        """Train the network and compute these features, as far as they are not in the cache; returns how many."""
        missing = plan[[key not in self.rows for key in plan["key"]]].drop_duplicates("key")
        if len(missing) or not final(self.folder).exists():
            write_json(describe(self.finetuning.encoder), self.folder.parent / DESCRIPTION)
            model = train(self._job(), watch)
            problem = self.finetuning.problem
            for start in range(0, len(missing), problem.at_once):
                some = missing.iloc[start : start + problem.at_once]
                views = [self._view(line) for line in some.itertuples()]
                images = views if self.finetuning.encoder.gives == "maps" else np.stack(views)
                self.rows.put(some["key"].tolist(), problem.kept(model, images), is_exact=problem.is_exact)
        return len(missing)

    def predict(self, plan: pd.DataFrame, head: Fitted) -> pd.DataFrame:
        """Return the mean prediction of each row over these lines of the plan, by `row_id`."""
        columns = self.finetuning.task.columns(self.finetuning.labels)
        if plan.empty:
            return pd.DataFrame(columns=columns, index=pd.Index([], name="row_id"), dtype=np.float64)
        p = predict(head, np.stack([*self.rows.get(plan["key"])]).astype(np.float32))
        index = pd.Index(plan["row_id"], name="row_id")
        return pd.DataFrame(p.astype(np.float64), columns=columns, index=index).groupby(level=0).mean()

    def asked(self, row_ids: np.ndarray, views: Sequence[str], watch: Watch, head: Fitted | None = None) -> np.ndarray:
        """Return `(n, k)` float64 of any rows, in their order: the mean over their images and these views.

        The network is trained and asked as far as the cache does not hold it; `head` is it as it was saved.
        """
        plan = self.finetuning.plan
        plan = plan[plan["view"].isin(views) & plan["row_id"].isin(row_ids)]
        self.complete(plan, watch)
        return self.predict(plan, head or self.trained).loc[list(row_ids)].to_numpy(np.float64)

    @property
    def trained(self) -> TrainedNetwork:
        """Return the network as it is saved."""
        trained: TrainedNetwork = self.finetuning.problem.trained(*self.kept)
        return trained

    def _job(self) -> Job:
        train_set, valid_set, facts = self.examples
        return Job(
            build=self.build,
            pixels=self.finetuning.pixels,
            train_set=train_set,
            valid_set=valid_set,
            seed=self.seed,
            folder=self.folder,
            where=self.finetuning.where,
            facts=facts,
            draw=self.finetuning.problem.drawing(self.finetuning.images, self.finetuning.pixels),
        )

    def build(self) -> Model:
        """Return the network before it is trained."""
        model: Model = self.finetuning.problem.build(self.seed)
        return model

    def _view(self, line: Any) -> np.ndarray:
        return apply(self.finetuning.pixels[line.place], line.operation, json.loads(line.parameters))


def describe(encoder: Encoder) -> dict[str, Any]:
    """Return all that changes a fold's numbers, but its rows and its seed; attributes of the features file."""
    settings = encoder.spec.model_dump(exclude=_NOT_TRAINING | (set() if encoder.gives == "maps" else _OF_MASKS))
    for key, unset in (("focal", None), ("soup", 1), ("boxes", None)):
        if settings[key] == unset:
            del settings[key]  # networks from before there was such a choice keep their names
    names = {kind: name for name, kind in OPERATIONS.items()}
    augment = [{names[type(one)]: one.model_dump()} for one in encoder.spec.augment.operations]
    frozen, finds = frozen_engine(encoder), fastest(encoder) if encoder.has_pyramid else None
    return {
        "decoder": decoder(),
        "resize": encoder.spec.resize.description(encoder.shape) + _contrast(encoder),
        "network": encoder.spec.network,
        **encoder.description,
        "precision": precision(encoder.spec),
        "training": json.dumps({**settings, "augment": augment, "method": METHOD}, sort_keys=True),
        "engine": Engine.version(),
        **({"threads": threads} if (threads := n_threads()) else {}),
        **({"frozen layers": frozen.description} if frozen else {}),
        **({"predicts by": finds.description} if finds else {}),
    }


def _contrast(encoder: Encoder) -> str:
    clahe = encoder.spec.masks.clahe if encoder.gives == "maps" else None
    return "" if clahe is None else f", CLAHE {clahe:g}"


def fingerprint(encoder: Encoder) -> str:
    """Return a name for `describe`: 32 hexadecimal digits; the folder of all folds and seeds with these settings."""
    return named(describe(encoder))


def resizing(encoder: Encoder) -> str:
    """Return a name for how images are decoded and resized: 32 hexadecimal digits."""
    return named([describe(encoder)[key] for key in ("decoder", "resize")])


def decoded(images: pd.DataFrame, problem: Problem, reader: Reader, folder: Path) -> np.ndarray:
    """Return `(n, h, w, 3)` uint8 RGB of the images in their order, mapped from a file that is made if need be.

    Raises PodiumError for an image that cannot be read any more.
    """
    encoder = problem.encoder
    path = folder / resizing(encoder) / f"{named(images['digest'].tolist())}.npy"
    if not path.exists():

        def read(source: str) -> np.ndarray:
            try:
                return problem.decoded(reader.resized(source, encoder.spec.resize, encoder.shape))
            except UnreadableImageError as error:
                raise PodiumError(f"{source!r}: cannot be read: {error}") from None

        with atomic(path) as temporary, ThreadPoolExecutor(workers()) as pool:
            shape = (len(images), *encoder.shape, 3)
            pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for n, image in enumerate(pool.map(read, images["source"])):
                pixels[n] = image
            pixels.flush()
    mapped: np.ndarray = np.load(path, mmap_mode="r")
    return mapped
