"""What the files of a competition say about it: a first competition YAML, a reason for each guess, and questions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from podium.imaging.images import SUFFIXES
from podium.layouts import guess_boxes, guess_columns, guess_masks, guess_names
from podium.layouts.guess_names import Files, Found
from podium.layouts.guess_task import Answer, answer_of

_PAIRED = 0.9  # of a folder's images that have a text file of their name, for it to hold their labels
_LOOKED_AT = 50  # of the files beside images


@dataclass
class Guess:
    """Sections of a competition's YAML, the reason for each, and what is left for the user to say.

    A question opens with the key that answers it: `layout.group: ...`. A `task` that podium has no plug-in for is
    named by `needs`.
    """

    sections: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    time: str | None = None  # a metadata column whose test rows are all later than those to train on
    needs: str | None = None

    def say(self, section: str, value: Any, reason: str) -> None:
        """Set a section."""
        self.sections[section] = value
        self.reasons[section] = reason


def guess(
    sources: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    read: Callable[[str], bytes],
    kinds: Collection[str] = (),
) -> Guess:
    """Return the guess for the files and members `sources`, of which `tables` are the CSVs, as text.

    `read` returns the bytes of a source; only files beside images are read. `kinds` are the tasks that there are.
    """
    made = Guess()
    folders = _folders(sources)
    sample = next((name for name in tables if _is_called(name, "sample", "submission")), None)
    test = _test(sample, tables, folders)
    train = _train(tables, folders, skip={sample, test.table if test else None})
    if kind := _needs(sources, folders, tables[train.table] if train else None, read):
        made.needs, question = kind
        made.unknown.append(question)
        if made.needs in kinds and train and _masks(train, test, tables, made):
            _ending(sample, test, made)
            return made
        if made.needs in kinds and _boxes(guess_boxes.draft(sources, folders, read), made):
            _ending(None, None, made)
            made.say("submission", {"columns": ["id", "PredictionString"]}, "usual for boxes")
            return made
    answers = list(tables[sample].columns[1:]) if sample else []
    labels: pd.DataFrame | None
    if train:
        labels, target = _from_table(train, test, sample, tables, answers, made)
    else:
        labels, target = _from_names(sources, folders, test, tables, read, made)
    first = tables[sample].iloc[:, 1].dropna() if sample and answers else None
    _task(answer_of(labels, target, answers, first), made)
    _ending(sample, test, made)
    return made


def _boxes(found: tuple[dict[str, Any], dict[str, Any]] | None, made: Guess) -> bool:
    """Set layout, task and metric of boxes in files; returns whether there are some."""
    if found is None or made.needs != "boxes":
        return False
    layout, task = found
    made.say("layout", layout, "images whose XML files have their names")
    made.say("task", task, "the classes that the files name")
    made.say("metric", guess_boxes.METRIC, "usual for boxes: look it up on the competition's evaluation page")
    made.say("metrics", guess_boxes.OTHERS, "reported beside it")
    made.unknown.append("task.annotations: does the first pixel count as 1, as Pascal VOC counts (one_based: true)?")
    return True


def _masks(train: Found, test: Found | None, tables: Mapping[str, pd.DataFrame], made: Guess) -> bool:
    """Set layout, task and metric of masks in a column; returns whether they could be."""
    column = guess_columns.run_lengths(tables[train.table])
    found = guess_masks.draft(train, test, tables, column) if column else None
    if found is None:
        return False
    layout, task = found
    made.say("layout", layout, f"{train.share:.0%} of {train.column} in {train.table} name images")
    made.say("task", task, f"{column} holds run lengths; an image without them has no mask")
    made.say("metric", guess_masks.METRIC, "usual for masks: look it up on the competition's evaluation page")
    made.say("metrics", guess_masks.OTHERS, "reported beside it")
    return True


def _folders(sources: Sequence[str]) -> list[Files]:
    """Return the folders that hold images, those of the most images first."""
    found: dict[str, set[str]] = {}
    for source in sources:
        if source.lower().endswith(SUFFIXES):
            end = max(source.rfind("/"), source.rfind("#")) + 1
            found.setdefault(source[:end], set()).add(source[end:])
    folders = [Files(folder, frozenset(names)) for folder, names in found.items()]
    return sorted(folders, key=lambda files: (-len(files.names), files.folder))


def _is_called(source: str, *words: str) -> bool:
    return any(word in PurePosixPath(source.replace("#", "/")).name.lower() for word in words)


def _test(sample: str | None, tables: Mapping[str, pd.DataFrame], folders: Sequence[Files]) -> Found | None:
    """Return the table of test rows: the one called so, for it may hold metadata, or the sample submission.

    Where the sample's ids come in a column of that table beside the image's, they are the rows'.
    """
    ids = set(tables[sample].iloc[:, 0].dropna()) if sample else set()
    for name, table in tables.items():
        if name == sample or not _is_called(name, "test") or _is_called(name, "train"):
            continue
        holders = [column for column in table.columns if set(table[column].dropna()) >= ids]
        if (sample and not holders) or not (found := guess_names.match(name, table, folders, "test")):
            continue
        if sample and found.column not in holders and table[holders[0]].duplicated().any():
            return found.of_rows(holders[0])
        return found
    if sample is None:
        return None
    return guess_names.match(sample, tables[sample].iloc[:, :1], folders, "test")


def _train(tables: Mapping[str, pd.DataFrame], folders: Sequence[Files], skip: set[str | None]) -> Found | None:
    found = [guess_names.match(name, table, folders, "train") for name, table in tables.items() if name not in skip]
    return max((one for one in found if one), key=lambda one: (one.share, _is_called(one.table, "train")), default=None)


def _from_table(
    train: Found,
    test: Found | None,
    sample: str | None,
    tables: Mapping[str, pd.DataFrame],
    answers: Sequence[str],
    made: Guess,
) -> tuple[pd.DataFrame, str | None]:
    """Set the layout of a table with labels; return the table, and the column to predict if it is one."""
    table, other = tables[train.table], tables[test.table] if test else None
    layout: dict[str, Any] = {"kind": "table", "table": train.table, "id": train.column, "image": train.image}
    row = test.row if test and test.row in table.columns else None
    if row and table[row].duplicated().any():
        layout["row"] = row
    elif table[train.column].duplicated().any():
        made.unknown.append(
            f"layout.row: {train.column} comes several times in {train.table}; which column is the row's?"
        )
    known = {train.column, *([row] if row else [])}
    if test is not None and other is not None:
        if set(table[train.column]) & set(other[test.column]):
            layout["id"] = f"train_{{{train.column}}}"
        if row and set(table[row]) & set(other[row]):
            layout["row"] = f"train_{{{row}}}"
        part = {"table": test.table, "id": test.column, "image": test.image}
        if row:
            part["row"] = row
        layout["test"] = {key: value for key, value in part.items() if layout.get(key) != value or key == "table"}
    has_columns = test is not None and test.table != sample
    roles = guess_columns.roles(table.drop(columns=list(known)), other if has_columns else None, answers)
    made.unknown += roles.questions
    made.time = roles.time
    if roles.group:
        layout["group"] = roles.group
    metadata = [name for name in roles.metadata if not row or table.groupby(row)[name].nunique().max() == 1]
    if metadata:
        layout["metadata"] = metadata
    if odd := sorted(set(roles.metadata) - set(metadata)):
        made.unknown.append(f"layout.metadata: {', '.join(odd)} differ between the images of one {row}; left out")
    reason = f"{train.share:.0%} of {train.column} in {train.table} name images"
    reason += f"; {test.share:.0%} of {test.column} in {test.table} name test images" if test else ""
    made.say("layout", layout, "; ".join([reason, *roles.reasons]))
    return table.drop(columns=list(known)), roles.target


def _from_names(
    sources: Sequence[str],
    folders: Sequence[Files],
    test: Found | None,
    tables: Mapping[str, pd.DataFrame],
    read: Callable[[str], bytes],
    made: Guess,
) -> tuple[pd.DataFrame | None, str | None]:
    """Set a layout of labels in folders, file names or files beside the images, where no table has them."""
    others = [files for files in folders if test is None or files.folder not in test.folders]
    asked: dict[str, Any] | None = None
    if test:
        column = f"{{{test.column}}}"
        asked = {"images": test.image.replace(column, "{id}")} if isinstance(test.image, str) else None
        if asked and set(tables[test.table]) and "*" in asked["images"].removesuffix(".*"):
            asked = None
    found = guess_names.by_folder(others) or guess_names.by_file_name(others)
    if found is None and (beside := _beside(sources, others, read)):
        layout, labels, reason = beside
        made.say("layout", layout, reason)
        return labels, "label"
    if found is None:
        first = others[0] if others else Files("", frozenset())
        made.unknown.append("layout: no table, folder or file name tells the labels; where are they?")
        layout = {"kind": "files", "images": f"{first.folder}{{label}}.*", "id": "label"}
        made.say("layout", layout, "a guess without any labels seen")
        return None, None
    layout = {"kind": "files", "images": found.images, "id": found.id}
    if asked is None and found.test:
        asked = {"images": found.test, "id": f"test/{found.id}" if "{label}" in found.test else "name"}
    if asked is not None:
        layout["test"] = asked
    made.unknown += [
        f"layout.images: {folder} holds images of the same labels; they are not used" for folder in found.unused
    ]
    made.say("layout", layout, "labels are in the names")
    return found.labels, "label"


def _beside(
    sources: Sequence[str], folders: Sequence[Files], read: Callable[[str], bytes]
) -> tuple[dict[str, Any], pd.DataFrame, str] | None:
    """Return the layout of a text file per image that holds its label, in the image's folder or another."""
    texts = guess_names.stems_by_folder(source for source in sources if source.lower().endswith(".txt"))
    for files in folders:
        for folder, stems in texts.items():
            if len(files.stems & stems) >= _PAIRED * len(files.stems):
                ids = sorted(files.stems & stems)
                labels = [read(f"{folder}{one}.txt").decode("utf-8", "replace").strip() for one in ids]
                layout = {"kind": "label_files", "images": f"{files.folder}{{name}}.*", "id": "name"}
                layout["labels"] = f"{folder}{{name}}.txt"
                reason = f"{len(ids)} images of {files.folder or 'the folder'} have a text file of their name"
                return layout, pd.DataFrame({"label": labels}), reason
    return None


