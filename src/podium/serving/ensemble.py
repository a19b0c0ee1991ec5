"""The competition's ensemble, from its saved models: which members can follow to new pictures, and what they take."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from podium import paths
from podium.config import Config, scoring, vector_task
from podium.contracts import models
from podium.contracts.blends import EnsembleModel
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.metadata import NAME as METADATA
from podium.contracts.metadata import MetadataColumn
from podium.contracts.models import FULL
from podium.contracts.predictions import Bank, read_bank
from podium.errors import PodiumError
from podium.features.extraction import Extraction, resolve_auto, workers
from podium.fitting.ensemble_model import EnsembleFit, fit_ensemble
from podium.imaging.views import VIEWS
from podium.serving.runtime import Member, Network, Predictor, trimmed
from podium.tasks.vector import VectorTask
from podium.training.encoder import Encoder
from podium.training.encoder import find as find_encoder
from podium.training.finetuning import fingerprint


@dataclass(frozen=True)
class Trained:
    """A network trained here: its encoder, and the weights and the head of each fold, or of all rows."""

    encoder: Encoder
    folds: tuple[Any, ...]  # of podium.training.trained.TrainedNetwork; the one of all rows, where that predicts


@dataclass(frozen=True)
class Ensemble:
    """The members that are used, and what combines them; `note` says what was left out and what it costs."""

    config: Config
    labels: tuple[str, ...]
    model: EnsembleModel
    members: dict[str, Member]
    note: str = ""

    @property
    def networks(self) -> list[str]:
        """Return the names of the backbones and trained networks that the members take, sorted."""
        return sorted({name for member in self.members.values() for name in member.networks})

    def source(self, name: str) -> Extraction | Trained:
        """Return a backbone settled for this machine, or a trained network."""
        params = self.config.params
        if name in params.finetunes:
            folder = paths.models(params.competition, name)
            encoder = find_encoder(params.finetunes[name], f"{paths.PARAMS}: finetunes.{name}")
            return Trained(encoder, tuple(models.load(folder, one) for one in models.that_predict(folder)))
        return resolve_auto(params.backbones[name], f"{paths.PARAMS}: backbones.{name}")

    def predictor(self, start: Callable[["Ensemble", str], Network]) -> Predictor:
        """Return what predicts; `start` loads one network."""
        views = tuple((VIEWS[name].operation, VIEWS[name].parameters) for name in self.config.params.views.test)
        networks = {name: start(self, name) for name in self.networks}
        return Predictor(networks, self.members, self.model, views, workers())


def read(config: Config, *, slim: float | None = None, metadata: Collection[str] = ()) -> Ensemble:
    """Return the ensemble as far as it can follow to new pictures; heads are loaded, networks are not.

    Without imported members, and those that take other columns than those of `metadata`, weights are fitted again.
    `slim` is the loss of the official
    metric that a smaller ensemble may cost.
    """
    require_vectors(config)
    competition = config.params.competition
    saved: EnsembleModel = models.load(paths.models(competition, "ensemble"), FULL)
    reasons = {name: reason for name in saved.names if (reason := _cannot_follow(config, name, metadata))}
    model, note = _without(config, saved, reasons)
    if slim is not None:
        bank = _Bank(config)
        fitted = bank.smallest([name for name in saved.names if name not in reasons], slim)
        model, note = trimmed(fitted.model), " ".join(filter(None, [note, bank.compared(fitted)]))
    data = Dataset(paths.dataset(competition))
    members = {name: _member(config, name) for name in model.names}
    return Ensemble(config, tuple(data.labels), model, members, note)


def of_networks(config: Config) -> tuple[EnsembleModel, str]:
    """Return the ensemble of networks trained here, for answers that are no vectors, and what was left out of it.

    Without imported members, weights are fitted again.
    """
    saved: EnsembleModel = models.load(paths.models(config.params.competition, "ensemble"), FULL)
    imported = [name for name in saved.names if name not in config.params.finetunes]
    return _without(config, saved, dict.fromkeys(imported, "its predictions are imported"))


def _without(config: Config, saved: EnsembleModel, reasons: Mapping[str, str]) -> tuple[EnsembleModel, str]:
    """Return the ensemble without the members that cannot follow, for these reasons; and what that costs."""
    model = trimmed(saved)
    left_out = [name for name in model.names if name in reasons]
    if not left_out:
        return model, ""
    kept = [name for name in saved.names if name not in reasons]
    why = "; ".join(f"{name}: {reasons[name]}" for name in left_out)
    if not kept:
        raise PodiumError(f"no member can follow to new pictures ({why})")
    bank = _Bank(config)
    fitted = bank.fit(kept)
    return trimmed(fitted.model), f"without {why}; {bank.compared(fitted)}"


def require_vectors(config: Config) -> None:
    """Raise PodiumError for a competition whose answers are no vectors: their models cannot leave."""
    if not isinstance(config.competition.task, VectorTask):
        where = f"{paths.competition(config.params.competition)}: task"
        kind = config.competition.task.kind
        raise PodiumError(
            f"{where}: export, bundle and serve are for classes and values only, and not for {kind}; `podium predict`"
            " takes new pictures of it"
        )


class _Bank:
    """The members' out-of-fold predictions, to fit ensembles of some of them."""

    def __init__(self, config: Config) -> None:
        name, self.scoring, self.params = config.params.competition, scoring(config), config.params
        task, data = self.scoring.task, Dataset(paths.dataset(name))
        manifest = paths.data(name, "bank.json")
        self.bank = read_bank(manifest, task.predictions)
        ids = self.bank.train_ids
        self.y, self.weight = task.truth(data, ids), data.weight(ids)
        self.folds = FoldTable.read(data.folder).matrix(ids)

    def fit(self, names: Iterable[str]) -> EnsembleFit:
        """Return the ensemble of these members, chosen and weighted anew."""
        at = [self.bank.names.index(name) for name in names]
        part: Bank[Any] = Bank(
            tuple(self.bank.names[k] for k in at),
            tuple(self.bank.train[k] for k in at),
            tuple(self.bank.test[k] for k in at),
        )
        seed = self.params.seed
        return fit_ensemble(self.params.ensemble, self.scoring, part, self.y, self.folds, self.weight, seed)

    def loss(self, fitted: EnsembleFit) -> float:
        """Return the cross-fitted official score, lower is better."""
        return self.scoring.loss(self.y, fitted.cross_fitted, self.weight)

    def smallest(self, names: list[str], most: float) -> EnsembleFit:
        """Return the ensemble of fewest members whose loss exceeds that of all `names` by no more than `most`.

        Members are added one at a time, the one that helps most first.
        """
        whole = self.fit(names)
        limit, chosen = self.loss(whole) + most, list[str]()
        while len(chosen) < len(names):
            tried = {name: self.fit(sorted([*chosen, name])) for name in names if name not in chosen}
            best = min(tried, key=lambda name: self.loss(tried[name]))
            chosen.append(best)
            if self.loss(tried[best]) <= limit:
                return tried[best]
        return whole

    def compared(self, fitted: EnsembleFit) -> str:
        """Return the cross-fitted score of an ensemble, beside that of the whole bank."""
        official = self.scoring.official.name
        scores = [
            self.scoring.scores(self.y, one.cross_fitted, self.weight)[official]
            for one in (fitted, self.fit(self.bank.names))
        ]
        names = ", ".join(trimmed(fitted.model).names)
        return f"cross-fitted {official} {scores[0]:.4f} by {names}; {scores[1]:.4f} by all"


