"""`podium leaks`: every check of analysis.leaks on the competition at hand, as text and as reports/C/leaks.json."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from podium import paths
from podium.analysis import leaks
from podium.analysis.leaks import Finding
from podium.config import Config
from podium.contracts import features
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.tables import HASHES, by_id
from podium.imaging.duplicates import NEAR
from podium.imaging.exif import facts
from podium.storage import csv_table
from podium.storage.files import write_json
from podium.storage.raw import Raw
from podium.tasks.vector import ProbabilityTask, VectorTask

_MOST = 5000  # rows of either side in adversarial validation: enough to see an AUC of 0.53


def run(config: Config) -> None:
    """Print the findings, alarms first, and write them with the table of what each prediction's model saw."""
    name = config.params.competition
    data = Dataset(paths.dataset(name))
    images, rows, folds = data.images, data.rows, FoldTable.read(data.folder)
    hashes = by_id(HASHES.read(paths.data(name, "hashes.parquet")), images["image_id"], "hashes.parquet", "image_id")
    near = config.params.folds.near_duplicates
    pairs = leaks.copies(images, hashes["hash"], NEAR if near is None else near)
    seen = leaks.seen(rows, folds, pairs, images)
    findings = [
        *leaks.groups(rows, folds),
        *leaks.across(pairs, images, rows, folds),
        *leaks.certificate(seen),
        *leaks.made_elsewhere(_imported(config)),
        *_metadata(config, data),
        *_features(config, images),
        *_predictions(config),
    ]
    findings.sort(key=lambda finding: (finding.level, finding.check, finding.message))
    csv_table.write(seen, paths.report(name, "seen.csv"))
    write_json([vars(finding) for finding in findings], paths.report(name, "leaks.json"))
    for finding in findings:
        print(f"{finding.level}: {finding.message}")  # noqa: T201  # the answer to the command
    alarms = sum(finding.level == "alarm" for finding in findings)
    clean = "no leak found" if not alarms else f"{alarms} alarms"
    print(f"{clean}; {len(seen)} out-of-fold predictions: {paths.report(name, 'seen.csv')}")  # noqa: T201


def _imported(config: Config) -> dict[str, set[str]]:
    """Return the imported features that each head sits on."""
    imported = set(config.params.imports.features)
    return {name: imported & set(model.backbones) for name, model in config.params.models().items()}


def _metadata(config: Config, data: Dataset) -> Iterator[Finding]:
    """Check what is known of a row beside its pixels, against targets that are numbers: of its first image."""
    if not isinstance(config.competition.task, VectorTask):
        return
    raw, images = paths.raw(config.params.competition), data.images
    if not len(images):  # then the columns are what a model is to learn from
        return
    first = images[images["split"] == "train"].sort_values(["row_id", "image_id"]).drop_duplicates("row_id")
    known = data.of(first["row_id"])
    with Raw(raw) as files:  # one file at a time
        written = pd.DataFrame([_of_file(files.read(source) if source in files else b"") for source in first["source"]])
    row_id = first["row_id"].reset_index(drop=True)
    table = pd.DataFrame(
        {"width": first["width"].to_numpy(), "height": first["height"].to_numpy()}
        | {"aspect": (first["width"] / first["height"]).to_numpy()}
        | {column: written[column] for column in written.columns}
        | {"words of the id": row_id.str.replace(r"\d+", "#", regex=True)}
        | {"number in the id": pd.to_numeric(row_id.str.extract(r"(\d{1,15})\D*$")[0])}
        | {column: known[column] for column in known.columns if column.startswith("meta_")}
    )
    listed = config.competition.layout.read(raw).rows["row_id"].drop_duplicates()
    orders = {
        "row order": pd.Series(np.arange(len(listed)), index=listed).reindex(row_id).to_numpy(),
        "file order": _in_order(first["source"]).rank().to_numpy(),
        "id order": _in_order(row_id).rank().to_numpy(),
    }
    yield from leaks.metadata(table, config.competition.task.truth(data, row_id), _different(orders))


def _of_file(data: bytes) -> dict[str, str | float | None]:
    return {"file size": len(data), **{f"{name} (EXIF)": value for name, value in facts(data).items()}}


def _different(orders: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the orders, the first of those that are the same."""
    by_order = {np.argsort(places, kind="stable").tobytes(): name for name, places in reversed(orders.items())}
    return {name: orders[name] for name in orders if name in by_order.values()}


def _in_order(names: pd.Series) -> pd.Series:
    """Return a key that sorts names as a person counts: row 10 after row 9."""
    return names.str.replace(r"\d+", lambda digits: digits[0].zfill(12), regex=True)


def _features(config: Config, images: pd.DataFrame) -> Iterator[Finding]:
    """Look for copies in each backbone's features, and tell train and test apart by them, where they are extracted."""
    view = config.params.views.test[0]
    sides = {split: _some(images[images["split"] == split]) for split in ("train", "test")}
    ids = pd.concat(sides.values())["image_id"]
    for backbone in [*config.params.backbones, *config.params.imports.features]:
        path = paths.features(config.params.competition, backbone)
        if path.exists() and all(map(len, sides.values())):
            read = features.read(path, lambda index: index["image_id"].isin(ids) & (index["view"] == view))
            at = pd.Series(np.arange(len(read.index)), index=read.index["image_id"])
            train, test = (read.matrix[at[side["image_id"]].to_numpy()] for side in sides.values())
            yield from leaks.adversarial(train, test, ids, backbone)
            yield from leaks.alike(np.concatenate([train, test]), ids, backbone)


def _some(table: pd.DataFrame) -> pd.DataFrame:
    return table if len(table) <= _MOST else table.sample(_MOST, random_state=0)


def _predictions(config: Config) -> Iterator[Finding]:
    """Compare how sure each member is of train and of test rows."""
    task = config.competition.task
    if not isinstance(task, ProbabilityTask):
        return
    for member in config.params.bank():
        folder = config.params.predictions(member)
        if folder.exists():
            scores = task.predictions.read(folder)
            yield from leaks.in_sample(scores.of_split("train").p, scores.of_split("test").p, member)
