"""`podium predict PATH...`: the whole ensemble on new pictures -> a CSV, or a submission."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from tqdm import tqdm

from podium import paths
from podium.config import Config, scoring, vector_task
from podium.contracts.dataset import Dataset
from podium.contracts.scores import Scores
from podium.contracts.submission import CellSpec, check, read_sample
from podium.contracts.tables import by_id
from podium.errors import PodiumError, preview
from podium.imaging.overlay import png
from podium.serving import ensemble as ensembles
from podium.serving import networks, occlusion
from podium.serving.captions import caption, captioned
from podium.serving.cells import labelled
from podium.serving.ensemble import Ensemble
from podium.serving.pictures import Found, find, rows_of, rows_of_table
from podium.serving.runtime import Answers, Predictor, Row
from podium.storage import csv_table
from podium.storage.files import atomic
from podium.tasks import Task
from podium.tasks.vector import VectorTask

MOST_PIXELS = 2**28  # of one picture: more is a mistake or an attack, and 0.8 GB
_SUBMISSION = "submission.csv"
_TEMPLATES = ("{path.stem}", "{path.name}")  # how a sample's ids may name files


def run(
    config: Config,
    what: list[str],
    out: str | None,
    sample: str | None,
    rows: str | None,
    pictures: str | None = None,
    metadata: str | None = None,
) -> None:
    """Predict pictures and write FILE, or FOLDER/predictions.csv; without `out`, print the table.

    In `pictures`, a folder, each lies with its label, probability and heatmap. `metadata` is a CSV by row_id.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # OpenCV reads it when it is loaded
    _check_paths({"--sample": sample, "--rows": _table(rows), "--metadata": metadata}, pictures)
    if not isinstance(config.competition.task, VectorTask):
        _by_networks(config, what, out, sample, rows, {"--pictures": pictures, "--metadata": metadata})
        return
    cells = _cells(metadata) if metadata else pd.DataFrame()
    ensemble = ensembles.read(config, metadata=cells.columns)
    if ensemble.note:
        print(f"predict: {ensemble.note}", file=sys.stderr)  # noqa: T201  # before any work
    found, lines = find(what), read_sample(Path(sample)) if sample else None
    wanted, count = _wanted(config, found, what, rows, sample, lines)
    if metadata:
        wanted = list(_described(wanted, cells, metadata))
    predictor = ensemble.predictor(ensembles.network)
    answers = _predict(predictor, wanted, count)
    if pictures:
        seen = wanted if isinstance(wanted, list) else rows_of(found, rows)  # a film's frames are read once more
        _draw(config, ensemble, predictor, answers, seen, Path(pictures))
    if lines is not None:
        _write_submission(config, ensemble, answers, lines, out)
        return
    if not answers.row_ids:
        raise _unreadable(count, answers.unreadable)
    header, answered = labelled(config.competition.task.kind, list(ensemble.labels), answers.p)
    frame = pd.DataFrame(answered, columns=header)
    frame.insert(0, "row_id", answers.row_ids)
    _write_table(frame, out)


def _by_networks(
    config: Config,
    what: list[str],
    out: str | None,
    sample: str | None,
    rows: str | None,
    others: Mapping[str, str | None],
) -> None:
    """Predict text, masks or boxes, and write them in the form of a submission."""
    task, competition = config.competition.task, config.params.competition
    if given := [option for option, value in others.items() if value]:
        raise PodiumError(f"{given[0]}: is for classes and values only, and not for {task.kind}")
    model, note = ensembles.of_networks(config)
    if note:
        print(f"predict: {note}", file=sys.stderr)  # noqa: T201  # before any work
    lines = read_sample(Path(sample) if sample else paths.data(competition, "sample_submission.csv"))
    columns = list(lines.columns[1:])
    wanted, count = _wanted(config, find(what), what, rows, sample, lines)
    if sample:
        covered = {line for row in wanted for line in task.line_ids([row.row_id])}
        if missing := sorted(set(lines.iloc[:, 0]) - covered):
            raise PodiumError(f"{sample}: no picture of {preview(missing)}")
    parts, images, unreadable = list[pd.DataFrame](), list[pd.DataFrame](), list[tuple[str, str]]()
    with tqdm(total=count, desc="predict", unit="image", disable=None) as progress:
        for part in networks.predict(config, model, wanted, progress.update):
            unreadable += _reported(part.unreadable)
            if len(part.data.images):
                parts.append(task.submission(part.predictions, part.data, columns))
                images.append(part.data.images)
    if not parts:
        raise _unreadable(count, unreadable)
    if not sample:
        _write_table(pd.concat(parts).rename(columns={"row_id": lines.columns[0]}), out)
        return
    ids = [row.row_id for row in wanted]
    data = Dataset(paths.dataset(competition)).with_test(ids, pd.concat(images, ignore_index=True))
    if lost := sorted(set(ids) - set(data.images["row_id"])):
        parts.append(task.submission(scoring(config).finished(task.fallback(data, lost)), data, columns))
        print(f"predict: no picture of {preview(lost)}; these get the best constant", file=sys.stderr)  # noqa: T201
    _write_checked(pd.concat(parts), lines, task.cell_specs(data, columns), out)


