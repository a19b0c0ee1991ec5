"""The images worth a look: each once, with every reason for which it was chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MOST = 24  # images for one reason
_MOST_TWINS = 4  # of one group
REASONS = {
    "mistake": "worst mistakes",
    "uncertain": "most uncertain",
    "disagreement": "members disagree",
    "label": "suspected label errors",
    "duplicate": "near-duplicates",
    "quarantined": "quarantined",
}


@dataclass(frozen=True)
class Tile:
    """One image of the gallery; `source` is where its pixels are, "" where they cannot be read."""

    image_id: str
    row_id: str
    source: str
    split: str
    reasons: tuple[str, ...]
    label: str
    predicted: str
    note: str


def tiles(
    ids: np.ndarray,
    ranked: Mapping[str, np.ndarray],
    texts: Mapping[str, tuple[str, str]],
    images: pd.DataFrame,
    quarantined: Iterable[Mapping[str, str]],
    twins: Iterable[list[str]],
) -> list[Tile]:
    """Return the gallery, in the order of the reasons.

    Args:
        ids: the ids of the scored rows.
        ranked: reason -> positions of rows, the most remarkable first.
        texts: row id -> its label and its prediction.
        images: the Images table.
        quarantined: what prepare's audit lists.
        twins: groups of ids of images that look nearly the same.
    """
    first = images.drop_duplicates("row_id").set_index("row_id")
    chosen: dict[str, list[str]] = {}
    for reason, positions in ranked.items():
        for row_id in ids[positions[:MOST]]:
            chosen.setdefault(first.loc[row_id, "image_id"], []).append(reason)
    notes = {}
    for group in _first_groups(twins, {row_id: label for row_id, (label, _) in texts.items()}, images):
        for image_id in group:
            chosen.setdefault(image_id, []).append("duplicate")
            notes[image_id] = "like " + ", ".join(other for other in group if other != image_id)
    places = images.set_index("image_id")[["row_id", "source", "split"]]
    found = []
    for image_id, reasons in chosen.items():
        row_id, source, split = map(str, places.loc[image_id])
        label, predicted = texts.get(row_id, ("", ""))
        found.append(Tile(image_id, row_id, source, split, tuple(reasons), label, predicted, notes.get(image_id, "")))
    return found + [_unreadable(entry) for entry in list(quarantined)[:MOST]]


def _first_groups(twins: Iterable[list[str]], label_of: Mapping[str, str], images: pd.DataFrame) -> list[list[str]]:
    """Return the groups to show: first those whose labels disagree, then those across train and test."""
    row_of, split_of = (dict(zip(images["image_id"], images[column], strict=True)) for column in ("row_id", "split"))

    def rank(group: list[str]) -> tuple[bool, bool, list[str]]:
        labels = {label_of[row_of[image]] for image in group if row_of[image] in label_of}
        return len(labels) <= 1, len({split_of[image] for image in group}) == 1, group

    return [group[:_MOST_TWINS] for group in sorted(twins, key=rank)[: MOST // 2]]


def _unreadable(entry: Mapping[str, Any]) -> Tile:
    return Tile(
        image_id=entry["image_id"],
        row_id=entry["row_id"],
        source="",
        split="",
        reasons=("quarantined",),
        label="",
        predicted="",
        note=f"{entry['source']}: {entry['reason']}",
    )
