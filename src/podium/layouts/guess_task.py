"""What is asked of a row: the task and its usual metric, from the labels and the sample submission's answers."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

_MOST_GRADES = 12
_MOVING = 0.4  # of the words that come again in other places of other labels, for labels to be lists of words,
_LEAST_MOVING = 2  # and so many words
_SEPARATORS = ("|", ";", ", ", ",", " ")


@dataclass(frozen=True)
class Answer:
    """The sections `task`, `metric` and `metrics`, the task's reason, and questions."""

    task: dict[str, Any]
    reason: str
    metric: str
    others: list[str]
    questions: list[str] = field(default_factory=list)


def answer_of(
    labels: pd.DataFrame | None, target: str | None, answers: Sequence[str], sample: pd.Series | None
) -> Answer:
    """Return the task of a table of labels.

    Args:
        labels: the columns beside ids; None where no label was found.
        target: the column to predict; None where `answers` are columns of their own.
        answers: the columns of the sample submission after its id; empty where there is none.
        sample: the cells of the first of these.
    """
    if labels is None or (target is None and not answers):
        question = "task: what is to be predicted?"
        task = {"kind": "multiclass", "target": "label"}
        return Answer(task, "a guess without any labels seen", "log_loss", ["accuracy"], [question])
    if target is None:
        return _marks(labels[list(answers)])
    values = labels[target].dropna()
    if len(answers) > 1:
        reason = f"the sample has {len(answers)} columns, one per label"
        return Answer({"kind": "multiclass", "target": target}, reason, "log_loss", ["accuracy"])
    return _one_column(target, values, [] if sample is None else [str(cell) for cell in sample])


def _marks(marks: pd.DataFrame) -> Answer:
    names = list(marks.columns)
    numbers = marks.apply(pd.to_numeric, errors="coerce")
    if not numbers.isin([0, 1]).all(axis=None):
        question = f"task: the sample asks for {', '.join(names)}, which are no marks of 0 and 1; one target is learnt"
        return Answer({"kind": "regression", "target": names[0]}, "the first column asked for", "rmse", [], [question])
    if (numbers.sum(axis=1) == 1).all():
        reason = "each row has 1 in one of these columns"
        return Answer({"kind": "multiclass", "targets_of": names}, reason, "log_loss", ["accuracy"])
    reason = "rows have 1 in any number of these columns"
    return Answer({"kind": "multilabel", "targets_of": names}, reason, "log_loss", ["auc"])


def _one_column(target: str, values: pd.Series, sample: Sequence[str]) -> Answer:
    """Return the task where the submission has one column of answers."""
    numbers = pd.to_numeric(values, errors="coerce")
    distinct = sorted(values.unique())
    asked = pd.to_numeric(pd.Series(sample or ["0.5"]), errors="coerce")
    asks_for_number = bool(asked.notna().all())
    if numbers.notna().all() and len(numbers):
        asks_for_fraction = bool(sample) and asks_for_number and bool((asked % 1 != 0).any())
        return _numeric(target, numbers, asks_for_fraction=asks_for_fraction)
    if len(distinct) == 2 and not separator_of(distinct):  # noqa: PLR2004  # binary
        return _two(target, distinct, asks_for_number=asks_for_number)
    if separator := separator_of(distinct):
        task = {"kind": "multilabel", "target": target} | ({} if separator == " " else {"separator": separator})
        words = sorted({word for value in distinct for word in value.split(separator) if word})
        return Answer(task, f"lists of {len(words)} labels that come again in other rows", "f1_micro", ["log_loss"])
    top = _named(sample, distinct)
    spaced = next((value for value in distinct if " " in value), None)
    questions = [f"task.kind: is {spaced!r} one label? If it is a list of labels, use multilabel"] if spaced else []
    if top > 1:
        ranked: dict[str, Any] = {"kind": "multiclass", "target": target, "top": top}
        return Answer(ranked, f"the sample names {top} labels a row", f"map@{top}", ["log_loss"], questions)
    reason = f"{len(distinct)} labels"
    return Answer({"kind": "multiclass", "target": target}, reason, "accuracy", ["log_loss"], questions)


def _two(target: str, distinct: Sequence[str], *, asks_for_number: bool) -> Answer:
    task: dict[str, Any] = {"kind": "binary", "target": target, "positive": distinct[1]}
    reason = f"two labels, {distinct[0]} and {distinct[1]}"
    questions = [f"task.positive: the sample does not say whether it asks for {distinct[1]} or {distinct[0]}"]
    if asks_for_number:
        return Answer(task, reason, "log_loss", ["accuracy", "auc"], questions)
    return Answer(task | {"answer": "label"}, reason, "accuracy", ["log_loss"], questions)


def _numeric(target: str, numbers: pd.Series, *, asks_for_fraction: bool) -> Answer:
    distinct = sorted(numbers.unique())
    if distinct == [0, 1]:
        return Answer({"kind": "binary", "target": target}, "0 and 1", "log_loss", ["accuracy", "auc"])
    if len(distinct) <= _MOST_GRADES and (numbers % 1 == 0).all() and not asks_for_fraction:
        question = f"task.kind: if {target} is a grade, where being near counts, use ordinal"
        reason = f"{len(distinct)} whole numbers, taken for classes"
        return Answer({"kind": "multiclass", "target": target}, reason, "accuracy", ["log_loss"], [question])
    return Answer({"kind": "regression", "target": target}, f"{len(distinct)} different numbers", "rmse", [])


def _named(sample: Sequence[str], labels: Sequence[str]) -> int:
    """Return how many labels a cell of the sample names: one where the whole cell is a label, as "big cat" may be."""
    known, first = set(labels), sample[0] if sample else ""
    words = first.split(" ")
    if first in known or not words or sum(word in known for word in words) < len(words) / 2:
        return 1
    return len(words)


def separator_of(labels: Iterable[str]) -> str | None:
    """Return what stands between the words of labels that are lists, or None where a label is one name.

    In a list a word comes alone, first, last and between others; in names such as `big cat` and `small cat` each word
    keeps its place. Commas, semicolons and bars are taken for separators where parts come again.
    """
    distinct = list(labels)
    for separator in _SEPARATORS:
        lists = [[word for word in label.split(separator) if word] for label in distinct]
        if not any(len(words) > 1 for words in lists):
            continue
        places: dict[str, set[str]] = defaultdict(set)
        held: dict[str, int] = defaultdict(int)
        for words in lists:
            for at, word in enumerate(words):
                held[word] += 1
                places[word].add(
                    "alone" if len(words) == 1 else {0: "first", len(words) - 1: "last"}.get(at, "between")
                )
        again = [word for word, count in held.items() if count > 1]
        moving = sum(len(places[word]) > 1 for word in again)
        if again and (separator != " " or moving >= max(_LEAST_MOVING, _MOVING * len(again))):
            return separator
    return None
