"""prepare: raw data -> tables of images and rows, targets, the sample submission, the solution and the audit."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from podium import paths
from podium.config import Competition, Config
from podium.contracts import features
from podium.contracts.metadata import NAME as METADATA
from podium.contracts.metadata import PREFIX
from podium.contracts.tables import HASHES, IMAGES, ROWS
from podium.errors import PodiumError, preview
from podium.imaging.duplicates import equal_pairs, joined_groups
from podium.imaging.inspection import audit, nearest_files, open_images, unused_images
from podium.layouts import Layout, Listing
from podium.splits import sampling
from podium.storage import csv_table
from podium.storage.files import atomic_folder, write_json
from podium.tasks import Encoded


@dataclass(frozen=True)
class Listed:
    """What the tables and file names say, before any image is opened.

    `rows` is the Rows table, limited, with every target that is known; `sample` is the whole sample submission.
    """

    listing: Listing
    encoded: Encoded
    rows: pd.DataFrame
    unlabelled: pd.Series
    sample: pd.DataFrame


def listed(config: Config) -> Listed:
    """Read the layout, hold out and limit rows; raises PodiumError that names the file and the key at fault."""
    name, competition = config.params.competition, config.competition
    raw, where, task = paths.raw(name), str(paths.competition(name)), config.competition.task
    listing = competition.layout.read(raw)
    listing = replace(listing, rows=task.read_files(listing.rows, listing.images, raw, where))
    encoded = task.encode(listing.rows, where)
    rows = _rows(listing.rows, encoded, competition, where)
    is_known = rows[encoded.columns.columns].notna().all(axis=1)
    unlabelled = rows.loc[~is_known & (rows["split"] == "train"), "row_id"]
    if competition.layout.unlabelled == "drop":
        rows = rows.drop(unlabelled.index)
    elif encoded.files is not None:
        raise PodiumError(f"{where}: layout.unlabelled: only classes and values are learnt without labels; drop them")
    else:  # of weight 0: nothing but a teacher says anything of them
        rows.loc[unlabelled.index, ["split", "weight"]] = "extra", 0.0
    if not (rows["split"] == "train").any():
        raise PodiumError(f"{where}: layout: not one row has a label to train on")
    task.require_classes(rows, where)
    sample = competition.submission.table(
        raw, set(task.line_ids(rows.loc[rows["split"] == "test", "row_id"])), task.sample_cell
    )
    return Listed(listing, encoded, _limited(rows, encoded, config.params.limit), unlabelled, sample)


def run(config: Config) -> dict[str, int]:
    """Read the layout, hold out and limit rows, open every image once, and write the tables."""
    name, competition = config.params.competition, config.competition
    raw, where, task = paths.raw(name), str(paths.competition(name)), config.competition.task
    found = listed(config)
    listing, encoded, rows = found.listing, found.encoded, found.rows
    wanted = listing.images[listing.images["row_id"].isin(rows["row_id"])]
    images, quarantined = open_images(wanted, raw, competition.layout.max_megapixels)
    _require_readable(quarantined, wanted, listing, competition.layout, raw, where)
    images = images.merge(rows[["row_id", "split"]], on="row_id", validate="many_to_one")

    HASHES.write(images[["image_id", "row_id", "split", "hash"]], paths.data(name, "hashes.parquet"))
    IMAGES.write(images.drop(columns="hash"), paths.data(name, "images.parquet"))
    _write_targets(encoded, rows, config)
    rows["group"] = _with_copies(rows, images)
    is_test = rows["split"] == "test"
    rows[encoded.columns.columns] = rows[encoded.columns.columns].mask(is_test)
    about = {"labels": encoded.labels, "task": task.kind, "has_files": encoded.files is not None}
    ROWS.write(rows, paths.data(name, "rows.parquet"), about)
    _write_metadata(rows, paths.features(name, METADATA))
    csv_table.write(found.sample, paths.data(name, "sample_submission.csv"))
    facts = audit(rows, images, quarantined, found.unlabelled) | unused_images(raw, listing.images)
    write_json(facts, paths.data(name, "audit.json"))
    return {"rows": len(rows), "images": len(images), "quarantined": len(quarantined)}


def _require_readable(
    quarantined: pd.DataFrame, wanted: pd.DataFrame, listing: Listing, layout: Layout, raw: Path, where: str
) -> None:
    """Print what is quarantined; raise PodiumError where it is so much that the layout, not an image, is at fault."""
    part_of = listing.rows.drop_duplicates("row_id").set_index("row_id")["split"]
    n_listed = wanted["row_id"].map(part_of).value_counts()
    for part, bad in quarantined.groupby(quarantined["row_id"].map(part_of)):
        share, first = len(bad) / n_listed[part], bad.iloc[0]
        what = f"{len(bad):,} of {n_listed[part]:,} {part} images cannot be read, such as {first['source']}"
        what += f" ({first['reason']})"
        if share > layout.max_unreadable or share == 1:
            nearest = nearest_files(raw, first["source"])
            raise PodiumError(
                f"{where}: {layout.images_key(str(part))}: {what}; the nearest files are: {nearest}; mend it, or raise"
                f" layout.max_unreadable, a share of {layout.max_unreadable:g}"
            )
        print(f"prepare: quarantined: {what}; audit.json lists them all")  # noqa: T201  # a row without its image


def _rows(found: pd.DataFrame, encoded: Encoded, competition: Competition, where: str) -> pd.DataFrame:
    """Return the Rows table with every target that is known, the held-out ones too."""
    layout = competition.layout
    named = {"group": layout.group, "weight": layout.weight}
    for key, columns in {**{k: [v] for k, v in named.items() if v}, "metadata": layout.metadata}.items():
        csv_table.require(found, columns, f"{where}: layout.{key}")
    leaked = set(layout.metadata) & set(competition.task.label_columns())
    if leaked:
        raise PodiumError(f"{where}: layout.metadata: {preview(sorted(leaked))} is what is to be predicted")
    rows = found[["row_id", "split"]].join(encoded.columns)
    rows["weight"] = pd.to_numeric(found[layout.weight], errors="coerce") if layout.weight else 1.0
    rows["group"] = found[layout.group] if layout.group else rows["row_id"]
    # A table of test rows need not name groups, which only matter where rows are split.
    rows["group"] = rows["group"].mask(rows["group"].isna() & (rows["split"] == "test"), rows["row_id"])
    rows = rows.join(found[list(layout.metadata)].add_prefix(PREFIX))
    if competition.holdout:
        rows["split"] = _held_out(found, rows["group"], competition, where)
    # A row of several images may have as many lines: what is left of them must be the same, or its id comes twice.
    return ROWS.check(rows.drop_duplicates(), where)


def _write_metadata(rows: pd.DataFrame, path: Path) -> None:
    """Write what stands for the metadata among the feature files: DVC needs a file for each backbone that is named.

    The cells themselves are in the Rows table, which every fit reads.
    """
    cells = rows.sort_values("row_id")[["row_id", *(name for name in rows.columns if name.startswith(PREFIX))]]
    digest = hashlib.sha256(cells.to_csv(index=False).encode()).hexdigest()
    columns = [name.removeprefix(PREFIX) for name in cells.columns[1:]]
    features.write_manifest(path, {"backbone": METADATA, "columns": ", ".join(columns), "digest": digest})


def _write_targets(encoded: Encoded, rows: pd.DataFrame, config: Config) -> None:
    """Write the targets that are not numbers, of all but test rows, and the solution: the test rows' targets."""
    name, task = config.params.competition, config.competition.task
    is_test = rows["split"] == "test"
    with atomic_folder(paths.data(name, "targets")) as folder:
        write_json({"task": task.kind, "labels": encoded.labels}, folder / "about.json")
        if encoded.files is not None:
            encoded.files(rows.loc[~is_test, "row_id"], folder)
    with atomic_folder(paths.data(name, "solution")) as folder:
        task.write_solution(encoded, rows[is_test], folder)


