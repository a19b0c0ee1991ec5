"""`podium compare A B`: which choices and scores differ between two revisions, and whether B is really better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import Any

import numpy as np
import pandas as pd

from podium.analysis import revisions, significance
from podium.analysis.revisions import ENSEMBLE, Revision
from podium.analysis.significance import Difference
from podium.analysis.text_table import aligned
from podium.config import all_metrics
from podium.config import scoring as scoring_of
from podium.errors import PodiumError, preview
from podium.fitting.scoring import Scoring
from podium.metrics import Metric


@dataclass(frozen=True)
class Line:
    """One score of both sides: of the ensemble, or of a member of the bank that both have."""

    model: str
    metric: str
    a: float
    b: float
    difference: Difference


def run(a: str, b: str) -> None:
    """Print the comparison of two revisions."""
    with TemporaryDirectory(prefix="podium-") as folder:
        sides = (revisions.read(name, Path(folder) / side) for side, name in (("a", a), ("b", b)))
        print(text(*sides))  # noqa: T201  # what the command is for


def text(a: Revision, b: Revision) -> str:
    """Return the comparison for a person to read; the last line is the verdict."""
    lines = differences(a, b)
    official = lines[0]
    changed = [line for line in lines if line.model == ENSEMBLE or line.difference.verdict != "the same"]
    parts = [
        f"A is {a.name}, B is {b.name}: {b.config.competition.title}",
        _differing("Choices", a.choices, b.choices),
        _differing("Scores", a.metrics, b.metrics),
        "Out-of-fold scores; a gain is positive where B is better, with its 95 % interval\n" + _table(changed),
        *_unchanged(len(lines) - len(changed)),
        *notes(a, b),
        f"{official.metric} of the {official.model}: {official.difference.sentence()}",
    ]
    return "\n\n".join(parts)


def differences(a: Revision, b: Revision) -> list[Line]:
    """Return the ensemble's differences by every metric of B's competition, then the shared members' by the official.

    Raises PodiumError where the two have no competition or no labels in common.
    """
    if a.config.params.competition != b.config.params.competition:
        names = [f"{side.name} has {side.config.params.competition}" for side in (a, b)]
        raise PodiumError(f"nothing to compare: {names[0]}, {names[1]}")
    first, second = a.predictions[ENSEMBLE], b.predictions[ENSEMBLE]
    if first.form != second.form:
        predicted = f"{a.name} predicts {preview(first.labels)}, {b.name} {preview(second.labels)}"
        raise PodiumError(f"nothing to compare: {predicted}")
    official, *others = all_metrics(b.config)
    shared = [name for name in b.config.params.bank() if name in a.config.params.bank()]
    pairs = [(ENSEMBLE, metric) for metric in (official, *others)] + [(name, official) for name in shared]
    return [_line(a, b, model, metric) for model, metric in pairs]


def notes(a: Revision, b: Revision) -> list[str]:
    """Return what makes the comparison less than one of the same images, labels and folds."""
    left, right = _scored(a, a, ENSEMBLE), _scored(b, b, ENSEMBLE)
    if not left.pairs_with(right):
        only_a, only_b = (len(set(x.ids) - set(y.ids)) for x, y in ((left, right), (right, left)))
        which = f"{only_a} only in {a.name}, {only_b} only in {b.name}"
        return [f"The scored rows differ ({which}): A and B are not paired, so only a large gain shows."]
    found = []
    if changed := int(left.scoring.task.differing(left.y, right.y).sum()):
        found.append(f"{changed} rows have another label in {a.name}: both sides are scored on those of {b.name}.")
    if not np.array_equal(left.folds, right.folds):
        found.append("The folds differ: A and B are paired by image, not by fold.")
    return found


@dataclass(frozen=True)
class _Scored:
    """One model's out-of-fold predictions with what they are scored on, in the order of the ids."""

    scoring: Scoring
    ids: np.ndarray
    y: Any
    p: Any
    weight: np.ndarray | None
    groups: np.ndarray
    folds: np.ndarray  # of the first repeat: predictions of several repeats are averaged already

    def pairs_with(self, other: "_Scored") -> bool:
        """Return whether both are predictions of the same rows."""
        return np.array_equal(self.ids, other.ids)

    def score(self, metric: Metric) -> Callable[[np.ndarray], float]:
        """Return the score of the rows at the given positions."""
        return self.scoring.task.scorer(metric, self.y, self.p, self.weight)

    def loss(self, metric: Metric) -> significance.RowLoss:
        """Return the loss of the rows at the given positions."""
        score = self.score(metric)
        return lambda rows: metric.sign * score(rows)


def _line(a: Revision, b: Revision, model: str, metric: Metric) -> Line:
    left, right = _scored(a, a, model), _scored(b, b, model)
    paired = left.pairs_with(right)
    left = _scored(a, b, model) if paired else left  # a corrected label is corrected for both
    losses = left.loss(metric), right.loss(metric)
    if paired:
        found = significance.paired(*losses, right.groups, left.folds, right.folds)
    else:
        found = significance.unpaired(*losses, (left.groups, right.groups), (left.folds, right.folds))
    first, second = (side.score(metric)(np.arange(len(side.ids))) for side in (left, right))
    return Line(model, metric.name, first, second, found)


def _scored(side: Revision, truth: Revision, model: str) -> _Scored:
    """Return a side's predictions, as they would be submitted, with the labels of `truth`."""
    p = side.predictions[model].of_split("train")
    scoring = scoring_of(side.config)
    return _Scored(
        scoring=scoring_of(truth.config),
        ids=p.row_id.astype(str),
        y=truth.config.competition.task.truth(truth.data, p.row_id),
        p=scoring.finished(p),
        weight=truth.data.weight(p.row_id),
        groups=pd.factorize(truth.folds.group.loc[p.row_id], sort=True)[0],
        folds=side.folds.matrix(p.row_id)[:, 0],
    )


def _unchanged(n_members: int) -> list[str]:
    """Return that members with the same predictions have no line, where there are any."""
    return [f"The same in both, and not shown: {n_members} {'member' if n_members == 1 else 'members'}."] * bool(
        n_members
    )


def _differing(title: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({**a, **b}) if a.get(key) != b.get(key)]
    if not keys:
        return f"{title}: the same"
    lines = [[key, *("-" if side.get(key) is None else str(side[key]) for side in (a, b))] for key in keys]
    return f"{title} that differ\n" + indent(aligned([["", "A", "B"], *lines]), "  ")


def _table(lines: list[Line]) -> str:
    head = ["", "metric", "A", "B", "gain", "interval", "by images", "by folds", "B is"]
    return indent(aligned([head, *map(_cells, lines)]), "  ")


def _cells(line: Line) -> list[str]:
    found = line.difference
    intervals = (found.interval, found.over_images, found.over_folds)
    ends = [f"{interval.low:+.4f} {interval.high:+.4f}" if interval else "-" for interval in intervals]
    return [line.model, line.metric, f"{line.a:.4f}", f"{line.b:.4f}", f"{found.gain:+.4f}", *ends, found.verdict]
