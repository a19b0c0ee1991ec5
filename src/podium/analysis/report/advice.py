"""What to do next: sentences with their number, and the place of the page that shows it. Alarms come first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from podium import metrics
from podium.analysis import leaks
from podium.analysis.report.results import Results
from podium.contracts.folds import FoldTable
from podium.errors import preview

_BEYOND_CHANCE = 1.96  # standard errors
_WEAK_FOLD = 2.5  # standard errors: of five folds one is seldom so far
_LEAST_GAP = 0.03  # between predicted and observed shares
_LEAST_ROWS = 5  # of a class that is called the worst


@dataclass(frozen=True)
class Advice:
    """One sentence; `link` is an anchor of the page, with the gallery's filters where it is that."""

    text: str
    link: str = ""
    is_alarm: bool = False


def gallery(**filters: str) -> str:
    """Return the gallery's anchor with filters: `reason`, `label`, `split`, `id`."""
    return f"#gallery&{urlencode(filters)}"


def ordered(found: Iterable[Advice]) -> list[Advice]:
    """Return alarms first, else in their order."""
    return sorted(found, key=lambda advice: not advice.is_alarm)


def of_leaks(pairs: pd.DataFrame, images: pd.DataFrame, rows: pd.DataFrame, folds: FoldTable) -> list[Advice]:
    """Return the alarms of `podium leaks` on groups and copies `pairs`, which need no more than hashes."""
    findings = [*leaks.groups(rows, folds)]
    if len(pairs):
        findings += leaks.across(pairs, images, rows, folds)
        findings += leaks.certificate(leaks.seen(rows, folds, pairs, images))
    return [
        Advice(f"Leak: {finding.message}. `podium leaks` looks for more.", gallery(reason="duplicate"), is_alarm=True)
        for finding in findings
        if finding.level == "alarm"
    ]


def of_noise(results: Results) -> Advice:
    """Return the smallest difference of the official score that these rows could show."""
    ensemble, rows = results.scorer(results.p), np.arange(len(results.ids))
    name = results.metric.name
    if results.members:
        best, p = next(iter(results.members.items()))
        other = results.scorer(p)
        error = metrics.jackknife(lambda some: ensemble(some) - other(some), len(rows))
        against = f"as between the ensemble and {best}"
    else:
        error, against = metrics.jackknife(ensemble, len(rows)) * np.sqrt(2), "of two unrelated models"
    return Advice(
        f"With {len(rows):,} rows, differences in {name} below {_BEYOND_CHANCE * error:.2g}, {against}, may be chance.",
        "#scores",
    )


def of_members(bank: pd.DataFrame, official: str, sign: int) -> list[Advice]:
    """Return which members do not help; `bank` is the ensemble stage's table, as text."""
    numbers = bank.drop(columns="member").apply(pd.to_numeric, errors="coerce")
    found = []
    if "constant" in numbers:
        is_worse = sign * (numbers[official] - numbers["constant"]) > 0
        for member, score, constant in zip(
            bank["member"][is_worse], numbers[official][is_worse], numbers["constant"][is_worse], strict=True
        ):
            text = f"{member} is worse than a constant: {official} {score:.4f}, for {constant:.4f}."
            found.append(Advice(text, "#members", is_alarm=True))
    if "weight" in numbers and numbers["weight"].notna().all() and len(bank) > 1:
        idle = bank["member"][numbers["weight"] <= 0]
        if len(idle):
            names = ", ".join(list(idle)[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")  # noqa: PLR2004
            text = f"{len(idle)} of {len(bank)} members have no weight in the ensemble and can go: {names}."
            found.append(Advice(text, "#members"))
    return found


def of_folds(scores: pd.DataFrame, error: float, sign: int, metric: str) -> list[Advice]:
    """Return the folds in which the ensemble is far worse; `scores` has model, repeat, fold and score."""
    own = scores[scores["model"] == "ensemble"]
    if len(own) < 2 or not error > 0:  # noqa: PLR2004  # folds
        return []
    of_one = error * np.sqrt(own["fold"].nunique())
    worse = sign * (own["score"] - own["score"].mean()) / of_one
    return [
        Advice(
            f"Fold {own['fold'][at]} is weak: {metric} {own['score'][at]:.4f}, {own['score'].mean():.4f} in the mean"
            f" ({worse[at]:.1f} standard errors). Are its rows of another kind?",
            "#charts",
        )
        for at in own.index[worse > _WEAK_FOLD]
    ]


def of_audit(audit: Mapping[str, Any], n_images: int) -> list[Advice]:
    """Return the share of images that are quarantined."""
    n = len(audit["quarantined"])
    if not n:
        return []
    text = f"{n:,} of {n + n_images:,} images ({n / (n + n_images):.1%}) cannot be read, and their rows get the prior."
    return [Advice(text, gallery(reason="quarantined"))]


def of_classes(table: pd.DataFrame) -> list[Advice]:
    """Return the worst class and the most confused pair; `table` has actual and predicted, a line a row."""
    rows = table.groupby("actual").size()
    right = (table["actual"] == table["predicted"]).groupby(table["actual"]).mean()
    found = []
    known = right[rows >= _LEAST_ROWS]
    if len(known) > 1 and known.min() < 1:
        worst = str(known.idxmin())
        text = f"{worst} is found in {known.min():.0%} of its {rows[worst]:,} rows, the least of {len(rows)} classes"
        found.append(
            Advice(f"{text} (all: {(table['actual'] == table['predicted']).mean():.0%}).", gallery(label=worst))
        )
    wrong = table[table["actual"] != table["predicted"]]
    if len(wrong):
        pairs = wrong.value_counts(["actual", "predicted"]).reset_index()
        actual, predicted, count = pairs.iloc[0]
        share = count / rows[actual]
        text = f"{actual} is taken for {predicted} {count:,} times ({share:.0%} of its rows): the most confused pair."
        found.append(Advice(text, gallery(reason="mistake", label=str(actual))))
    return found


def of_calibration(table: pd.DataFrame) -> list[Advice]:
    """Return the range of probabilities that is furthest off; `table` is a reliability table."""
    gap = table["observed"] - table["predicted"]
    error = np.sqrt((table["predicted"] * (1 - table["predicted"])).clip(lower=1e-4) / table["count"])
    far = gap[(gap.abs() > _BEYOND_CHANCE * error) & (gap.abs() > _LEAST_GAP)]
    if far.empty:
        return []
    line = table.loc[(far.abs() * np.sqrt(table["count"][far.index])).idxmax()]
    kind = "too sure" if abs(line["predicted"] - 0.5) > abs(line["observed"] - 0.5) else "not sure enough"
    text = (
        f"Probabilities about {line['predicted']:.0%} come true in {line['observed']:.0%} of {line['count']:,.0f} cases"
    )
    return [Advice(f"{text}: the ensemble is {kind} there.", "#charts")]


def of_labels(suspected: Sequence[str], n_rows: int) -> list[Advice]:
    """Return how many labels are probably wrong; `suspected` are row ids, the worst first."""
    if not len(suspected):
        return []
    text = (
        f"{len(suspected):,} labels ({len(suspected) / n_rows:.1%}) are probably wrong, first {preview(suspected[:3])}."
    )
    return [Advice(text, gallery(reason="label"))]