def _needs(
    sources: Sequence[str], folders: Sequence[Files], table: pd.DataFrame | None, read: Callable[[str], bytes]
) -> tuple[str, str] | None:
    """Return the task that marks inside of images call for, and the question: boxes in files, masks in a column."""
    stems = {stem for files in folders for stem in files.stems}
    for suffix, says in ((".xml", b"<bndbox"), (".txt", None)):
        own = [
            one for one in sources if one.lower().endswith(suffix) and PurePosixPath(one.split("#")[-1]).stem in stems
        ]
        some = [read(source) for source in own[:_LOOKED_AT]]
        if some and any(says in text if says else guess_columns.is_yolo(text) for text in some):
            form = "VOC XML" if says else "YOLO text"
            what = f"task: {len(own)} {suffix} files hold boxes ({form}), and boxes are a task of their own"
            return "boxes", f"{what}; which of their classes are asked for?"
    if table is not None and (column := guess_columns.run_lengths(table)):
        return "masks", f"task: {column} holds run-length encoded masks; are they of one class or of several?"
    return None


def _task(answer: Answer, made: Guess) -> None:
    made.say("task", answer.task, answer.reason)
    made.say("metric", answer.metric, "usual for such a task: look it up on the competition's evaluation page")
    made.say("metrics", answer.others, "reported beside it")
    made.unknown += answer.questions
    made.unknown.append(f"metric: no file tells it; {answer.metric} is the usual one for such a task")


def _ending(sample: str | None, test: Found | None, made: Guess) -> None:
    """Set where the test rows and the sample submission come from."""
    task = made.sections["task"]
    answer = task.get("target") or ("mask" if task["kind"] == "masks" else "label")
    has_test = "test" in made.sections["layout"]
    if has_test:
        made.say("holdout", None, "the competition has test rows of its own")
    if sample is not None and test is not None and has_test:
        made.say("submission", {"sample": sample}, "called so")
        return
    if sample is not None:
        made.unknown.append(f"layout.test: the ids of {sample} name no images; which are the images to predict?")
    if not has_test:
        is_value = task["kind"] == "regression"
        stratify = [task["target"]] if "target" in task else list(task.get("targets_of", ()))
        holdout = {"fraction": 0.25, "stratify": stratify, "seed": 0}
        share = "a quarter of the labelled ones is held out" + (", of each tenth of values" if is_value else "")
        made.say("holdout", holdout, f"no test rows were found, so {share}")
    columns = ["id", *task["targets_of"]] if task.get("targets_of") else ["id", str(answer)]
    made.say("submission", {"columns": columns}, "without a sample submission that fits")
