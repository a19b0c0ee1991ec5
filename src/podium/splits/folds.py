"""Which fold each training row is in. Pure functions: the same rows, in any order, and seed give the same folds.

A group (a patient, a module, a set of duplicates) lies in one fold, whatever the scheme: a row without
company is a group of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from podium.contracts.folds import ALWAYS, FoldScheme, FoldTable
from podium.errors import PodiumError, preview
from podium.settings import Settings

_BINS = 10  # of a regression target; more would be empty in small folds


class Folds(Settings):
    """How rows are split; `file` names a folds table of the user's own instead."""

    scheme: FoldScheme = "stratified"
    """What each fold has an equal share of; see docs/folds.md."""
    k: int = Field(5, ge=2)
    """Folds."""
    repeats: int = Field(1, ge=1)
    """Times that all rows are split anew."""
    file: Path | None = None
    """A CSV with row_id, fold and perhaps repeat, instead of the scheme."""
    time: str | None = None
    """The metadata column that the scheme `time` goes by."""
    near_duplicates: int | None = Field(None, ge=0, le=64)
    """Bits of 256: pictures whose hashes differ in no more share a fold; null: only exact copies do."""


@dataclass(frozen=True)
class Split:
    """One model's rows: ids to train on and ids to predict, both sorted, never of one group."""

    repeat: int
    fold: int
    train: np.ndarray
    valid: np.ndarray


def make(
    rows: pd.DataFrame, scheme: FoldScheme, k: int, *, repeats: int = 1, seed: int = 0, time: str | None = None
) -> FoldTable:
    """Return the folds of the rows whose split is train, and the groups of these and of the extra rows.

    - plain, group: folds of equal numbers of rows; stratified, stratified_group: of each class too;
      binned: of each tenth of a regression target; multilabel: of each label, the rarest placed first
      (after Sechidis et al. 2011); group and stratified_group insist that groups are named.
    - time: consecutive folds by the metadata column `time`, numbers or dates; a fold is predicted from earlier ones.

    A class whose rows are all of one group could be predicted by no model that knows it: its rows, with their group,
    are trained on in every fold (`ALWAYS`) and predicted in none.
    """
    everyone, rows = rows, _training_rows(rows)
    if rows["group"].nunique() < k:
        raise PodiumError(f"folds.k: {k} folds need as many groups of rows; there are {rows['group'].nunique()}")
    if "group" in scheme and rows["group"].is_unique:
        raise PodiumError(f"folds.scheme: {scheme} needs a group, and the competition names none")
    if scheme == "time":
        return grouped(_by_time(rows, time, k), everyone, scheme)
    is_alone = rows["group"].isin(lone_groups(rows))
    alone, rows = rows.loc[is_alone, "row_id"], rows[~is_alone].reset_index(drop=True)
    if rows["group"].nunique() < k:
        raise PodiumError(f"folds.k: {k} folds need as many groups of rows, beside the classes of one group")
    strata, group = _strata(rows, scheme), pd.factorize(rows["group"], sort=True)[0]
    dealt = [deal(strata, group, k, np.random.default_rng([seed, repeat])) for repeat in range(repeats)]
    tables = [pd.DataFrame({"row_id": rows["row_id"], "repeat": i, "fold": fold}) for i, fold in enumerate(dealt)]
    tables += [pd.DataFrame({"row_id": alone, "repeat": i, "fold": ALWAYS}) for i in range(repeats)]
    return grouped(pd.concat(tables, ignore_index=True), everyone, scheme)


def lone_groups(rows: pd.DataFrame) -> list[str]:
    """Return the groups that hold all training rows of a class: a row, mostly.

    `rows.attrs["labels"]` names the classes; without them, or where targets are no classes, there are none.
    """
    rows_of = _training_rows(rows)
    labels = rows.attrs.get("labels") or []
    if len(labels) < 2 or "y" not in rows or rows.attrs.get("has_files"):  # noqa: PLR2004  # a class needs another
        return []
    groups = rows_of.groupby("y")["group"].agg(["nunique", "first"])
    return sorted(set(groups.loc[groups["nunique"] == 1, "first"]))


def grouped(table: pd.DataFrame, rows: pd.DataFrame, scheme: FoldScheme) -> FoldTable:
    """Return the folds `row_id, repeat, fold` with the rows' groups, and with the extra rows in every repeat."""
    extra = rows.loc[rows["split"] == "extra", ["row_id"]].sort_values("row_id", kind="stable").assign(fold=ALWAYS)
    more = [extra.assign(repeat=repeat) for repeat in np.unique(table["repeat"])]
    table = pd.concat([table[["row_id", "repeat", "fold"]], *more], ignore_index=True)
    group = rows[["row_id", "group"]]
    return FoldTable(table.merge(group, on="row_id", how="left", validate="many_to_one"), scheme)


