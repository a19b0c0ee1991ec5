"""Boxes that were found elsewhere: a YOLO of one's own joins the bank by COCO's results JSON, or by a table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from podium.contracts import imports
from podium.contracts.boxes import CORNERS, Boxes
from podium.contracts.dataset import Dataset
from podium.errors import PodiumError, preview
from podium.storage import csv_table


def read(
    path: Path, data: Dataset, classes: Sequence[str], names: Mapping[str, str]
) -> tuple[Boxes, np.ndarray | None]:
    """Return the boxes of a file, and each row's fold where it says so.

    A table has the columns row_id, x1, y1, x2, y2, score and label, in pixels, a line a box; a line with no numbers is
    a row without one. COCO's results are a list of image_id (the row's), category_id (the place of the class, or its
    name), bbox (x, y, width, height) and score; there a row of the competition that is not named has no box.
    """
    table = _results(path, data, classes) if path.suffix == ".json" else _table(path)
    boxes = table.dropna(subset=CORNERS)
    where = str(path)
    numbers = boxes[[*CORNERS, "score"]].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        row = boxes["row_id"].iloc[int((~np.isfinite(numbers)).any(axis=1).argmax())]
        raise PodiumError(f"{where}: corners and score must be finite numbers: row_id {row!r}")
    label = boxes["label"].astype(str) if "label" in boxes.columns else pd.Series(classes[0], boxes.index)
    if unknown := sorted(set(label) - set(names)):
        raise PodiumError(f"{where}: unknown class {preview(unknown)}; choose from: {', '.join(names)}")
    code = np.array([classes.index(names[name]) for name in label], np.int64)
    ids = list(dict.fromkeys(table["row_id"]))
    row_of = pd.Index(ids).get_indexer(boxes["row_id"])
    parts = []
    for n in range(len(ids)):
        own = row_of == n
        parts.append((numbers[own, :4], numbers[own, 4], code[own]))
    found = Boxes.of_parts(ids, "train", parts, classes)
    found.check(where)
    if "fold" not in table.columns:
        return found, None
    return found, table.drop_duplicates("row_id")["fold"].astype(str).to_numpy(object)


def _table(path: Path) -> pd.DataFrame:
    table = imports.read(path, "row_id")
    csv_table.require(table, [*CORNERS, "score"], str(path))
    return table


def _results(path: Path, data: Dataset, classes: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; params.yaml names it under imports")
    try:
        lines = [
            (str(one["image_id"]), *map(float, one["bbox"]), float(one["score"]), one["category_id"])
            for one in json.loads(path.read_bytes())
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise PodiumError(f"{path}: not COCO's results ({type(error).__name__}: {error})") from None
    table = pd.DataFrame(lines, columns=["row_id", "x1", "y1", "w", "h", "score", "label"])
    table["x2"], table["y2"] = table["x1"] + table["w"], table["y1"] + table["h"]
    table["label"] = [
        classes[code] if isinstance(code, int) and 0 <= code < len(classes) else str(code) for code in table["label"]
    ]
    known = data.rows.loc[data.rows["split"].isin(["train", "test"]), "row_id"]
    rest = pd.DataFrame({"row_id": known[~known.isin(table["row_id"])]})
    return pd.concat([table.drop(columns=["w", "h"]), rest], ignore_index=True).astype({"row_id": "str"})