def _cannot_follow(config: Config, name: str, metadata: Collection[str]) -> str | None:
    """Return why a member cannot predict new pictures, or None where it can."""
    params = config.params
    if name in params.finetunes:
        return "it takes oblong pictures" if _is_oblong(config, name) else None
    is_network = name in params.students and params.students[name].finetune is not None
    if name in params.imports.predictions or is_network:
        return "it is a network that others taught" if is_network else "its predictions are imported"
    about = models.about(params.fitted(name))
    if oblong := [used for used in about["backbones"] if used in params.finetunes and _is_oblong(config, used)]:
        return f"{', '.join(oblong)} takes oblong pictures"
    if imported := [backbone for backbone in about["backbones"] if backbone in params.imports.features]:
        return f"its features {', '.join(imported)} are imported"
    if lacking := [column["name"] for column in about["metadata"] if column["name"] not in metadata]:
        return f"it takes metadata that is not given: {', '.join(lacking)}"
    is_bag = name in params.members and params.members[name].head.takes == "images"
    return "it takes each image of a row" if is_bag else None


def _is_oblong(config: Config, name: str) -> bool:
    height, width = find_encoder(config.params.finetunes[name], f"{paths.PARAMS}: finetunes.{name}").shape
    return height != width


def _member(config: Config, name: str) -> Member:
    folder = config.params.fitted(name)
    if name in config.params.finetunes:
        heads = tuple(models.load(folder, one) for one in models.that_predict(folder))
        return Member((name,), heads, is_network=True)
    about = models.about(folder)
    loaded = tuple(models.load(folder, one) for one in models.that_predict(folder))
    pictured = tuple(backbone for backbone in about["backbones"] if backbone != METADATA)
    columns = (MetadataColumn(**one | {"categories": tuple(one["categories"])}) for one in about["metadata"])
    return Member(pictured, loaded, about["views"] == "mean", metadata=tuple(columns))


def network(ensemble: Ensemble, name: str) -> Network:
    """Return a network as it runs here: a backbone by its engine, a trained one by Keras."""
    source = ensemble.source(name)
    if isinstance(source, Extraction):
        source.network.require_weights(f"{paths.PARAMS}: backbones.{name}.network", source.pooling)
        engine = source.start(paths.cache() / "models" / source.fingerprint)
        how = source.backbone.resize
        batch, runs, px = source.backbone.batch, (engine.run,), source.px
        return Network(px, how.mode, how.interpolation, batch, runs, how.least_px(px))
    how, px, batch = source.encoder.spec.resize, source.encoder.px, source.encoder.spec.batch
    folds = tuple(_restored(ensemble, source.encoder, one.weights) for one in source.folds)
    return Network(px, how.mode, how.interpolation, batch, folds, how.least_px(px))


def _restored(
    ensemble: Ensemble, encoder: Encoder, weights: tuple[np.ndarray, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the features of a trained network, as the stage computes them."""
    from podium.training.outputs.scores import build

    task = vector_task(ensemble.config)
    features: Callable[[np.ndarray], np.ndarray] = restored(
        build(encoder, task, len(task.columns(list(ensemble.labels))), 0), weights
    ).features
    return features


def restored(model: Any, weights: tuple[np.ndarray, ...]) -> Any:
    """Return the `Model` with a saved network's weights, its frozen layers in the engine that the stage takes."""
    model.use_frozen_engine(paths.cache() / "finetunes" / fingerprint(model.encoder) / "exported")
    model.restore({f"model/{n}": array for n, array in enumerate(weights)})
    return model
