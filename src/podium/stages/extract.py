"""extract: features of one backbone for every image and view; what any run on this machine computed is reused."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby

import pandas as pd
from tqdm import tqdm

from podium import paths
from podium.config import Config
from podium.contracts import features
from podium.contracts.tables import IMAGES, VIEWS
from podium.errors import PodiumError
from podium.features.extraction import Extraction, Image, Row, pixel_caches, resolve_auto
from podium.imaging.images import Reader
from podium.storage import cache_users
from podium.storage.rowcache import DamagedRowsError, RowCache, row_key


def run(config: Config, name: str | None = None) -> dict[str, int]:
    """Compute the rows that the row cache lacks, then write features/C/NAME.h5; returns what it did, for the log."""
    competition, where = config.params.competition, f"{paths.PARAMS}: backbones.{name}"
    extraction = resolve_auto(config.params.backbones[str(name)], where)
    output = paths.features(competition, str(name))
    fallback_dir = output.with_name(f".{output.stem}.rows.tmp")
    cache = RowCache(paths.cache() / "rows" / extraction.fingerprint, fallback_dir)
    sizes = pixel_caches(config.params.backbones.values(), paths.cache() / "pixels").values()
    cache_users.note(competition, [extraction.fingerprint, *(size.folder.name for size in sizes)])
    plan = _plan(competition)
    n_computed, seconds = 0, 0.0
    while True:
        missing = plan[[key not in cache for key in plan["key"]]].drop_duplicates("key")
        if len(missing):
            extraction.network.require_weights(f"{where}.network", extraction.pooling)
            cache.describe(extraction.description)
            started = time.monotonic()
            _compute(config, extraction, missing, cache, str(name))
            seconds += time.monotonic() - started
        n_computed += len(missing)
        shapes = {cache.shape(key) for key in plan["key"]}
        with suppress(DamagedRowsError):  # they are missing now
            features.write(
                output,
                plan[features.KEY],
                cache.get(plan["key"]),
                **features.form(shapes),
                attributes={**extraction.description, "backbone": name, "fingerprint": extraction.fingerprint},
            )
            break
    _report(extraction, len(plan), n_computed, seconds, cache, str(name))
    shutil.rmtree(fallback_dir, ignore_errors=True)
    return {"rows computed": n_computed, "rows reused": len(plan) - n_computed}


def _plan(competition: str) -> pd.DataFrame:
    """Return every row of the features file, sorted, with its key in the row cache."""
    views = VIEWS.read(paths.data(competition, "views.parquet"))
    images = IMAGES.read(paths.data(competition, "images.parquet"))[["image_id", "source", "digest"]]
    plan = views.merge(images, on="image_id", how="left", validate="many_to_one").sort_values(features.KEY)
    if plan.empty or plan["digest"].isna().any():
        table = paths.data(competition, "views.parquet")
        raise PodiumError(f"{table}: names no image, or one that is not in images.parquet; run `dvc repro augment`")
    plan["key"] = list(map(row_key, plan["digest"], plan["operation"], plan["parameters"]))
    return plan.reset_index(drop=True)


def _compute(config: Config, extraction: Extraction, missing: pd.DataFrame, cache: RowCache, name: str) -> None:
    """Put the missing rows into the cache, a batch at a time: a killed run loses at most one."""
    engine = extraction.start(paths.cache() / "models" / extraction.fingerprint)
    # What the other backbones ask for changes the speed and no number, so the stage need not track it.
    kept = pixel_caches(config.params.backbones.values(), paths.cache() / "pixels")
    progress = tqdm(total=len(missing), desc=name, unit="image", disable=None)
    with Reader(paths.raw(config.params.competition)) as reader, progress:
        for keys, rows in extraction.run(engine, _images(missing), reader, kept):
            try:
                cache.put(keys, rows)
            except OSError as error:
                raise PodiumError(
                    f"{error.filename}: {error.strerror}; what was computed so far is kept: make room and run again"
                ) from None
            progress.update(len(keys))


def _images(missing: pd.DataFrame) -> Iterator[Image]:
    """Yield each image once, with the rows that it lacks."""
    columns = ["image_id", "source", "key", "operation", "parameters"]
    for (image_id, source), rows in groupby(missing[columns].itertuples(index=False, name=None), lambda row: row[:2]):
        yield Image(image_id, source, tuple(Row(*row[2:]) for row in rows))


def _report(extraction: Extraction, n_rows: int, n_computed: int, seconds: float, cache: RowCache, name: str) -> None:
    """Print the one line that stays; warn of a cache that is damaged or cannot be written."""
    speed = f" at {n_computed / seconds:.1f} images/s" if n_computed else ""
    print(  # noqa: T201  # the stage's log
        f"extract {name}: {n_rows - n_computed} rows reused, {n_computed} computed{speed};"
        f" {extraction.engine_name} {extraction.precision}, row cache {cache.n_bytes / 1e6:.1f} MB"
    )
    if cache.n_damaged:
        print(f"extract {name}: {cache.n_damaged} damaged files of the row cache were left out", file=sys.stderr)  # noqa: T201
    if cache.write_error:
        print(f"extract {name}: this run's rows are not kept: {cache.write_error}", file=sys.stderr)  # noqa: T201
