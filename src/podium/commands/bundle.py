"""`podium bundle`: the ensemble as a Kaggle dataset and kernel, rehearsed here before anything is pushed."""

import os
import sys
import tempfile
from pathlib import Path

from podium import paths
from podium.commands import predict
from podium.config import Config, vector_task
from podium.contracts.dataset import Dataset
from podium.contracts.predictions import digest_of_folder
from podium.contracts.submission import check, read_sample
from podium.errors import PodiumError
from podium.serving import bundle
from podium.serving import ensemble as ensembles
from podium.serving.bundle import Rehearsal
from podium.storage.files import write_json

_CLOSE = 1e-6  # of a cell, to podium's own


def run(
    config: Config,
    folder: str | None,
    user: str | None,
    hidden: int | None,
    hours: float,
    slim: float | None,
    wheels: str | None,
) -> None:
    """Write FOLDER, run its kernel without a network on a larger test set, and hold it against podium's own."""
    name = config.params.competition
    target = Path(folder) if folder else paths.bundle(name)
    owner = user or os.environ.get("KAGGLE_USERNAME")
    if not owner:
        raise PodiumError("--user: say whose Kaggle dataset and kernel it will be (or set KAGGLE_USERNAME)")
    if target.exists() and not (target / "dataset/dataset-metadata.json").is_file():
        raise PodiumError(f"{target}: it is there, and no bundle; choose another folder")
    if wheels and not Path(wheels).is_dir():
        raise PodiumError(f"--wheels: there is no folder {wheels}")
    ensembles.require_vectors(config)
    bundle.check(config)
    ensemble = ensembles.read(config, slim=slim)
    if ensemble.note:
        print(f"bundle: {ensemble.note}", file=sys.stderr)  # noqa: T201  # before any work
    bundle.write(ensemble, target, owner, Path(wheels) if wheels else None)
    dataset = bundle.megabytes(target / "dataset")
    print(f"{target}: a dataset of {dataset:.1f} MB and a kernel; rehearsing it")  # noqa: T201
    with tempfile.TemporaryDirectory() as stage:
        done = bundle.rehearse(config, target, Path(stage) / "as-scored")
        gap = _compared(config, done, Path(stage) / "here.csv")
        # What is installed serves again; Kaggle's CPUs may lack bfloat16, so time is taken in float32.
        installed = Path(stage) / "as-scored/packages"
        plain = bundle.rehearse(config, target, Path(stage) / "float32", installed, "float32")
        columns = list(read_sample(done.sample).columns[1:])
        shift = bundle.difference(done.submission, plain.submission, columns)
        n_hidden = hidden or done.n_rows
        needed = max(plain.hours(n_hidden), done.install_s / 3600)
        facts = {
            "dataset": digest_of_folder(target / "dataset"),
            "kernel": digest_of_folder(target / "kernel"),
            "passed": gap <= _CLOSE and needed <= hours,
            "rows": done.n_rows,
            "difference": gap,
            "difference_float32": shift,
            "install_s": done.install_s,
            "predict_s": plain.predict_s,
            "peak_mb": plain.peak_mb,
            "network": done.network,
            "hidden": n_hidden,
            "hours": round(needed, 3),
        }
        write_json(facts, target / "rehearsal.json")
    print(  # noqa: T201  # the command's answer
        f"{target}: rehearsed on {done.n_rows} rows without a network ({done.network}): podium's own submission but for"
        f" {gap:.1e} (in float32 {shift:.1e}); {plain.predict_s:.0f} s, {plain.peak_mb} MB;"
        f" {n_hidden:,} hidden rows would take {needed:.2f} h of {hours:g}"
    )
    if gap > _CLOSE:
        raise PodiumError(f"{target}: the kernel's submission differs from podium's own by {gap:.1e}; do not push it")
    if needed > hours:
        raise PodiumError(f"{target}: {n_hidden:,} hidden rows take {needed:.2f} h of {hours:g}; try --slim")


def _compared(config: Config, done: Rehearsal, here: Path) -> float:
    """Return how far the kernel's submission is from podium's own; raises PodiumError where the gate refuses it."""
    sample = read_sample(done.sample)
    specs = vector_task(config).cell_specs(Dataset(paths.dataset(config.params.competition)), list(sample.columns[1:]))
    check(done.submission, sample, specs, str(done.submission))
    predict.run(config, [str(done.images)], str(here), str(done.sample), None)
    return bundle.difference(done.submission, here, list(sample.columns[1:]))
