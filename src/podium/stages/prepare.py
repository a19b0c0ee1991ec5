"""prepare: raw data -> tables of images and rows, the sample submission, the solution and the audit."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from podium import paths
from podium.config import Competition, Config
from podium.contracts.tables import HASHES, IMAGES, ROWS, by_id
from podium.errors import PodiumError, preview
from podium.imaging.duplicates import equal_pairs, joined_groups, perceptual_hash
from podium.imaging.images import SUFFIXES, Reader, UnreadableImageError
from podium.splits import sampling
from podium.storage import csv_table
from podium.storage.files import write_json
from podium.storage.raw import Raw


def run(config: Config) -> None:
    """Read the layout, hold out and limit rows, open every image once, and write the tables."""
    name, competition = config.params.competition, config.competition
    raw, where = paths.raw(name), str(paths.competition(name))
    listing = competition.layout.read(raw)
    targets, labels = competition.task.encode(listing.rows, where)
    rows = _rows(listing.rows, targets, competition, where)
    is_known = rows[targets.columns].notna().all(axis=1)
    unlabelled = rows.loc[~is_known & (rows["split"] == "train"), "row_id"]
    rows = rows.drop(unlabelled.index)
    _check_classes(rows, competition, where)
    rows = _limited(rows, targets.columns, config.params.limit)
    images, quarantined = _opened(listing.images[listing.images["row_id"].isin(rows["row_id"])], raw)
    images = images.merge(rows[["row_id", "split"]], on="row_id", validate="many_to_one")
    test = rows.loc[rows["split"] == "test", ["row_id", *targets]].sort_values("row_id")

    HASHES.write(images[["image_id", "row_id", "split", "hash"]], paths.data(name, "hashes.parquet"))
    IMAGES.write(images.drop(columns="hash"), paths.data(name, "images.parquet"))
    rows["group"] = _with_copies(rows, images)
    rows[targets.columns] = rows[targets.columns].mask(rows["split"] == "test")
    ROWS.write(rows, paths.data(name, "rows.parquet"), {"labels": labels, "task": competition.task.kind})
    csv_table.write(test.dropna(), paths.data(name, "solution.csv"))
    csv_table.write(_sample(test["row_id"], competition, raw, config), paths.data(name, "sample_submission.csv"))
    unused = _unused(raw, listing.images)
    write_json(_audit(rows, images, quarantined, unlabelled) | unused, paths.data(name, "audit.json"))


def _rows(found: pd.DataFrame, targets: pd.DataFrame, competition: Competition, where: str) -> pd.DataFrame:
    """Return the Rows table with every target that is known, the held-out ones too."""
    layout = competition.layout
    named = {"group": layout.group, "weight": layout.weight}
    for key, columns in {**{k: [v] for k, v in named.items() if v}, "metadata": layout.metadata}.items():
        csv_table.require(found, columns, f"{where}: layout.{key}")
    told = set(layout.metadata) & set(competition.task.label_columns())
    if told:
        raise PodiumError(f"{where}: layout.metadata: {preview(sorted(told))} is what is to be predicted")
    rows = found[["row_id", "split"]].join(targets)
    rows["weight"] = pd.to_numeric(found[layout.weight], errors="coerce") if layout.weight else 1.0
    rows["group"] = found[layout.group] if layout.group else rows["row_id"]
    rows = rows.join(found[list(layout.metadata)].add_prefix("meta_"))
    if competition.holdout:
        rows["split"] = _held_out(found, rows["group"], competition, where)
    # A row of several images may have as many lines: what is left of them must be the same, or its id comes twice.
    return ROWS.check(rows.drop_duplicates(), where)


def _check_classes(rows: pd.DataFrame, competition: Competition, where: str) -> None:
    """Raise PodiumError where there is nothing to tell apart."""
    train = rows.loc[rows["split"] == "train"]
    if train.empty:
        raise PodiumError(f"{where}: layout: not one row has a label to train on")
    if competition.task.kind in ("binary", "multiclass") and train["y"].nunique() < 2:  # noqa: PLR2004  # two classes
        columns = ", ".join(competition.task.label_columns())
        raise PodiumError(f"{where}: task: {columns} puts all {len(train)} rows to train on into one class")


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


def _limited(rows: pd.DataFrame, targets: pd.Index, limit: int | None) -> pd.DataFrame:
    """Return `limit` of the rows, each split and each target with its share, for a quick trial run."""
    if limit is None:
        return rows
    stratum = sampling.strata(rows[["split", *targets]])
    return rows[sampling.choose(rows["row_id"], stratum, limit, seed=0)]


def _opened(images: pd.DataFrame, raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open every image: return those that can be read with what they look like, and the others with a reason."""
    with Reader(raw) as reader, ThreadPoolExecutor(os.cpu_count()) as pool:

        def look(source: str) -> dict[str, Any]:
            try:
                pixels, digest = reader.read_with_digest(source)
            except UnreadableImageError as error:
                return {"width": 0, "height": 0, "digest": "", "hash": "", "reason": str(error)}
            looked = {"width": pixels.shape[1], "height": pixels.shape[0], "digest": digest}
            return looked | {"hash": perceptual_hash(pixels), "reason": ""}

        looks = pool.map(look, images["source"])
        found = list(tqdm(looks, total=len(images), desc="prepare", unit="image", disable=None))
    opened = images.reset_index(drop=True).join(pd.DataFrame(found))
    is_read = opened["reason"] == ""
    if not is_read.any():
        first = "" if opened.empty else f"; the first: {opened['source'][0]}: {opened['reason'][0]}"
        raise PodiumError(f"{raw}: not one of {len(opened)} images can be read{first}")
    return opened[is_read].drop(columns="reason"), opened.loc[~is_read, ["image_id", "row_id", "source", "reason"]]


