"""What the files of a competition say about it: a first competition YAML, with a reason for each guess."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from podium.imaging.images import SUFFIXES

_LOOKED_AT = 2000  # values of a column that are held against the file names
_MOST_CLASSES = 0.2  # of the rows: more different labels than that are no classes
_MOST_GRADES = 12
_MATCH = 0.5  # of a column's values that name images, for it to be the image's column
_LABEL_IN_NAME = r"^(?P<label>[A-Za-z][A-Za-z _-]*?)(?P<between>[._-])(?P<number>\d+)$"


@dataclass
class Guess:
    """Sections of a competition's YAML, the reason for each, and what is left for the user to say."""

    sections: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def say(self, section: str, value: Any, reason: str) -> None:
        """Set a section."""
        self.sections[section] = value
        self.reasons[section] = reason


@dataclass(frozen=True)
class _Files:
    """The images of one folder: `names` without their folder, and `stems` without their extension too."""

    folder: str  # with the slash or # at its end
    names: frozenset[str]
    stems: frozenset[str]

    @property
    def suffix(self) -> str:
        suffixes = {PurePosixPath(name).suffix for name in self.names}
        return suffixes.pop() if len(suffixes) == 1 else ".*"


@dataclass(frozen=True)
class _Found:
    """A table whose `column` names the images of a folder, by the template `image`."""

    table: str
    column: str
    image: str
    share: float


