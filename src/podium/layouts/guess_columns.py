"""What the columns of a table of labels are: the target, groups that stay together, time, and metadata."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

_TARGETS = ("label", "target", "class", "category", "diagnosis", "breed", "species", "grade", "level", "score", "y")
_GROUPS = re.compile(
    r"(patient|subject|person|user|owner|case|group|site|session|scene|series|sequence|video|camera|location|animal"
    r"|individual|plant|module|study|batch)",
    re.IGNORECASE,
)
_REPEATED = 1.3  # rows of a group at least, in the mean
_LEAST_GROUPS = 4
_UNIQUE = 0.9  # of the rows: a text that differs in more of them is a name, and nothing to learn from
_DATED = 50  # cells that are looked at for dates
_RUNS = re.compile(r"\d+ \d+( \d+ \d+)*")
_YOLO = re.compile(rb"(\d+( [\d.eE+-]+){4}\s*)+")


@dataclass
class Roles:
    """The columns by what they are for; `target` is None where several columns are the targets."""

    target: str | None
    group: str | None = None
    time: str | None = None
    metadata: tuple[str, ...] = ()
    reasons: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def roles(train: pd.DataFrame, test: pd.DataFrame | None, answers: Sequence[str]) -> Roles:
    """Return what the columns of `train`, without ids, are; `test` is the table of test rows, if it has more than ids.

    `answers` are the columns of the sample submission after its id. A column whose repeated values are disjoint
    between train and test is a group; one whose test values are all later is the time.
    """
    shared = [name for name in train.columns if test is not None and name in test.columns]
    questions: list[str] = []
    several = len(answers) > 1 and set(answers) <= set(train.columns)
    target = None if several else _target(train, test, answers, questions)
    made = Roles(target, questions=questions)
    others = [name for name in train.columns if name != target and name not in answers]
    for name in shared:
        if test is not None and name in others and _is_later(train[name], test[name]):
            made.time = name
            made.reasons.append(f"every {name} of test is later than those of train")
            break
    places = [name for name in others if name != made.time and _repeats(train[name])]
    groups = [name for name in places if test is not None and name in shared and _is_group(train[name], test[name])]
    hinted = [name for name in places if _GROUPS.search(name) and name not in shared]
    if groups:
        made.group = next((name for name in groups if _GROUPS.search(name)), groups[0])
        made.reasons.append(f"{made.group} has other values in test than in train, so its rows share a fold")
    elif hinted:
        made.group = hinted[0]
        made.reasons.append(f"{made.group} is called like a group and its values repeat")
        made.questions.append(f"layout.group: do the test rows have other {made.group} than those to train on?")
    made.metadata = tuple(
        name for name in shared if name not in groups and name in others and not _is_name(train[name])
    )
    left = [name for name in others if name not in {*made.metadata, made.group} and name not in groups]
    if test is None and left and not several:
        made.questions.append(f"layout.metadata: are these known of the test rows, too: {', '.join(left)}?")
    return made


def _target(train: pd.DataFrame, test: pd.DataFrame | None, answers: Sequence[str], questions: list[str]) -> str | None:
    """Return the column that the sample asks for, or that test has not, or that is called so, or the last."""
    named = [name for name in answers if name in train.columns]
    if named:
        return named[0]
    left = [name for name in train.columns if test is None or name not in test.columns]
    if not left:
        return None
    called = [name for name in left if name.lower() in _TARGETS or name.lower().startswith(("label", "target"))]
    target = str((called or left[-1:])[0])
    if len(left) > 1:
        why = "called so" if called else "the last"
        questions.append(f"task.target: {target} is only {why} of {', '.join(left)}; which is to be predicted?")
    return target


def _is_group(train: pd.Series, test: pd.Series) -> bool:
    """Tell whether no value of a column is in both."""
    return not set(train.dropna()) & set(test.dropna()) and not _is_fraction(train)


def _repeats(values: pd.Series) -> bool:
    n = values.nunique()
    return n >= _LEAST_GROUPS and values.notna().sum() / n >= _REPEATED


def _is_fraction(values: pd.Series) -> bool:
    numbers = pd.to_numeric(values, errors="coerce")
    return bool((numbers % 1 != 0).any() and numbers.notna().all())


def _is_name(values: pd.Series) -> bool:
    """Tell whether a column is free text or an id: hardly a value comes twice, and it is neither number nor date."""
    if pd.to_numeric(values, errors="coerce").notna().mean() > 1 - _UNIQUE or _dates(values.head(_DATED)).notna().all():
        return False
    return values.nunique() > _UNIQUE * len(values)


def _is_later(train: pd.Series, test: pd.Series) -> bool:
    if pd.to_numeric(train, errors="coerce").notna().any():  # years and counters say too little
        return False
    if not _dates(train.head(_DATED)).notna().all():
        return False
    before, after = _dates(train), _dates(test)
    return bool(before.notna().all() and after.notna().all() and before.max() < after.min())


def _dates(values: pd.Series) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that each cell is looked at by itself
        return pd.to_datetime(values, errors="coerce", utc=True, format="mixed")


def run_lengths(table: pd.DataFrame) -> str | None:
    """Return the column that holds run-length encoded masks: long even lists of whole numbers."""
    for name in table.columns:
        some = table[name].dropna().head(_DATED)
        is_called = re.search("rle|encoded|mask|segment", name, re.IGNORECASE)
        if is_called and len(some) and some.map(lambda cell: bool(_RUNS.fullmatch(cell.strip()))).all():
            return str(name)
    return None


def is_yolo(text: bytes) -> bool:
    """Tell whether a text file holds boxes as YOLO writes them: a class and four shares of the image a line."""
    return bool(_YOLO.fullmatch(text.strip()))
