"""Names of image files against the columns of tables: which column names an image, by which template."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Self

import pandas as pd

_LOOKED_AT = 2000  # values of a column that are held against the file names
_FEW = 40  # values whose affixes are looked for in all file names
_MATCH = 0.5  # of a column's values that name images, for it to be the image's column
_MOST_CLASSES = 0.2  # of the rows: more different labels than that are no classes
_IN_NAME = (
    (r"^(?P<label>[A-Za-z][A-Za-z _-]*?)(?P<between>[._-])(?P<number>\d+)$", "{{label}}{}{{number}}"),
    (r"^(?P<number>\d+)(?P<between>[._-])(?P<label>[A-Za-z][A-Za-z _-]*)$", "{{number}}{}{{label}}"),
)
_NOT_TRAIN = ("test", "valid", "val", "eval", "dev")


@dataclass(frozen=True)
class Files:
    """The images of one folder: `names` without their folder, which has the slash or # at its end."""

    folder: str
    names: frozenset[str]

    @cached_property
    def stems(self) -> frozenset[str]:
        """Return the names without their extensions."""
        return frozenset(PurePosixPath(name).stem for name in self.names)

    @cached_property
    def suffix(self) -> str:
        """Return the extension of all names, or the pattern of any."""
        suffixes = {PurePosixPath(name).suffix for name in self.names}
        return next(iter(suffixes)) if len(suffixes) == 1 else ".*"


@dataclass(frozen=True)
class Found:
    """A table whose `column` names images, by one template or several; `row` is the rows' column, if another."""

    table: str
    column: str
    image: str | list[str]
    share: float
    folders: tuple[str, ...]
    row: str | None = None

    def of_rows(self, column: str) -> Self:
        """Return the same with the column of the row's id."""
        return replace(self, row=column)


@dataclass(frozen=True)
class Named:
    """A layout of labels in names: the patterns of images to train on and to predict, and the labels seen.

    `unused` are folders of the same labels that are neither.
    """

    images: str
    id: str
    labels: pd.DataFrame
    test: str | None = None
    unused: tuple[str, ...] = ()


def match(name: str, table: pd.DataFrame, folders: Sequence[Files], prefer: str) -> Found | None:
    """Return the column and template that fit each other best.

    Of equals: the column of the most different values, then a folder whose name holds `prefer`.
    """
    found: list[tuple[tuple[float, ...], Found]] = []
    for column in table.columns:
        values = list(dict.fromkeys(table[column].dropna().head(10 * _LOOKED_AT)))[:_LOOKED_AT]
        if not values:
            continue
        distinct = table[column].nunique() / len(table)
        for share, image, folder in _templates(values, column, folders):
            rank = (share, distinct, isinstance(image, str) and "*" not in image[:-2], prefer in folder.lower())
            found.append((rank, Found(name, column, image, share, (folder,))))
    best = max(found, key=lambda one: one[0], default=None)
    return best[1] if best and best[1].share >= _MATCH else None


def _templates(
    values: list[str], column: str, folders: Sequence[Files]
) -> Iterable[tuple[float, str | list[str], str]]:
    """Yield the share of values that name images, the template and the folder, of every way that there is."""
    field = f"{{{column}}}"
    for files in folders:
        for held, suffix in ((files.names, ""), (files.stems, files.suffix)):
            yield _share(values, held), f"{files.folder}{field}{suffix}", files.folder
    if any("/" in value for value in values):
        yield from _paths(values, field, folders)
        return
    by_folder = {files.folder: files for files in folders}
    for parent in {_parent(folder) for folder in by_folder if folder}:
        yield _share([f"{parent}{value}/" for value in values], set(by_folder)), f"{parent}{field}/*.*", parent
    for files in folders:
        if _share(values, files.stems) < _MATCH:
            yield from _affixed(values, field, files)


def _paths(values: list[str], field: str, folders: Sequence[Files]) -> Iterable[tuple[float, str | list[str], str]]:
    """Yield templates of values that are paths, from any folder above the images."""
    sources = {f"{files.folder}{name}" for files in folders for name in files.names}
    stems = {source.rpartition(".")[0] for source in sources}
    roots = {""}
    for files in folders:
        parent = files.folder
        while parent := _parent(parent):
            roots.add(parent)
    for root in roots:
        rooted = [f"{root}{value}" for value in values]
        for held, suffix in ((sources, ""), (stems, ".*")):
            yield _share(rooted, held), f"{root}{field}{suffix}", root