def _sample(ids: pd.Series, competition: Competition, raw: Path, config: Config) -> pd.DataFrame:
    """Return the sample submission: the competition's own, or one of the test rows' ids."""
    name = competition.submission.sample
    if name is None:
        key, *columns = competition.submission.columns
        return pd.DataFrame({key: ids, **dict.fromkeys(columns, 0.5)})
    with Raw(raw) as files:
        sample = csv_table.read(files.read(name), name)
    named = sample.iloc[:, 0]
    if config.params.limit is not None:
        return sample[named.isin(ids)]
    by_id(pd.DataFrame({"row_id": ids}), named, f"{name}: test rows of the layout")
    more = sorted(set(ids) - set(named))
    if more:
        raise PodiumError(f"{name}: it lacks these test rows of the layout: {preview(more)}")
    return sample


def _unused(raw: Path, images: pd.DataFrame) -> dict[str, Any]:
    """Return how many image files no row names, and the first few: of another kind, or forgotten by a template."""
    with Raw(raw) as files:
        there = {source for source in files.sources() if source.lower().endswith(SUFFIXES)}
    # A row of a sheet uses the sheet.
    unused = sorted(there - set(images["source"]) - set(images["source"].str.rpartition("#")[0]))
    return {"unused_images": len(unused), "first_unused_images": unused[:5]}


def _audit(rows: pd.DataFrame, images: pd.DataFrame, quarantined: pd.DataFrame, unlabelled: pd.Series) -> Any:
    """Return what a competitor should know of the images, as JSON."""
    sizes = Counter(f"{width}x{height}" for width, height in zip(images["width"], images["height"], strict=True))
    twins = images.sort_values("image_id").groupby("digest")["image_id"].agg(list)
    return {
        "rows": dict(Counter(rows["split"])),
        "images": dict(Counter(images["split"])),
        "quarantined": quarantined.sort_values("image_id").to_dict("records"),
        "rows_without_image": sorted(set(rows["row_id"]) - set(images["row_id"])),
        "rows_without_label": sorted(unlabelled),
        "sizes": dict(sizes.most_common(20)),
        "duplicates": sorted(group for group in twins if len(group) > 1),
    }