def _table(rows: str | None) -> Path | None:
    """Return the CSV of rows, where `--rows` names one."""
    return Path(rows) if rows and rows.lower().endswith(".csv") else None


def _wanted(
    config: Config,
    found: Sequence[Found],
    what: Sequence[str],
    rows: str | None,
    sample: str | None,
    lines: pd.DataFrame | None,
) -> tuple[Iterable[Row], int]:
    """Return the rows to predict, those of the sample's `lines` where a sample is given, and how many pictures."""
    table = _table(rows)
    if table:
        wanted: Iterable[Row] = rows_of_table(table, what)
        count = len(list(wanted))
    else:
        wanted, count = rows_of(found, rows), sum(one.count for one in found)
    if sample is None or lines is None:
        return wanted, count
    kept = _of_sample(list(lines.iloc[:, 0]), config.competition.task, found, list(wanted) if rows else None, sample)
    return kept, sum(len(row.pictures) for row in kept)


def _check_paths(files: Mapping[str, str | Path | None], pictures: str | None) -> None:
    """Raise PodiumError for a file that is not there, by its option, or a folder that is a file."""
    for option, given in files.items():
        if given and not Path(given).is_file():
            raise PodiumError(f"{option}: there is no file {given}")
    if pictures and Path(pictures).exists() and not Path(pictures).is_dir():
        raise PodiumError(f"--pictures: {pictures} is no folder")


def _cells(file: str) -> pd.DataFrame:
    """Return the table of metadata, its cells text, by row_id."""
    table = csv_table.read(Path(file).read_bytes(), file)
    csv_table.require(table, ["row_id"], file)
    if (twice := table["row_id"][table["row_id"].duplicated()]).any():
        raise PodiumError(f"{file}: row_id: named twice: {preview(twice.tolist())}")
    return table.set_index("row_id")


def _described(rows: Iterable[Row], cells: pd.DataFrame, file: str) -> Iterator[Row]:
    """Yield rows with their metadata; raises PodiumError for one that has no line."""
    for row in rows:
        if row.row_id not in cells.index:
            raise PodiumError(f"{file}: row_id: no line of {row.row_id!r}; --rows says how pictures are called")
        yield replace(row, cells={str(name): cell for name, cell in cells.loc[row.row_id].items()})


def _predict(predictor: Predictor, rows: Iterable[Row], count: int) -> Answers:
    """Return all answers together; progress, speed and what cannot be read go to the terminal."""
    parts = []
    with tqdm(total=count, desc="predict", unit="image", disable=None) as progress:
        parts = list(predictor.run(rows, progress.update))
    unreadable = _reported([fault for part in parts for fault in part.unreadable])
    ids = [row_id for part in parts for row_id in part.row_ids]
    return Answers(ids, np.concatenate([part.p for part in parts if part.row_ids] or [np.zeros((0, 1))]), unreadable)


