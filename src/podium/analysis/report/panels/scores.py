"""Scores: classes, labels and values."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from podium.analysis.report import advice, charts, picks, tables
from podium.analysis.report.advice import Advice
from podium.analysis.report.page import Chart, HtmlTable, Threshold
from podium.analysis.report.panels import Panels as Base
from podium.analysis.report.results import Groups, Results
from podium.tasks.vector import VectorTask


class Panels(Base):
    """ROC, precision and recall, reliability and confusion of classes; actual against predicted values."""

    def plots(self, results: Results) -> dict[str, pd.DataFrame]:
        """See Panels; tables without rows where the task has no such thing."""
        made = {
            "roc": pd.DataFrame(columns=["fpr", "tpr"]),
            "precision_recall": pd.DataFrame(columns=["recall", "precision"]),
            "reliability": pd.DataFrame(columns=["predicted", "observed", "count"]),
            "confusion": pd.DataFrame(columns=["actual", "predicted"]),
            "fitted": pd.DataFrame(columns=["predicted", "actual"]),
            "correlation": tables.correlation({name: member.p for name, member in results.members.items()}),
        }
        task, y, p = _task(results), results.y, results.p.p
        if task.is_value:
            return made | {"fitted": tables.fitted(y, p)}
        truth, flat = tables.decisions(y, p)
        made |= {
            "roc": tables.roc(truth, flat),
            "precision_recall": tables.precision_recall(truth, flat),
            "reliability": tables.reliability(truth, flat),
        }
        if task.is_exclusive:
            made["confusion"] = tables.confusion(y, task.decide(p), results.data.labels)
        return made

    def charts(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Chart]:
        """See Panels."""
        error = tables.calibration_error(plots["reliability"]) if len(plots["reliability"]) else 0.0
        confusion = partial(charts.confusion, labels=results.data.labels)
        entries: list[tuple[str, str, Callable[[pd.DataFrame], str], str]] = [
            ("ROC", "roc", charts.roc, ""),
            ("Precision and recall", "precision_recall", charts.precision_recall, ""),
            ("Confusion", "confusion", confusion, "Coloured by the share of a row."),
            ("Reliability", "reliability", charts.reliability, f"Expected calibration error {error:.4f}."),
            ("Actual and predicted", "fitted", charts.fitted, ""),
            (
                "Correlation of members",
                "correlation",
                charts.correlation,
                "In per cent. The less two members agree, the more one adds to the other.",
            ),
        ]
        return [Chart(title, draw(plots[name]), note) for title, name, draw, note in entries if len(plots[name])]

    def advice(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Advice]:
        """See Panels: classes, pairs, calibration and labels."""
        found: list[Advice] = []
        if len(plots["confusion"]):
            suspected = [str(results.ids[at]) for at in picks.label_errors(results.y, results.p.p)]
            found += advice.of_classes(plots["confusion"])
            found += advice.of_labels(suspected, len(results.ids))
        if len(plots["reliability"]):
            found += advice.of_calibration(plots["reliability"])
        return found

    def tables(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> dict[str, HtmlTable]:  # noqa: ARG002
        """See Panels: a line a class, the least found first."""
        if plots["confusion"].empty:
            return {}
        table = tables.by_class(plots["confusion"])
        lines = [
            [label, f"{rows:,}", f"{recall:.0%}", "" if np.isnan(precision) else f"{precision:.0%}", taken]
            for label, rows, recall, precision, taken in table.itertuples(index=False, name=None)
        ]
        return {"Classes": HtmlTable(["class", "rows", "found", "right where predicted", "most taken for"], lines)}

    def threshold(self, results: Results) -> Threshold | None:
        """See Panels; of two classes."""
        if not (_task(results).is_exclusive and results.p.p.shape[1] == 1):
            return None
        return Threshold(*tables.by_threshold(results.y, results.p.p[:, 0]), label=results.data.labels[-1])

    def groups(self, results: Results) -> Groups:
        """See Panels: classes, sets of labels, or quarters of the values, where the tenth furthest off is wrong."""
        task, y, p = _task(results), results.y, results.p.p
        if task.is_value:
            edges = np.unique(np.quantile(y, (0, 0.25, 0.5, 0.75, 1)))
            edges = edges if len(edges) > 1 else np.repeat(edges, 2)
            names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
            code = np.searchsorted(edges[1:-1], y.reshape(len(y), -1)[:, 0], side="left")
            return Groups(names, code, picks.errors(y, p)[: len(y) // 10])
        wrong = picks.mistakes(y, task.decide(p), p)
        if task.is_exclusive:
            return Groups(results.data.labels, y.astype(np.int64), wrong)
        sets, code = np.unique(np.array(_texts(results, y), object), return_inverse=True)
        return Groups(list(sets), code, wrong)

    def ranked(self, results: Results) -> dict[str, np.ndarray]:
        """See Panels."""
        task, y, p = _task(results), results.y, results.p.p
        members = np.stack([member.p for member in results.members.values()])
        several = {"disagreement": picks.disagreement(members)} if len(members) > 1 else {}
        if task.is_value:
            return {"mistake": picks.errors(y, p), **several}
        found = {
            "mistake": picks.mistakes(y, task.decide(p), p),
            "uncertain": picks.uncertain(p, exclusive=task.is_exclusive),
            **several,
        }
        return found | {"label": picks.label_errors(y, p)} if task.is_exclusive else found

    def labels(self, results: Results) -> Sequence[str]:
        """See Panels."""
        return _texts(results, results.y)

    def predictions(self, results: Results) -> Sequence[str]:
        """Return the labels with the probability of the likeliest, or the value."""
        p = results.p.p
        if _task(results).is_value:
            return [f"{value:.4g}" for value in p[:, 0]]
        likely = np.maximum(p, 1 - p).max(axis=1) if p.shape[1] == 1 else p.max(axis=1)
        decided = _texts(results, _task(results).decide(p))
        return [f"{label} {share:.0%}" for label, share in zip(decided, likely, strict=True)]


def _task(results: Results) -> VectorTask:
    task = results.scoring.task
    assert isinstance(task, VectorTask)
    return task


def _texts(results: Results, y: np.ndarray) -> list[str]:
    """Return targets, coded as `y`, as a person writes them."""
    task, labels = _task(results), results.data.labels
    if task.is_value:
        return [f"{value:g}" for value in y.reshape(len(y), -1)[:, 0]]
    if task.is_exclusive:
        return [labels[code] for code in y.astype(np.int64)]
    return [" ".join(name for name, on in zip(labels, row, strict=True) if on) or "(none)" for row in y]
