"""Masks: how good they are over thresholds and by area, and where the worst of them are wrong."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from podium.analysis.report import charts
from podium.analysis.report.page import Chart
from podium.analysis.report.panels import Panels as Base
from podium.analysis.report.results import Results
from podium.contracts.masks import HALF, SURE
from podium.tasks.masks import Task

_STEP = 5  # of the thresholds, in 255ths
_RIGHT, _FALSE, _MISSED = (40, 200, 90), (230, 60, 50), (60, 120, 255)


class Panels(Base):
    """Precision and recall over thresholds, predicted against true area, and the masks over the worst pictures."""

    def plots(self, results: Results) -> dict[str, pd.DataFrame]:
        """See Panels."""
        task, y, p = _task(results), results.y, results.p
        area, counts = y.area, task.overlaps(y, p).counts
        total = y.shape.prod(axis=1)[:, None]
        shares = {"predicted": counts[..., 0] / total, "actual": area / total}
        return {
            "precision_recall": _over_thresholds(results),
            "area": pd.DataFrame({name: share.reshape(-1) for name, share in shares.items()}),
            "images": pd.DataFrame({"row_id": results.ids, "dice": _dice(area, counts).mean(axis=1)}),
        }

    def charts(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Chart]:  # noqa: ARG002
        """See Panels."""
        dice = plots["images"]["dice"]
        worst = f"Dice's coefficient of an image: {dice.min():.3f} to {dice.max():.3f}, median {dice.median():.3f}."
        legend = "In the gallery's pictures green is right, red false, blue missed."
        return [
            Chart("Precision and recall", charts.precision_recall(plots["precision_recall"]), worst),
            Chart("Share of the image: actual against predicted", charts.fitted(plots["area"]), legend),
        ]

    def ranked(self, results: Results) -> dict[str, np.ndarray]:
        """See Panels; the images of the least Dice's coefficient, of the mean and of each of several classes."""
        task = _task(results)
        dice = _dice(results.y.area, task.overlaps(results.y, results.p).counts)
        orders = [np.argsort(dice.mean(axis=1), kind="stable"), *np.argsort(dice, axis=0, kind="stable").T]
        turns = np.column_stack(orders if dice.shape[1] > 1 else orders[:1]).reshape(-1)
        return {"mistake": np.array(list(dict.fromkeys(turns.tolist())), np.int64)}

    def labels(self, results: Results) -> Sequence[str]:
        """Return the share of the image that each class has."""
        return _shares(results.data.labels, results.y.area / results.y.shape.prod(axis=1)[:, None])

    def predictions(self, results: Results) -> Sequence[str]:
        """Return the share that is predicted, and Dice's coefficient."""
        counts = _task(results).overlaps(results.y, results.p).counts
        texts = _shares(results.data.labels, counts[..., 0] / results.y.shape.prod(axis=1)[:, None])
        dice = _dice(results.y.area, counts).mean(axis=1)
        return [f"{text}, Dice {one:.3f}" for text, one in zip(texts, dice, strict=True)]

    def drawn(self, results: Results, row_id: str, pixels: np.ndarray) -> np.ndarray:
        """See Panels; what is right, false and missed in any class, half as strong as the picture."""
        if row_id not in (ids := results.ids.tolist()):
            return pixels
        row = ids.index(row_id)
        truth, found = results.y.masks(row), _task(results).decide(results.p.whole(row))
        if truth.shape[1:] != pixels.shape[:2]:  # the picture was decoded to less than its own size
            return pixels
        painted = pixels.copy()
        for where, color in ((truth & found, _RIGHT), (found & ~truth, _FALSE), (truth & ~found, _MISSED)):
            some = where.any(axis=0)
            painted[some] = (painted[some].astype(np.uint16) + color) // 2
        return painted


def _task(results: Results) -> Task:
    task = results.scoring.task
    assert isinstance(task, Task)
    return task


def _dice(area: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return `(n, c)`: 1 where nothing is there and nothing predicted."""
    either = area + counts[..., 0]
    return np.where(either > 0, 2 * counts[..., 1] / np.maximum(either, 1), 1.0)


def _shares(labels: Sequence[str], shares: np.ndarray) -> list[str]:
    if len(labels) == 1:
        return [f"{share:.1%}" for share in shares[:, 0]]
    pairs = (zip(labels, row, strict=True) for row in shares)
    return [", ".join(f"{label} {share:.1%}" for label, share in row if share > 0) or "(none)" for row in pairs]


def _over_thresholds(results: Results) -> pd.DataFrame:
    """Return recall and precision of all pixels and classes together, by falling threshold."""
    counts, right = np.zeros(SURE + 1, np.int64), np.zeros(SURE + 1, np.int64)
    for row in range(len(results.y)):
        maps = results.p.whole(row)
        counts += np.bincount(maps.reshape(-1), minlength=SURE + 1)
        right += np.bincount(maps[results.y.masks(row)], minlength=SURE + 1)
    thresholds = np.unique([*range(1, SURE + 1, _STEP), HALF])[::-1]
    found, both = counts[::-1].cumsum()[::-1][thresholds], right[::-1].cumsum()[::-1][thresholds]
    some = found > 0
    table = {
        "threshold": thresholds / SURE,
        "recall": both / max(right.sum(), 1),
        "precision": both / np.maximum(found, 1),
    }
    curve: pd.DataFrame = pd.DataFrame(table)[some]
    return curve.reset_index(drop=True)