def check(folds: FoldTable, rows: pd.DataFrame, k: int, where: str) -> FoldTable:
    """Return folds that fit the rows: each training row once a repeat, k folds, whole groups, all classes.

    `rows.attrs["labels"]` names the classes, unless targets lie in files (`has_files`). Raises PodiumError that opens
    with `where` and names the first bad ids.
    """
    everyone, rows = rows, _training_rows(rows).set_index("row_id")
    assigned, always = folds.assigned, set(folds.table.loc[folds.table["fold"] == ALWAYS, "row_id"])
    if unknown := sorted(set(assigned["row_id"]) - set(rows.index)):
        raise PodiumError(f"{where}: no training row has row_id {preview(unknown)}")
    for repeat, table in assigned.groupby("repeat"):
        if lacking := sorted(set(rows.index) - set(table["row_id"]) - always):
            raise PodiumError(f"{where}: repeat {repeat} has no fold for row_id {preview(lacking)}")
        if (found := sorted(table["fold"].unique().tolist())) != list(range(k)):
            raise PodiumError(f"{where}: repeat {repeat} has folds {found}; folds.k: {k} asks for 0 to {k - 1}")
        spread = table.set_index("row_id")["fold"].groupby(rows["group"]).nunique()
        if (spread > 1).any():
            raise PodiumError(f"{where}: repeat {repeat} splits groups over folds: {preview(spread.index[spread > 1])}")
    _check_classes(folds, everyone, where)
    return folds


def splits(folds: FoldTable, rows: pd.DataFrame) -> Iterator[Split]:
    """Yield every model's rows, by (repeat, fold): the only place that says what a model is trained on.

    A fold's model is trained on all other folds, or by the scheme `time` on the earlier ones, so that the first fold
    is never predicted; on the extra rows of no held-out row's group; and on no row of weight 0.

    Args:
        folds: the folds.
        rows: the Rows table, of which row_id and weight are read; rows that it lacks are left out.
    """
    table = folds.of(rows["row_id"]).table.sort_values("row_id", kind="stable")
    table = table.merge(rows[["row_id", "weight"]], on="row_id", validate="many_to_one")
    for repeat in np.unique(table["repeat"]):
        part = table[table["repeat"] == repeat]
        ids, fold_of, group = part["row_id"].to_numpy(object), part["fold"].to_numpy(), part["group"].to_numpy(object)
        first = 1 if folds.scheme == "time" else 0
        for fold in np.unique(fold_of[fold_of != ALWAYS])[first:]:
            is_valid, is_extra = fold_of == fold, fold_of == ALWAYS
            is_known = fold_of < fold if folds.scheme == "time" else ~is_valid
            is_known[is_extra] = ~np.isin(group[is_extra], group[is_valid])
            yield Split(int(repeat), int(fold), ids[is_known & (part["weight"].to_numpy() > 0)], ids[is_valid])


def only(folds: FoldTable, fold: int) -> FoldTable:
    """Return folds of which `splits` yields one alone, of the first repeat, with the very rows that it had.

    Raises PodiumError for a fold that is never predicted.
    """
    table = folds.table[folds.table["repeat"] == folds.table["repeat"].min()]
    numbers = sorted(set(table["fold"]) - {ALWAYS})
    predicted = numbers[1:] if folds.scheme == "time" else numbers
    if fold not in predicted:
        raise PodiumError(f"--fold {fold}: choose one of: {', '.join(map(str, predicted))}")
    if folds.scheme == "time":
        table = table[table["fold"] <= fold]
    return FoldTable(table.assign(fold=table["fold"].where(table["fold"] == fold, ALWAYS)), "plain")


def full(rows: pd.DataFrame) -> np.ndarray:
    """Return the sorted ids that a model of all rows is trained on: train and extra rows whose weight is not 0."""
    is_trained = rows["split"].isin(["train", "extra"]) & (rows["weight"] > 0)
    return np.sort(rows.loc[is_trained, "row_id"].to_numpy(object))


def seed_of(seed: int, *parts: int) -> int:
    """Return the seed of one model among many: the same numbers give the same seed, others an unrelated one."""
    return int(np.random.SeedSequence([seed, *parts]).generate_state(1)[0] >> 1)  # libraries take 31 bits


def _training_rows(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["split"] == "train"].sort_values("row_id", kind="stable").reset_index(drop=True)


def _target_columns(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows.columns if name == "y" or name.startswith("y_")]