def _held_out(found: pd.DataFrame, group: pd.Series, competition: Competition, where: str) -> pd.Series:
    """Return the splits, with the competition's own part of the train groups turned into test rows."""
    holdout = competition.holdout
    assert holdout is not None
    if (found["split"] == "test").any():
        raise PodiumError(f"{where}: holdout: this competition has test rows of its own, so nothing can be held out")
    csv_table.require(found, holdout.stratify, f"{where}: holdout.stratify")
    first = ~group.duplicated()
    stratum = sampling.strata(found[list(holdout.stratify)])[first]
    chosen = sampling.choose(group[first], stratum, round(holdout.fraction * first.sum()), holdout.seed)
    return found["split"].mask(group.isin(group[first][chosen]), "test")


def _with_copies(rows: pd.DataFrame, images: pd.DataFrame) -> pd.Series:
    """Return the groups, joined where images of rows to train on are the same file: copies must share a fold."""
    known = images[images["split"] != "test"].sort_values("image_id")
    ids = known["row_id"].to_numpy()
    return joined_groups(rows, [(ids[a], ids[b]) for a, b in equal_pairs(known["digest"])])


def _limited(rows: pd.DataFrame, encoded: Encoded, limit: int | None) -> pd.DataFrame:
    """Return `limit` of the rows, each split and each target with its share, for a quick trial run."""
    if limit is None:
        return rows
    stratum = sampling.strata(rows[["split", *encoded.columns]])
    return rows[sampling.choose(rows["row_id"], stratum, limit, seed=0)]
