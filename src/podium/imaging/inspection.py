"""Opening every image of a competition once: what can be read, what it looks like, and what nobody uses."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from podium.errors import preview
from podium.imaging import regions
from podium.imaging.duplicates import perceptual_hash
from podium.imaging.images import SUFFIXES, Reader, UnreadableImageError
from podium.storage.raw import Raw

_COMPARED = 5000  # file names held against one that is missing: more would take minutes


def open_images(images: pd.DataFrame, raw: Path, max_megapixels: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images that can be read, and the others with a `reason`.

    Readable ones get columns width, height, digest and hash; larger ones than `max_megapixels` are not decoded.
    """
    with Reader(raw, max_megapixels) as reader, ThreadPoolExecutor(os.cpu_count()) as pool:

        def inspect(source: str) -> dict[str, Any]:
            try:
                pixels, digest = reader.read_with_digest(source)
            except UnreadableImageError as error:
                return {"width": 0, "height": 0, "digest": "", "hash": "", "reason": str(error)}
            size = {"width": pixels.shape[1], "height": pixels.shape[0], "digest": digest}
            return size | {"hash": perceptual_hash(pixels), "reason": ""}

        inspected = pool.map(inspect, images["source"])
        facts = list(tqdm(inspected, total=len(images), desc="prepare", unit="image", disable=None))
    found = pd.DataFrame(facts, columns=["width", "height", "digest", "hash", "reason"])
    opened = images.reset_index(drop=True).join(found)
    is_readable = opened["reason"] == ""
    quarantined = opened.loc[~is_readable, ["image_id", "row_id", "source", "reason"]]
    return opened[is_readable].drop(columns="reason"), quarantined


def nearest_files(raw: Path, source: str) -> str:
    """Return the names of the image files that are most like `source`, to see what a template should have said."""
    with Raw(raw) as files:
        images = [name for name in files.sources() if name.lower().endswith(SUFFIXES)]
    some = images[:: len(images) // _COMPARED + 1]
    return preview(get_close_matches(source, some, n=3, cutoff=0.0)) or "none: there is no image at all"


def unused_images(raw: Path, images: pd.DataFrame) -> dict[str, Any]:
    """Return how many image files no row names, and the first few: of another kind, or forgotten by a template."""
    with Raw(raw) as files:
        sources = {source for source in files.sources() if source.lower().endswith(SUFFIXES)}
    # A row of a sprite sheet uses the sheet, and a part of an image the image.
    parts = {source.rpartition("#")[0] for source in images["source"]}
    parts |= {regions.parse(source).whole for source in images["source"]}
    unused = sorted(sources - set(images["source"]) - parts)
    return {"unused_images": len(unused), "first_unused_images": unused[:5]}


def audit(rows: pd.DataFrame, images: pd.DataFrame, quarantined: pd.DataFrame, unlabelled: pd.Series) -> dict[str, Any]:
    """Return what a competitor should know of the images, as JSON."""
    has_images = len(images) + len(quarantined) > 0
    sizes = Counter(f"{width}x{height}" for width, height in zip(images["width"], images["height"], strict=True))
    twins = images.sort_values("image_id").groupby("digest")["image_id"].agg(list)
    return {
        "rows": dict(Counter(rows["split"])),
        "images": dict(Counter(images["split"])),
        "quarantined": quarantined.sort_values("image_id").to_dict("records"),
        "rows_without_image": sorted(set(rows["row_id"]) - set(images["row_id"])) if has_images else [],
        "rows_without_label": sorted(unlabelled),
        "sizes": dict(sizes.most_common(20)),
        "duplicates": sorted(group for group in twins if len(group) > 1),
    }
