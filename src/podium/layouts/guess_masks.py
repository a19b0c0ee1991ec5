"""The draft of a competition whose table holds masks as run lengths, a line an image."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from podium.layouts.guess_names import Found

METRIC, OTHERS = "mean_dice", ["pixel_iou"]


def draft(
    train: Found, test: Found | None, tables: Mapping[str, pd.DataFrame], runs: str
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the sections layout and task; None where an image has several lines, which may be classes or objects."""
    table = tables[train.table]
    if table[train.column].duplicated().any() or not isinstance(train.image, str):
        return None
    layout: dict[str, Any] = {"kind": "files", **_part(train, table)}
    if test is not None:
        layout["test"] = _part(test, tables[test.table])
    source = {"source": train.table, "id": train.column, "runs": runs}
    return layout, {"kind": "masks", "labels": ["mask"], "table": source, "absent": "empty"}


def _part(found: Found, table: pd.DataFrame) -> dict[str, Any]:
    """Return the pattern of the images, and the template of ids that are those of the table."""
    pattern = str(found.image).replace(f"{{{found.column}}}", "{id}")
    if not pattern.endswith("{id}"):
        return {"images": pattern, "id": "id"}
    suffix = PurePosixPath(table[found.column].dropna().iloc[0]).suffix  # ids are whole file names
    return {"images": f"{pattern}{suffix}", "id": f"{{id}}{suffix}"}
