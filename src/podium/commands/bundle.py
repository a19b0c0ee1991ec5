"""`podium bundle`: the ensemble as a Kaggle dataset and kernel, rehearsed here before anything is pushed."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from podium import paths
from podium.commands import predict
from podium.config import Config, scoring, vector_task
from podium.contracts.dataset import Dataset
from podium.contracts.predictions import digest_of_folder
from podium.contracts.submission import check, read_sample
from podium.contracts.tables import by_id
from podium.errors import PodiumError
from podium.serving import bundle
from podium.serving import ensemble as ensembles
from podium.serving.bundle import Rehearsal
from podium.storage import csv_table
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
    pins: str | None,
) -> None:
    """Write FOLDER, run its kernel without a network on a larger test set, and hold it against podium's own.

    A second run, in float32 and with the packages of `pins`, says what another machine's precision and versions change.
    """
    name = config.params.competition
    target = Path(folder) if folder else paths.bundle(name)
    owner = user or os.environ.get("KAGGLE_USERNAME")
    if not owner:
        raise PodiumError("--user: say whose Kaggle dataset and kernel it will be (or set KAGGLE_USERNAME)")
    if target.exists() and not (target / "dataset/dataset-metadata.json").is_file():
        raise PodiumError(f"{target}: it is there, and no bundle; choose another folder")
    if wheels and not Path(wheels).is_dir():
        raise PodiumError(f"--wheels: there is no folder {wheels}")
    if pins and not Path(pins).is_file():
        raise PodiumError(f"--pins: there is no file {pins}")
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
        if pins:
            image = Path(stage) / "image"
            installed = bundle.pinned(installed, Path(pins), image, Path(wheels) if wheels else None)
        plain = bundle.rehearse(config, target, Path(stage) / "float32", installed, "float32")
        columns = list(read_sample(done.sample).columns[1:])
        shift = bundle.difference(done.submission, plain.submission, columns)
        scores = [_official(config, one.submission) for one in (done, plain)]
        n_hidden = hidden or done.n_rows
        needed = max(plain.hours(n_hidden), done.install_s / 3600)
        facts: dict[str, Any] = {
            "dataset": digest_of_folder(target / "dataset"),
            "kernel": digest_of_folder(target / "kernel"),
            "passed": gap <= _CLOSE and needed <= hours,
            "rows": done.n_rows,
            "difference": gap,
            "difference_float32": shift,
            "pins": Path(pins).read_text(encoding="utf-8").split() if pins else [],
            "score": scores[0],
            "score_float32": scores[1],
            "install_s": done.install_s,
            "predict_s": plain.predict_s,
            "peak_mb": plain.peak_mb,
            "network": done.network,
            "hidden": n_hidden,
            "hours": round(needed, 3),
        }
        write_json(facts, target / "rehearsal.json")
    how = "in float32" + (f" and with {', '.join(facts['pins'])}" if pins else "")
    print(  # noqa: T201  # the command's answer
        f"{target}: rehearsed on {done.n_rows} rows without a network ({done.network}): podium's own submission but for"
        f" {gap:.1e} ({how} {shift:.1e}{_changed(*scores)}); {plain.predict_s:.0f} s, {plain.peak_mb} MB;"
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


def _official(config: Config, submission: Path) -> dict[str, float] | None:
    """Return a submission's official score on the public test rows and its standard error, where labels are here."""
    name, official = config.params.competition, scoring(config)
    ids, y = official.task.read_solution(paths.data(name, "solution"))
    if not ids:
        return None
    data, table = Dataset(paths.dataset(name)), csv_table.read(submission.read_bytes(), str(submission))
    own = by_id(table, ids, str(submission), key=table.columns[0])
    p, metric = official.task.read_submission(own, data), official.official.name
    weight = data.weight(ids)
    found = {"score": official.scores(y, p, weight), "standard_error": official.standard_errors(y, p, weight)}
    return {key: scores[metric] for key, scores in found.items()}


def _changed(exact: dict[str, float] | None, plain: dict[str, float] | None) -> str:
    """Return what the second run changes of the score, in words; nothing where no labels are here."""
    if exact is None or plain is None:
        return ""
    change = abs(plain["score"] - exact["score"])
    share = change / exact["standard_error"] if exact["standard_error"] else 0.0
    return f", the score by {change:.1e}, {share:.3f} of its standard error"
