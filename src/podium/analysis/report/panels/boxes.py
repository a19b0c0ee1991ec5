"""Boxes: objects found in pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from podium.analysis.report import charts
from podium.analysis.report.page import Chart
from podium.analysis.report.panels import Panels as Base
from podium.analysis.report.results import Results
from podium.contracts.boxes import Annotated
from podium.metrics.boxes import BoxScore, curve, iou, match

_SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}  # as COCO has them
_MOST_POINTS = 400  # of a curve
_BINS = np.geomspace(4, 1024, 17)  # of the sides of boxes


class Panels(Base):
    """Precision against recall, misses and false alarms by score, sizes, and the pictures with most of them."""

    def plots(self, results: Results) -> dict[str, pd.DataFrame]:
        """See Panels; all at the official metric's lowest IoU."""
        threshold = _threshold(results)
        recall, precision, score = curve(results.y, results.p, threshold)
        some = np.unique(np.linspace(0, max(len(score) - 1, 0), _MOST_POINTS).astype(int))[: len(score)]
        columns = {"recall": recall[some], "precision": precision[some], "score": score[some]}
        hit, found = _hits(results, threshold)
        alarms = np.histogram(results.p.score[~hit], np.linspace(0, 1, 11))[0]
        right = np.histogram(results.p.score[hit], np.linspace(0, 1, 11))[0]
        return {
            "precision_recall": pd.DataFrame(columns),
            "confidence": pd.DataFrame({"score": np.arange(10) / 10, "right": right, "false_alarms": alarms}),
            "parts": _by_part(results, threshold),
            "sides": _by_side(results, found),
        }

    def charts(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Chart]:
        """See Panels."""
        threshold, drawn = _threshold(results), []
        if len(plots["precision_recall"]):
            table = plots["parts"]
            parts = ", ".join(f"{name} {value:.3f}" for name, value in zip(table["part"], table["ap"], strict=True))
            note = f"At IoU {threshold:g}, of boxes as they would go out. Average precision: {parts}."
            drawn.append(Chart("Precision and recall", charts.precision_recall(plots["precision_recall"]), note))
        confidence, sides = plots["confidence"], plots["sides"]
        note = f"{int(confidence['right'].sum()):,} right, {int(confidence['false_alarms'].sum()):,} false alarms."
        picture = charts.bars(confidence, "score", ("right", "false_alarms"))
        drawn.append(Chart("Right boxes and false alarms by score", picture, note))
        note = f"{int(sides['missed'].sum()):,} of {int(sides[['found', 'missed']].to_numpy().sum()):,} are missed."
        drawn.append(Chart("Objects by their side", charts.bars(sides, "side_px", ("found", "missed")), note))
        return drawn

    def ranked(self, results: Results) -> dict[str, np.ndarray]:
        """See Panels; the images of most misses and false alarms."""
        hit, found = _hits(results, _threshold(results))
        wrong = np.bincount(results.p.row[~hit], minlength=len(results.y))
        wrong += np.array([(~own).sum() for own in found])
        order = np.argsort(-wrong, kind="stable")
        return {"mistake": order[wrong[order] > 0]}

    def labels(self, results: Results) -> Sequence[str]:
        """See Panels."""
        return [_counted(one.label, results.p.labels) for one in results.y]

    def predictions(self, results: Results) -> Sequence[str]:
        """See Panels; with the misses and false alarms among them."""
        hit, found = _hits(results, _threshold(results))
        texts = []
        for n, own in enumerate(found):
            _, _, label = results.p.of_row(n)
            alarms = int((~hit[results.p.offset[n] : results.p.offset[n + 1]]).sum())
            texts.append(f"{_counted(label, results.p.labels)}; {int((~own).sum())} missed, {alarms} false alarms")
        return texts

    def drawn(self, results: Results, row_id: str, pixels: np.ndarray) -> np.ndarray:
        """See Panels; truth that was found and that was missed, right boxes and false alarms, in a colour each."""
        import cv2

        if row_id not in (ids := results.ids.tolist()):
            return pixels
        n = ids.index(row_id)
        hit, found = _hits(results, _threshold(results))
        picture, thick = pixels.copy(), max(round(max(pixels.shape[:2]) / 300), 1)
        right = hit[results.p.offset[n] : results.p.offset[n + 1]]
        for boxes, is_right, colours in (
            (results.y[n].xyxy, found[n], ((255, 140, 0), (255, 255, 255))),
            (results.p.of_row(n)[0], right, ((230, 30, 30), (60, 220, 60))),
        ):
            for box, own in zip(boxes.round().astype(int).tolist(), is_right, strict=True):
                cv2.rectangle(picture, box[:2], box[2:], colours[int(own)], thick)
        return picture


def _threshold(results: Results) -> float:
    score = results.metric.function
    return score.low if isinstance(score, BoxScore) else 0.5


def _hits(results: Results, threshold: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return which boxes are right `(b,)`, and for each row which of its objects were found."""
    hit = match(results.y, results.p, np.array([threshold]), by_image=True).is_hit[0]
    found = []
    for n, true in enumerate(results.y):
        own = slice(results.p.offset[n], results.p.offset[n + 1])
        xyxy, label = results.p.xyxy[own][hit[own]], results.p.label[own][hit[own]]
        same = label[:, None] == true.label
        found.append(((iou(xyxy, true.xyxy) >= threshold) & same).any(axis=0))
    return hit, found


def _by_part(results: Results, threshold: float) -> pd.DataFrame:
    """Return the average precision of each class and of each size, where there are such objects."""
    score, y, p = BoxScore("ap", threshold, threshold), results.y, results.p
    rows, lines = np.arange(len(y)), []
    for code, name in enumerate(p.labels):
        own = np.empty(len(y), object)
        own[:] = [Annotated(one.xyxy[one.label == code], one.label[one.label == code]) for one in y]
        if any(map(len, own)):
            lines.append((name, score(own, p.chosen(p.label == code))))
    for name, area in _SIZES.items():
        matches = match(y, p, score.thresholds, by_image=False, area=area)
        if matches.truth.any():
            lines.append((name, score.of(matches, rows)))
    return pd.DataFrame(lines, columns=["part", "ap"])


def _by_side(results: Results, found: Sequence[np.ndarray]) -> pd.DataFrame:
    """Return how many objects were found and missed, by the square root of their area."""
    xyxy = np.concatenate([np.zeros((0, 4)), *(one.xyxy for one in results.y)])
    is_found = np.concatenate([np.zeros(0, bool), *found])
    side = np.sqrt(np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1))
    counts = [np.histogram(side[which], _BINS)[0] for which in (is_found, ~is_found)]
    return pd.DataFrame({"side_px": _BINS[:-1].round(), "found": counts[0], "missed": counts[1]})


def _counted(labels: np.ndarray, names: Sequence[str]) -> str:
    counts = np.bincount(labels, minlength=len(names))
    return ", ".join(f"{n} {name}" for n, name in zip(counts, names, strict=True) if n) or "none"
