"""Sequences: texts read from pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from podium.analysis.report import charts
from podium.analysis.report.page import Chart
from podium.analysis.report.panels import Panels as Base
from podium.analysis.report.results import Results

NONE = "∅"  # a character that is left out, or added


class Panels(Base):
    """Confusion of characters, accuracy by place and by length, and the worst texts beside their pictures."""

    def plots(self, results: Results) -> dict[str, pd.DataFrame]:
        """See Panels."""
        y, read = results.y, results.p.best
        pairs = [pair for truth, text in zip(y, read, strict=True) for pair in aligned(truth, text)]
        right = pd.DataFrame({"length": [len(text) for text in y], "right": y == read})
        lengths = right.groupby("length")["right"].agg(["mean", "size"]).reset_index()
        return {
            "confusion": pd.DataFrame(pairs, columns=["actual", "predicted"]),
            "places": by_place(y, read),
            "lengths": lengths.set_axis(["length", "accuracy", "count"], axis=1),
        }

    def charts(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Chart]:
        """See Panels; of characters that are taken for each other, those that are most often."""
        pairs = plots["confusion"]
        wrong = pairs[pairs["actual"] != pairs["predicted"]]
        counts = wrong.value_counts().head(5).reset_index().itertuples(index=False, name=None)
        worst = ", ".join(f"{actual} as {read} {count} times" for actual, read, count in counts)
        names = [*results.data.labels, *([NONE] if (pairs == NONE).any(axis=None) else [])]
        drawn = [
            Chart("Confusion of characters", charts.confusion(pairs, names), f"Most often: {worst}." if worst else ""),
            Chart(
                "Accuracy by place", charts.shares(plots["places"], "place"), "Of texts that have so many characters."
            ),
        ]
        if len(plots["lengths"]) > 1:
            drawn.append(Chart("Exact match by length", charts.shares(plots["lengths"], "length"), ""))
        return drawn

    def ranked(self, results: Results) -> dict[str, np.ndarray]:
        """See Panels."""
        y, p = results.y, results.p
        wrong = np.flatnonzero(p.best != y)
        found = {"mistake": wrong[np.argsort(-p.confidence[wrong], kind="stable")]}
        found["uncertain"] = np.argsort(p.confidence, kind="stable")
        if len(results.members) > 1:
            read = np.stack([member.best for member in results.members.values()])
            found["disagreement"] = np.flatnonzero((read != read[0]).any(axis=0))
        return found

    def labels(self, results: Results) -> Sequence[str]:
        """See Panels."""
        return [str(text) for text in results.y]

    def predictions(self, results: Results) -> Sequence[str]:
        """See Panels; with the text's posterior."""
        return [f"{text} {p:.0%}" for text, p in zip(results.p.best, results.p.confidence, strict=True)]


def aligned(truth: str, read: str) -> list[tuple[str, str]]:
    """Return the pairs of characters of a shortest edit from the truth to what was read; one may be `NONE`."""
    if len(truth) == len(read):  # the usual case, where place by place is what a person would compare
        return list(zip(truth, read, strict=True))
    cost = np.zeros((len(truth) + 1, len(read) + 1), int)
    cost[:, 0], cost[0] = range(len(truth) + 1), range(len(read) + 1)
    for i, a in enumerate(truth, start=1):
        for j, b in enumerate(read, start=1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (a != b))
    pairs, i, j = [], len(truth), len(read)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], read[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((truth[i], NONE))
        else:
            j -= 1
            pairs.append((NONE, read[j]))
    return pairs[::-1]


def by_place(y: Sequence[str], read: Sequence[str]) -> pd.DataFrame:
    """Return `place` from 1 on, `accuracy` of the characters that stand there, and their `count`."""
    right = [
        (place, truth == text[place - 1 : place])
        for whole, text in zip(y, read, strict=True)
        for place, truth in enumerate(whole, start=1)
    ]
    table = pd.DataFrame(right, columns=["place", "right"]).groupby("place")["right"].agg(["mean", "size"])
    return table.reset_index().set_axis(["place", "accuracy", "count"], axis=1)
