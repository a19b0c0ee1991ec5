"""Training one network: phases of epochs, a checkpoint after each, and the weights at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from podium.errors import PodiumError
from podium.storage import checkpoints
from podium.training.data import Examples, batches
from podium.training.model import Model
from podium.training.phases import Phase, phases
from podium.training.prefix import Maps

_STANDARD = 512  # images that tell mean and deviation of features

Arrays = dict[str, np.ndarray]
Line = dict[str, Any]  # of the learning curve: an epoch


@dataclass(frozen=True)
class Job:
    """One network to train: on which images, judged by which (for `patience`), and where it is kept meanwhile."""

    build: Callable[[], Model]
    pixels: np.ndarray  # (n, h, w, 3) uint8
    train_set: Examples
    valid_set: Examples | None
    seed: int
    folder: Path
    where: str  # opens an error: the finetune's place in params.yaml
    facts: Mapping[str, float] = field(default_factory=dict)  # to keep beside the final weights
    draw: Callable[[np.ndarray, int], tuple[Any, Any]] | None = None  # see podium.training.data.batches


@dataclass(frozen=True)
class Step:
    """Progress after each batch; loss and metric are means since the epoch began."""

    epoch: int  # from 0
    n_images: int  # learnt from so far, in all epochs together,
    n_total: int  # and at the end
    loss: float
    metric: float
    metric_name: str


Watch = Callable[[Step], None]


@dataclass(frozen=True)
class _Progress:
    """What a checkpoint holds beside the network and its optimiser."""

    curve: tuple[Line, ...] = ()
    best: Arrays = field(default_factory=dict)  # the network's state at the least loss of the judging images
    best_epoch: int = 0
    soup: Arrays = field(default_factory=dict)  # the mean state after the last epochs, as far as they are over
    n_soup: int = 0

    @property
    def epoch(self) -> int:
        return len(self.curve)

    def is_over(self, patience: int | None) -> bool:
        return patience is not None and self.epoch - self.best_epoch >= patience

    def after(self, line: Line, state: Arrays) -> "_Progress":
        """Return the progress after one more epoch, with the network's state at its end."""
        curve, loss = (*self.curve, line), line["valid_loss"]
        if loss is None or (self.best and loss >= self.curve[self.best_epoch - 1]["valid_loss"]):
            return replace(self, curve=curve)
        return _Progress(curve, state, len(curve))

    def stirred(self, state: Arrays) -> "_Progress":
        """Return the progress with one more epoch's state in the mean; what is no weight is the last one's."""
        n, soup = self.n_soup + 1, {}
        for name, array in state.items():
            before = self.soup.get(name, array)
            is_weight = np.issubdtype(array.dtype, np.floating)
            soup[name] = (before + (array - before) / n).astype(array.dtype) if is_weight else array
        return replace(self, soup=soup, n_soup=n)


def final(folder: Path) -> Path:
    """Return where the weights at the end are kept."""
    return folder / "final.npz"