def guess(sources: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> Guess:
    """Return the guess for the files and members `sources`, of which `tables` are the CSVs, as text."""
    made = Guess()
    folders = _folders(sources)
    sample = next((name for name in tables if _is_called(name, "sample", "submission")), None)
    test = _test(sample, tables, folders)
    train = _train(tables, folders, skip={sample, test.table if test else None})
    layout, labels = _labelled(train, tables, made) if train else _named(folders, test, made)
    if layout is not None:
        _add_test(layout, labels, train, test, tables)
        made.say("layout", layout, _reason(train, test))
    _task(labels, tables.get(sample or ""), made)
    _ending(sample, test, made)
    return made


def _folders(sources: Sequence[str]) -> list[_Files]:
    """Return the folders that hold images, those of the most images first."""
    found: dict[str, set[str]] = {}
    for source in sources:
        if source.lower().endswith(SUFFIXES):
            end = max(source.rfind("/"), source.rfind("#")) + 1
            found.setdefault(source[:end], set()).add(source[end:])
    folders = [
        _Files(folder, frozenset(names), frozenset(PurePosixPath(name).stem for name in names))
        for folder, names in found.items()
    ]
    return sorted(folders, key=lambda files: (-len(files.names), files.folder))


def _is_called(source: str, *words: str) -> bool:
    return any(word in PurePosixPath(source.replace("#", "/")).name.lower() for word in words)


def _match(name: str, table: pd.DataFrame, folders: Sequence[_Files], prefer: str) -> _Found | None:
    """Return the column and folder that fit each other best; of equals, a folder whose name holds `prefer`."""
    found = []
    for column in table.columns:
        values = table[column].dropna().unique()[:_LOOKED_AT]
        for files in folders:
            for held, suffix in ((files.names, ""), (files.stems, files.suffix)):
                share = sum(value in held for value in values) / max(len(values), 1)
                found.append((share, prefer in files.folder.lower(), f"{files.folder}{{{column}}}{suffix}", column))
    share, _, image, column = max(found, key=lambda one: one[:2], default=(0.0, False, "", ""))
    return _Found(name, column, image, share) if share >= _MATCH else None


def _test(sample: str | None, tables: Mapping[str, pd.DataFrame], folders: Sequence[_Files]) -> _Found | None:
    """Return the table of test rows: the one called so, for it may hold metadata, or the sample submission."""
    if sample is None:
        return None
    ids = set(tables[sample].iloc[:, 0].dropna())
    for name, table in tables.items():
        if name != sample and _is_called(name, "test") and any(set(table[column]) >= ids for column in table.columns):
            return _match(name, table, folders, "test")
    return _match(sample, tables[sample].iloc[:, :1], folders, "test")


def _train(tables: Mapping[str, pd.DataFrame], folders: Sequence[_Files], skip: set[str | None]) -> _Found | None:
    found = [_match(name, table, folders, "train") for name, table in tables.items() if name not in skip]
    return max((one for one in found if one), key=lambda one: (one.share, _is_called(one.table, "train")), default=None)


def _labelled(train: _Found, tables: Mapping[str, pd.DataFrame], made: Guess) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the layout of a table with labels, and its columns beside the image's."""
    table = tables[train.table]
    layout = {"kind": "table", "table": train.table, "id": train.column, "image": train.image}
    if table[train.column].duplicated().any():
        made.unknown.append(
            f"layout.row: {train.column} comes several times in {train.table}; which column is the row's?"
        )
    return layout, table.drop(columns=train.column)


def _named(
    folders: Sequence[_Files], test: _Found | None, made: Guess
) -> tuple[dict[str, Any] | None, pd.DataFrame | None]:
    """Return a layout of labels in folders or file names, where no table has them."""
    others = [files for files in folders if test is None or not test.image.startswith(files.folder)]
    parents: dict[str, list[str]] = {}
    for files in others:
        parent, _, label = files.folder.rstrip("/").rpartition("/")
        parent, between, label = (parent, "/", label) if parent or "#" not in label else label.partition("#")
        parents.setdefault(f"{parent}{between}" if parent else "", []).append(label)
    for parent, names in parents.items():
        if len(names) > 1:
            layout = {"kind": "files", "images": f"{parent}{{label}}/{{name}}.*", "id": "{label}/{name}"}
            return layout, pd.DataFrame({"label": names})
    for files in others:
        parts = pd.Series(sorted(files.stems)).str.extract(_LABEL_IN_NAME)
        if parts["label"].notna().all() and 1 < parts["label"].nunique() <= _MOST_CLASSES * len(parts) + 1:
            between = parts["between"].iloc[0]
            name = f"{{label}}{between}{{number}}"
            return {"kind": "files", "images": f"{files.folder}{name}.*", "id": name}, parts[["label"]]
    made.unknown.append("layout: no table, folder or file name tells the labels")
    return None, None


def _add_test(
    layout: dict[str, Any],
    labels: pd.DataFrame | None,
    train: _Found | None,
    test: _Found | None,
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Add the test rows to a layout, ids that do not collide with theirs, and the metadata that both tables have."""
    if test is None:
        return
    ids = tables[test.table]
    if layout["kind"] == "files":
        layout["test"] = {"images": test.image.replace(f"{{{test.column}}}", "{id}")}
        return
    assert train is not None
    assert labels is not None
    layout["test"] = {"table": test.table, "id": test.column, "image": test.image}
    if set(tables[train.table][train.column]) & set(ids[test.column]):
        layout["id"] = f"train_{{{train.column}}}"
    metadata = [name for name in labels.columns if name in ids.columns]
    if metadata and not _is_called(test.table, "sample", "submission"):
        layout["metadata"] = metadata


def _reason(train: _Found | None, test: _Found | None) -> str:
    what = f"{train.share:.0%} of {train.column} in {train.table} name images" if train else "labels are in the names"
    return what + (f"; {test.share:.0%} of {test.column} in {test.table} name test images" if test else "")


def _task(labels: pd.DataFrame | None, sample: pd.DataFrame | None, made: Guess) -> None:
    """Set task and metric from the labels' columns and the sample's answers."""
    if labels is None:
        made.unknown.append("task: what is to be predicted")
        made.say("task", {"kind": "multiclass", "target": "label"}, "a guess without any labels seen")
        made.say("metric", "log_loss", "a guess without any labels seen")
        return
    answers = list(sample.columns[1:]) if sample is not None else []
    if len(answers) > 1 and set(answers) <= set(labels.columns):
        _columns_of_flags(labels[answers], made)
        return
    target = _target(labels, answers, made)
    values = labels[target].dropna()
    if len(answers) > 1:
        made.say(
            "task", {"kind": "multiclass", "target": target}, f"the sample has {len(answers)} columns, one per label"
        )
        _metric(made, "log_loss", ["accuracy"])
        return
    _one_column(target, values, sample, made)


def _columns_of_flags(marks: pd.DataFrame, made: Guess) -> None:
    names = list(marks.columns)
    sums = marks.apply(pd.to_numeric, errors="coerce").sum(axis=1)
    if (sums == 1).all():
        made.say("task", {"kind": "multiclass", "targets_of": names}, "each row has 1 in one of these columns")
        _metric(made, "log_loss", ["accuracy"])
    else:
        made.say("task", {"kind": "multilabel", "targets_of": names}, "rows have 1 in any number of these columns")
        _metric(made, "log_loss", ["auc"])


def _target(labels: pd.DataFrame, answers: Sequence[str], made: Guess) -> str:
    """Return the column of the labels: the one that the sample asks for, or the last."""
    named = [name for name in answers if name in labels.columns]
    if named:
        return named[0]
    target = str(labels.columns[-1])
    if len(labels.columns) > 1:
        made.unknown.append(f"task.target: {target} is only the last of {', '.join(labels.columns)}")
    return target


def _one_column(target: str, values: pd.Series, sample: pd.DataFrame | None, made: Guess) -> None:
    """Set task and metric where the submission has one column of answers."""
    numbers = pd.to_numeric(values, errors="coerce")
    distinct = sorted(values.unique())
    answer = str(sample.iloc[0, 1]) if sample is not None and len(sample) else "0.5"
    asks_for_number = not pd.isna(pd.to_numeric(answer, errors="coerce"))
    words = [set(value.split()) for value in values]
    if numbers.notna().all():
        _numeric(target, numbers, made)
    elif len(distinct) == 2:  # noqa: PLR2004  # binary
        task = {"kind": "binary", "target": target, "positive": distinct[1]}
        if not asks_for_number:
            task["answer"] = "label"
        made.say("task", task, f"two labels, {distinct[0]} and {distinct[1]}")
        made.unknown.append(
            f"task.positive: the sample does not say whether it asks for {distinct[1]} or {distinct[0]}"
        )
        _metric(made, *(("log_loss", ["accuracy", "auc"]) if asks_for_number else ("accuracy", ["log_loss"])))
    elif any(len(held) > 1 for held in words) and len(set().union(*words)) < len(distinct):
        made.say("task", {"kind": "multilabel", "target": target}, "texts of words that come again in other rows")
        _metric(made, "f1_micro", ["log_loss"])
    elif " " in answer:
        top = len(answer.split())
        made.say("task", {"kind": "multiclass", "target": target, "top": top}, f"the sample names {top} labels a row")
        _metric(made, f"map@{top}", ["log_loss"])
    else:
        made.say("task", {"kind": "multiclass", "target": target}, f"{len(distinct)} labels")
        _metric(made, "accuracy", ["log_loss"])


def _numeric(target: str, numbers: pd.Series, made: Guess) -> None:
    distinct = sorted(numbers.unique())
    if distinct == [0, 1]:
        made.say("task", {"kind": "binary", "target": target}, "0 and 1")
        _metric(made, "log_loss", ["accuracy", "auc"])
    elif len(distinct) <= _MOST_GRADES and (numbers % 1 == 0).all():
        made.say("task", {"kind": "multiclass", "target": target}, f"{len(distinct)} whole numbers, taken for classes")
        made.unknown.append(f"task.kind: if {target} is a grade, where being near counts, use ordinal")
        _metric(made, "accuracy", ["log_loss"])
    else:
        made.say("task", {"kind": "regression", "target": target}, f"{len(distinct)} different numbers")
        _metric(made, "rmse", [])


def _metric(made: Guess, official: str, others: list[str]) -> None:
    made.say("metric", official, "usual for such a task: look it up on the competition's evaluation page")
    made.say("metrics", others, "reported beside it")
    made.unknown.append(f"metric: no file tells it; {official} is the usual one for such a task")


def _ending(sample: str | None, test: _Found | None, made: Guess) -> None:
    """Set where the test rows and the sample submission come from."""
    if sample is not None and test is not None:
        made.say("holdout", None, "the competition has test rows of its own")
        made.say("submission", {"sample": sample}, "called so")
        return
    if sample is not None:
        made.unknown.append(f"layout.test: the ids of {sample} name no images")
    task = made.sections["task"]
    stratify = [task["target"]] if "target" in task else list(task["targets_of"])
    holdout = {"fraction": 0.25, "stratify": stratify, "seed": 0}
    made.say("holdout", holdout, "no test rows were found, so a quarter of the labelled ones is held out")
    made.say("submission", {"columns": ["id", "label"]}, "without a sample submission that fits")