def _affixed(values: list[str], field: str, files: Files) -> Iterable[tuple[float, str | list[str], str]]:
    """Yield templates of names that hold a value between other characters: `{id}_green.png`, `{id}-1.jpg`."""
    asked = values[:_FEW]
    affixes: Counter[tuple[str, str]] = Counter()
    numbered: Counter[str] = Counter()
    for value in asked:
        own = {
            (stem[: at.start()], stem[at.end() :])
            for stem in files.stems
            if value in stem and (at := _within(value, stem))
        }
        affixes.update(own)
        numbered.update({before for before, after in own if re.fullmatch(r"[-_. ]\d+", after)})
    common = [pair for pair, count in affixes.items() if count >= _MATCH * len(asked)]
    for before, count in numbered.items():  # any number of images a row
        if count >= _MATCH * len(asked) and sum(pair[0] == before for pair in affixes) > 1:
            between = next(after[0] for start, after in affixes if start == before)
            yield count / len(asked), f"{files.folder}{before}{field}{between}*{files.suffix}", files.folder
            return
    if common:
        templates = [f"{files.folder}{before}{field}{after}{files.suffix}" for before, after in sorted(common)]
        share = min(_share([f"{before}{value}{after}" for value in values], files.stems) for before, after in common)
        yield share, templates[0] if len(templates) == 1 else templates, files.folder


def _within(value: str, stem: str) -> re.Match[str] | None:
    """Return where a value stands in a name by itself: 1 is none of 21's."""
    kinds = [r"\d" if end.isdigit() else "[A-Za-z]" for end in (value[0], value[-1])]
    return re.search(f"(?<!{kinds[0]}){re.escape(value)}(?!{kinds[1]})", stem)


def _share(values: Sequence[str], held: frozenset[str] | set[str]) -> float:
    return sum(value in held for value in values) / max(len(values), 1)


def _parent(folder: str) -> str:
    """Return the folder above, with its slash or # ("" for none)."""
    inner = folder[:-1]
    return inner[: max(inner.rfind("/"), inner.rfind("#")) + 1]


def by_folder(folders: Sequence[Files]) -> Named | None:
    """Return a layout where a folder is a label; of several such parents, that of `train` or the most images."""
    parents: dict[str, dict[str, int]] = {}
    for files in folders:
        if files.folder:
            label = files.folder[len(_parent(files.folder)) : -1]
            parents.setdefault(_parent(files.folder), {})[label] = len(files.names)
    several = {
        parent: labels
        for parent, labels in parents.items()
        if len(labels) > 1 and not any(_is_part(label, ("train", *_NOT_TRAIN)) for label in labels)
    }
    if not several:
        return None
    parent = max(
        several, key=lambda one: (_is_part(one, ("train",)), not _is_part(one, _NOT_TRAIN), sum(several[one].values()))
    )
    labels = several.pop(parent)
    same = [other for other, names in several.items() if len(set(names) & set(labels)) > len(labels) / 2]
    test = next((f"{other}{{label}}/{{name}}.*" for other in same if _is_part(other, ("test",))), None)
    unused = [other for other in same if test is None or not test.startswith(other)]
    if test is None:
        flat = (
            files.folder for files in folders if _is_part(files.folder, ("test",)) and _parent(files.folder) != parent
        )
        test = next((f"{folder}{{name}}.*" for folder in flat), None)
    seen = pd.DataFrame({"label": [label for label, count in labels.items() for _ in range(count)]})
    return Named(f"{parent}{{label}}/{{name}}.*", "{label}/{name}", seen, test, tuple(unused))


def _is_part(folder: str, words: Sequence[str]) -> bool:
    """Tell whether the last part of a path is one of these words, or holds it between signs."""
    last = re.split(r"[/#]", folder.rstrip("/#"))[-1].lower().removesuffix(".zip")
    return any(word in re.split(r"[^a-z]+", last) for word in words)


def by_file_name(folders: Sequence[Files]) -> Named | None:
    """Return a layout where the file's name holds the label and a number."""
    is_test = [_is_part(files.folder, ("test",)) for files in folders]
    for files, asked in zip(folders, is_test, strict=True):
        if asked and not all(is_test):
            continue
        for pattern, form in _IN_NAME:
            parts = pd.Series(sorted(files.stems)).str.extract(pattern)
            if parts["label"].notna().all() and 1 < parts["label"].nunique() <= _MOST_CLASSES * len(parts) + 1:
                name = form.format(parts["between"].iloc[0])
                flat = (
                    other.folder
                    for other, is_asked in zip(folders, is_test, strict=True)
                    if is_asked and other != files
                )
                test = next((f"{folder}{{name}}.*" for folder in flat), None)
                return Named(f"{files.folder}{name}.*", name, parts[["label"]], test)
    return None


def stems_by_folder(sources: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return folder -> the names in it without extension."""
    found: dict[str, set[str]] = {}
    for source in sources:
        end = max(source.rfind("/"), source.rfind("#")) + 1
        found.setdefault(source[:end], set()).add(PurePosixPath(source[end:]).stem)
    return {folder: frozenset(stems) for folder, stems in found.items()}