def train(job: Job, watch: Watch) -> Model:
    """Train to the end, from the last checkpoint if there is one; returns the model with its final weights.

    A run that was killed ends with the same weights as one that was not: order, augmentation and schedule are
    functions of seed and step, and all else is in the checkpoint.
    Raises PodiumError for a loss that is no number, and where memory runs out.
    """
    model = job.build()
    model.use_frozen_engine(job.folder.parent / "exported")
    spec = model.encoder.spec
    if len(job.train_set) < spec.batch:
        raise PodiumError(f"{job.where}.batch: {spec.batch} is more than the {len(job.train_set)} images of a fold")
    if finished := checkpoints.load(final(job.folder)):
        model.restore(finished[0])
        return model
    last = job.folder / "last.npz"
    arrays, progress = _begun(job, model, last)
    maps: Maps | None = None
    for phase in phases(model.encoder):
        if progress.epoch < phase.epochs.stop:
            model.open(phase, steps=len(job.train_set) // spec.batch)
            left = phase.epochs.stop - progress.epoch
            maps = None if job.draw else model.maps(job.pixels, job.train_set.place, left)
        if phase.epochs.start < progress.epoch < phase.epochs.stop:
            model.restore_optimizer(arrays)
        while progress.epoch < phase.epochs.stop and not progress.is_over(spec.patience):
            line = _epoch(job, model, phase, progress.epoch, watch, maps)
            progress = _validate(job, model, progress, line)
            if spec.soup > 1 and progress.epoch > spec.epochs - spec.soup:
                with model.averaged():
                    progress = progress.stirred(model.arrays())
            if progress.epoch == phase.epochs.stop:
                model.apply_ema()
            _save(last, model, progress)
    if progress.best or progress.soup:
        model.restore(progress.best or progress.soup)
    arrays = {**model.arrays(), **model.output.final()}
    checkpoints.save(final(job.folder), arrays, {"curve": progress.curve, **job.facts})
    last.unlink(missing_ok=True)
    return model


def _begun(job: Job, model: Model, last: Path) -> tuple[Arrays, _Progress]:
    """Return the last checkpoint and how far it had come, with the network put into its state."""
    arrays, progress = _load(last)
    if progress.epoch:
        model.restore(arrays)
    elif model.encoder.is_pretrained:
        some = np.random.default_rng(job.seed).permutation(job.train_set.place)[:_STANDARD]
        model.output.begin(model, job.pixels[some])
    return arrays, progress


def _epoch(job: Job, model: Model, phase: Phase, epoch: int, watch: Watch, maps: Maps | None) -> Line:
    """Learn from every batch of an epoch; returns its line of the learning curve."""
    spec, totals = model.encoder.spec, np.zeros(2)
    n_steps = len(job.train_set) // spec.batch
    made = batches(job.train_set, job.pixels, spec, job.seed, epoch, model.prepare, maps.of if maps else None, job.draw)
    for n, batch in enumerate(made, start=1):
        try:
            values = model.step(*batch)
        except Exception as error:
            if _is_out_of_memory(error):
                raise PodiumError(_advice(job.where, spec.batch, spec.accumulate)) from None
            raise
        if not np.isfinite(values[0]):
            kept = f"the weights after epoch {epoch} are kept in {job.folder}" if epoch else "there are no weights yet"
            raise PodiumError(
                f"{job.where}: the loss is {values[0]} in epoch {epoch + 1}, step {n} of {n_steps};"
                f" choose a smaller learning_rate, or a clip_norm; {kept}"
            )
        totals += values
        loss, metric = totals / n
        n_images, n_total = ((before * n_steps + now) * spec.batch for before, now in ((epoch, n), (spec.epochs, 0)))
        watch(Step(epoch, n_images, n_total, float(loss), float(metric), model.metric))
    return {
        "epoch": epoch + 1,
        "phase": phase.name,
        "loss": float(loss),
        model.metric: float(metric),
        "valid_loss": None,
    }


def _validate(job: Job, model: Model, progress: _Progress, line: Line) -> _Progress:
    """Return the progress after an epoch, judged by images that are not learnt from, where there are any."""
    if job.valid_set is None:
        return progress.after(line, {})
    with model.averaged():
        loss = model.loss(job.pixels[job.valid_set.place], job.valid_set.target, job.valid_set.weight)
        return progress.after({**line, "valid_loss": loss}, model.arrays())


def _save(path: Path, model: Model, progress: _Progress) -> None:
    kept = {f"best/{name}": array for name, array in progress.best.items()}
    kept |= {f"soup/{name}": array for name, array in progress.soup.items()}
    facts = {"curve": progress.curve, "best_epoch": progress.best_epoch, "n_soup": progress.n_soup}
    checkpoints.save(path, {**model.arrays(), **model.optimizer_arrays(), **kept}, facts)


def _load(path: Path) -> tuple[Arrays, _Progress]:
    found = checkpoints.load(path)
    if found is None:
        return {}, _Progress()
    arrays, facts = found
    best, soup = (
        {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
        for kind in ("best/", "soup/")
    )
    return arrays, _Progress(tuple(facts["curve"]), best, facts["best_epoch"], soup, facts.get("n_soup", 0))


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether a backend says so; each has an exception of its own."""
    message = f"{type(error).__name__} {error}"
    signs = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "out of memory", "OOM")
    return isinstance(error, MemoryError) or any(sign in message for sign in signs)


def _advice(where: str, batch: int, accumulate: int) -> str:
    smaller = max(batch // 2, 1)
    factor = batch * accumulate // smaller
    return f"{where}: out of memory at batch: {batch}; the same steps in less: batch: {smaller}, accumulate: {factor}"