def _strata(rows: pd.DataFrame, scheme: FoldScheme) -> np.ndarray:
    """Return `(n, s)` 0/1: what each fold should hold an equal share of."""
    y = rows[_target_columns(rows)].to_numpy()
    if scheme in {"plain", "group"}:
        return np.ones((len(rows), 1))
    if scheme == "multilabel":
        return np.column_stack([y, y.sum(axis=1) == 0]).astype(np.float64)
    if y.shape[1] > 1:
        raise PodiumError(f"folds.scheme: {scheme} needs one target and there are {y.shape[1]}; choose multilabel")
    codes, names = pd.factorize(_binned(y[:, 0]) if scheme == "binned" else y[:, 0], sort=True)
    return np.eye(len(names))[codes]


def _binned(y: np.ndarray) -> np.ndarray:
    return np.asarray(pd.qcut(y, _BINS, labels=False, duplicates="drop"))


def deal(strata: np.ndarray, group: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return `(n,)` the fold of each row: whole groups, an equal share of every stratum in each fold.

    The largest and then the rarest groups go first, each to the fold that holds least of its strata. One greedy
    pass does for all schemes: for rows of one class and no company it is exact stratification.

    Args:
        strata: `(n, s)` 0/1, what each fold should hold an equal share of.
        group: `(n,)` int codes from 0, each in use.
        k: how many folds.
        rng: breaks the ties between groups of one kind.
    """
    sizes = np.bincount(group)
    content = np.zeros((len(sizes), strata.shape[1]))
    np.add.at(content, group, strata)
    share = content / np.maximum(strata.sum(axis=0), 1)  # of all that there is of each stratum
    counts = np.where(content > 0, strata.sum(axis=0), np.inf)
    rarest = counts.argmin(axis=1)
    order = rng.permutation(len(sizes))
    # One stratum after the other, even where two are equally rare: taken in turns, they left folds two rows apart.
    order = order[np.lexsort((rarest[order], counts.min(axis=1)[order], -sizes[order]))]
    held, rows_held, fold_of = np.zeros((k, strata.shape[1])), np.zeros(k, np.int64), np.zeros(len(sizes), np.int64)
    for item in order:
        # What a fold holds of the item's strata; rounded, so that a tie is one on every machine.
        crowding = np.round((held * share[item]).sum(axis=1), 9)
        fold = np.lexsort((rows_held, crowding))[0]
        held[fold] += content[item]
        rows_held[fold] += sizes[item]
        fold_of[item] = fold
    return np.asarray(fold_of[group])


def inner(y: np.ndarray, group: np.ndarray, k: int, seed: int, *, is_value: bool) -> np.ndarray:
    """Return `(n,)` a head's own folds within its training rows: whole groups, classes (or tenths of values) even.

    For early stopping and calibration: the rows that a model is judged by are none that it learnt from.
    """
    if y.ndim == 2:  # noqa: PLR2004  # a matrix of labels
        strata = np.column_stack([y, y.sum(axis=1) == 0]).astype(np.float64)
    else:
        codes, names = pd.factorize(_binned(y) if is_value else y, sort=True)
        strata = np.eye(len(names))[codes]
    return deal(strata, pd.factorize(group, sort=True)[0], k, np.random.default_rng(seed))


def _by_time(rows: pd.DataFrame, time: str | None, k: int) -> pd.DataFrame:
    named = {name.removeprefix("meta_"): rows[name] for name in rows.columns if name.startswith("meta_")}
    if time not in named:
        choices = ", ".join(named) or "none: name it in the competition's layout.metadata"
        raise PodiumError(f"folds.time: no column {time!r} to order rows by; choose one of: {choices}")
    when = pd.to_numeric(named[time], errors="coerce")
    if when.isna().any():
        when = pd.to_datetime(named[time], errors="coerce", utc=True)
    if when.isna().any():
        ids = preview(rows["row_id"][when.isna()])
        raise PodiumError(f"folds.time: {time}: neither a number nor a date for row_id {ids}")
    first = when.groupby(rows["group"]).transform("min")
    rank = first.rank(method="min") - 1  # equal times, and so whole groups, share a fold
    fold = np.minimum((rank * k / len(rows)).astype(np.int64), k - 1)
    return pd.DataFrame({"row_id": rows["row_id"], "repeat": 0, "fold": fold})


def _check_classes(folds: FoldTable, rows: pd.DataFrame, where: str) -> None:
    """Raise where a model would be trained without a class: it could never predict it."""
    labels = rows.attrs.get("labels") or []
    if len(labels) < 2 or "y" not in rows.columns or rows.attrs.get("has_files"):  # noqa: PLR2004  # a class needs another
        return
    y = rows.set_index("row_id")["y"]
    for split in splits(folds, rows):
        lacking = set(range(len(labels))) - set(y.loc[split.train].astype(int))
        if lacking:
            names = preview([labels[code] for code in sorted(lacking)])
            raise PodiumError(f"{where}: the training rows of fold {split.fold} have no {names}; choose a smaller k")
