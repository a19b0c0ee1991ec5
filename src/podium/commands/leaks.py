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
from podium.contracts.tables import FOLDS, HASHES, IMAGES, ROWS, by_id
from podium.imaging.duplicates import NEAR
from podium.imaging.exif import camera
from podium.storage import csv_table
from podium.storage.files import write_json
from podium.storage.raw import Raw
from podium.tasks.vector import ProbabilityTask

_MOST = 5000  # rows of either side in adversarial validation: enough to see an AUC of 0.53


def run(config: Config) -> None:
    """Print the findings, alarms first, and write them with the table of what each prediction's model saw."""
    name = config.params.competition
    images, rows = (
        table.read(paths.data(name, file)) for table, file in ((IMAGES, "images.parquet"), (ROWS, "rows.parquet"))
    )
    folds = FOLDS.read(paths.data(name, "folds.parquet"))
    hashes = by_id(HASHES.read(paths.data(name, "hashes.parquet")), images["image_id"], "hashes.parquet", "image_id")
    pairs = leaks.copies(images, hashes["hash"], config.params.folds.near_duplicates or NEAR)
    seen = leaks.seen(rows, folds, pairs, images)
    findings = [
        *leaks.groups(rows, folds),
        *leaks.across(pairs, images, rows, folds),
        *leaks.certificate(seen),
        *leaks.second_hand(_on_trained(config)),
        *_metadata(config, images, rows),
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


def _on_trained(config: Config) -> dict[str, set[str]]:
    """Return the finetunes that each head has its features from."""
    finetunes = set(config.params.finetunes)
    return {name: finetunes & set(model.backbones) for name, model in config.params.models().items()}


def _metadata(config: Config, images: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Finding]:
    """Check what is known of a row beside its pixels: of its first image, where it has several."""
    first = images[images["split"] == "train"].sort_values(["row_id", "image_id"]).drop_duplicates("row_id")
    first = first.sort_values("source", key=_in_order, kind="stable")
    known = by_id(rows, first["row_id"], "rows.parquet")
    with Raw(paths.raw(config.params.competition)) as raw:
        files = [raw.read(source) if source in raw else b"" for source in first["source"]]
    facts = pd.DataFrame(
        {"width": first["width"].to_numpy(), "height": first["height"].to_numpy()}
        | {"aspect": (first["width"] / first["height"]).to_numpy(), "file size": [len(file) for file in files]}
        | {"camera (EXIF)": pd.Series([camera(file) for file in files], dtype="str")}
        | {column: known[column].to_numpy() for column in known.columns if column.startswith("meta_")}
    )
    yield from leaks.metadata(
        facts, config.competition.task.truth(Dataset(paths.dataset(config.params.competition)), known["row_id"])
    )


def _in_order(sources: pd.Series) -> pd.Series:
    """Return a key that sorts sources as a person counts: row 10 after row 9."""
    return sources.str.replace(r"\d+", lambda digits: digits[0].zfill(12), regex=True)


def _features(config: Config, images: pd.DataFrame) -> Iterator[Finding]:
    """Look for copies in each backbone's features, and tell train and test apart by them, where they are extracted."""
    for backbone in [*config.params.backbones, *config.params.finetunes, *config.params.imports.features]:
        path = paths.features(config.params.competition, backbone)
        if path.exists():
            read = features.read(path)
            view = config.params.views.test[0]
            at = read.index.assign(place=np.arange(len(read.index)))[read.index["view"] == view]
            table = images.merge(at, on="image_id", validate="one_to_one")
            sides = [_some(table[table["split"] == split]) for split in ("train", "test")]
            if all(map(len, sides)):
                train, test = (read.matrix[side["place"].to_numpy()] for side in sides)
                ids = pd.concat(sides)["image_id"]
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
        folder = paths.predictions(config.params.competition, member)
        if folder.exists():
            scores = task.predictions.read(folder)
            yield from leaks.in_sample(scores.of_split("train").p, scores.of_split("test").p, member)