def _reported(unreadable: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """List on the terminal what cannot be read, which is no reason to stop."""
    for name, reason in unreadable:
        print(f"predict: {name}: {reason}", file=sys.stderr)  # noqa: T201
    return unreadable


def _unreadable(count: int, unreadable: list[tuple[str, str]]) -> PodiumError:
    return PodiumError(f"not one of {count} pictures can be read; the first: {': '.join(unreadable[0])}")


def _draw(
    config: Config, ensemble: Ensemble, predictor: Predictor, answers: Answers, rows: Iterable[Row], folder: Path
) -> None:
    """Write each picture of a row that was predicted with label, probability and heatmap: FOLDER/NAME.png."""
    task, p = config.competition.task, dict(zip(answers.row_ids, answers.p, strict=True))
    assert isinstance(task, VectorTask)
    unreadable = {name for name, _ in answers.unreadable}
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with tqdm(desc="draw", unit="image", disable=None) as progress:
        for row, picture in ((one, picture) for one in rows for picture in one.pictures):
            if picture.name in unreadable or row.row_id not in p:
                continue
            pixels = picture.load()
            predict = occlusion.asking(predictor, row.cells)
            heat = occlusion.heatmap(pixels, predict, is_value=task.is_value)
            text = caption(task.kind, ensemble.labels, p[row.row_id])
            with atomic(folder / f"{quote(picture.name, safe='')}.png") as temporary:
                temporary.write_bytes(png(captioned(pixels, heat, text)))
            count += 1
            progress.update()
    print(f"{folder}: {count:,} pictures with their heatmaps", file=sys.stderr)  # noqa: T201


def _of_sample(ids: list[str], task: Task, found: Sequence[Found], rows: list[Row] | None, sample: str) -> list[Row]:
    """Return the rows that the sample submission names; pictures are named by their stem or file name."""
    asked = set(ids)

    def named(some: list[Row]) -> list[Row]:
        return [row for row in some if not asked.isdisjoint(task.line_ids([row.row_id]))]

    tried = [rows] if rows is not None else [list(rows_of(found, template)) for template in _TEMPLATES]
    kept = max(map(named, tried), key=len)
    if not kept:
        raise PodiumError(
            f"{sample}: none of its ids, such as {ids[0]!r}, is a picture's name, such as {tried[0][0].row_id!r};"
            " say how by --rows"
        )
    return kept


def _write_submission(
    config: Config, ensemble: Ensemble, answers: Answers, sample: pd.DataFrame, out: str | None
) -> None:
    """Write the sample's lines as the competition wants them; a line without a picture gets the best constant."""
    task, data = vector_task(config), Dataset(paths.dataset(config.params.competition))
    ids, columns = list(sample.iloc[:, 0]), list(sample.columns[1:])
    names = tuple(task.columns(list(ensemble.labels)))
    row_ids = np.array(answers.row_ids, object)
    p = Scores(row_ids, np.full(len(row_ids), "test", object), answers.p, names, ensemble.labels)
    missing = sorted(set(ids) - set(answers.row_ids))
    if missing:
        rest = scoring(config).finished(task.fallback(data, missing))
        p = Scores.concat([p, rest]) if len(row_ids) else rest
        print(f"predict: no picture of {preview(missing)}; these get the best constant", file=sys.stderr)  # noqa: T201
    _write_checked(task.submission(p, data, columns), sample, task.cell_specs(data, columns), out)


def _write_checked(
    answered: pd.DataFrame, sample: pd.DataFrame, cells: Mapping[str, CellSpec], out: str | None
) -> None:
    """Write the sample's lines, of answers by `row_id`; only what passes the check is left."""
    file = _file(out or _SUBMISSION, _SUBMISSION)
    submission = by_id(answered, sample.iloc[:, 0], str(file)).rename(columns={"row_id": sample.columns[0]})
    with atomic(file) as temporary:
        csv_table.write(submission, temporary)
        check(temporary, sample, cells, str(file))
    print(f"{file}: {len(submission):,} lines, checked against the sample submission")  # noqa: T201


def _write_table(frame: pd.DataFrame, out: str | None) -> None:
    """Write the answers of all rows; without `out`, print them."""
    if out is None:
        frame.to_csv(sys.stdout, index=False)
        return
    file = _file(out, "predictions.csv")
    csv_table.write(frame, file)
    print(f"{file}: {len(frame):,} rows")  # noqa: T201  # the command's answer


def _file(out: str, name: str) -> Path:
    """Return the file to write: `out`, or one in it where it is a folder."""
    path = Path(out)
    return path / name if path.is_dir() or out.endswith("/") or not path.suffix else path
