"""What would make an out-of-fold score better than the competition's: copies, shared groups, telling metadata.

Every check is a pure function that returns findings. An alarm is a leak into the score; a note is worth knowing.
A statistic alarms when it is both large and far beyond chance, so that clean data gives no alarm.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from podium.contracts.folds import FoldTable
from podium.errors import preview
from podium.imaging.duplicates import clusters, equal_pairs, near_pairs
from podium.metrics import METRICS
from podium.splits.folds import splits

_LARGE = 0.60  # AUC: what a person would call telling
_FAR = 5.0  # standard errors: one false alarm in three million checks
_CHANCE = 0.5
_FOLDS = 5
_FEW = 50  # cells that say whether it is worth while to look for dates in all
_BINS = 20  # of a column of many numbers: what is told by neither high nor low values alone
_ALIKE = 0.98  # cosine; unlike cells of ELPV reach 0.976
_BLOCK = 1000  # rows of cosines at once


@dataclass(frozen=True)
class Finding:
    """One line for a person, and the numbers behind it."""

    check: str
    level: Literal["alarm", "note"]
    message: str
    details: Mapping[str, Any]


def copies(images: pd.DataFrame, hashes: pd.Series, distance: int) -> pd.DataFrame:
    """Return pairs of images that show the same picture: columns a, b (image ids), kind, distance, orientation.

    Kind is `exact` (the same bytes) or `near` (perceptual hashes within `distance` bits in any orientation).
    """
    ids = images["image_id"].to_numpy()
    exact = pd.DataFrame(equal_pairs(images["digest"]), columns=["first", "second"], dtype=np.int64)
    near = near_pairs(hashes, distance)
    table = pd.concat([exact.assign(kind="exact", distance=0, orientation="identity"), near.assign(kind="near")])
    table = table.drop_duplicates(["first", "second"]).sort_values(["first", "second"], kind="stable")
    table.insert(0, "a", ids[table.pop("first").to_numpy()])
    table.insert(1, "b", ids[table.pop("second").to_numpy()])
    return table.reset_index(drop=True)


def across(pairs: pd.DataFrame, images: pd.DataFrame, rows: pd.DataFrame, folds: FoldTable) -> list[Finding]:
    """Find copies in different folds, between train and test, and with different targets."""
    row_of = images.set_index("image_id")["row_id"]
    sides = {side: by_row(rows, row_of[pairs[side]]) for side in ("a", "b")}
    pairs = pairs.assign(**{f"row_{side}": table["row_id"].to_numpy() for side, table in sides.items()})
    both = {side: table["split"].to_numpy() for side, table in sides.items()}
    is_test = [split == "test" for split in both.values()]
    known = ~is_test[0] & ~is_test[1] & (pairs["row_a"] != pairs["row_b"]).to_numpy()
    targets = [table[_targets(rows)].to_numpy() for table in sides.values()]
    differing = known & (targets[0] != targets[1]).any(axis=1)
    return [
        *_pairs("copies in different folds", "alarm", pairs[known & _separated(pairs, rows, folds)]),
        *_known_targets(_with_target(pairs[is_test[0] ^ is_test[1]], rows)),
        *_pairs("copies with different targets", "note", pairs[differing]),
    ]


def groups(rows: pd.DataFrame, folds: FoldTable) -> list[Finding]:
    """Find groups of the Rows table whose rows lie in different folds."""
    joined = folds.assigned.drop(columns="group").merge(rows[["row_id", "group"]], on="row_id", validate="many_to_one")
    spread = joined.groupby(["repeat", "group"])["fold"].nunique()
    split = sorted(set(spread[spread > 1].reset_index()["group"]))
    if not split:
        return []
    return [
        Finding("groups", "alarm", f"{len(split)} groups are split over folds: {preview(split)}", {"groups": split})
    ]


def metadata(facts: pd.DataFrame, y: np.ndarray, orders: Mapping[str, np.ndarray] | None = None) -> list[Finding]:
    """Find columns that give the target away, each by its own AUC.

    Args:
        facts: one line per train row. Text is a number or a date where all of a column's is. Numbers are ranked, and
            also put into bins; bins and other text are replaced by their mean target, learnt on other rows.
        y: `(n,)` or `(n, n_labels)`; values are cut at their median.
        orders: the positions of the rows in lists, `(n,)` each, by name; where none are given, that of `facts`.
    """
    orders = {"row order": np.arange(len(y))} if orders is None else orders
    columns = {str(name): _typed(facts[name]) for name in facts.columns if facts[name].notna().any()}
    findings = []
    for label, truth in _questions(y).items():
        for name, values in columns.items():
            if values.dtype.kind == "f":
                findings += _telling(name, label, values.fillna(values.median()).to_numpy(), truth)
            findings += _telling(name, label, _encoded(_categories(values), truth), truth, one_sided=True)
        for name, positions in orders.items():
            # A list that is sorted, or sorted in blocks: a row's neighbours know its target.
            by_order = np.argsort(positions, kind="stable")
            told = truth[by_order]
            neighbours = (np.append(told[1:], told[-2]) + np.append(told[1], told[:-1])) / 2
            findings += _telling(name, label, neighbours, told)
    return _strongest(findings)


def adversarial(train: np.ndarray, test: np.ndarray, ids: Iterable[str], where: str) -> list[Finding]:
    """Find whether train and test can be told apart by features `(n, d)`, cross-fitted, and the rows that show it.

    `ids` are those of train, then test.
    """
    from sklearn.linear_model import LogisticRegression

    x = np.concatenate([train, test]).astype(np.float32)
    truth = np.repeat([0, 1], [len(train), len(test)])
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6)
    p, fold = np.zeros(len(x)), np.random.default_rng(0).permutation(len(x)) % _FOLDS
    for k in range(_FOLDS):
        model = LogisticRegression(C=1e-3, max_iter=200).fit(x[fold != k], truth[fold != k])
        p[fold == k] = model.decision_function(x[fold == k])
    found, error = auc(p, truth)
    if not _alarming(found, error):
        return []
    order = np.argsort(-np.abs(p - np.median(p)), kind="stable")[:20]
    telling = np.array(list(ids), dtype=object)[order].tolist()
    message = (
        f"{where}: train and test can be told apart: AUC {found:.3f} ± {error:.3f}; most clearly by {preview(telling)}"
    )
    return [Finding("adversarial validation", "alarm", message, {"auc": found, "rows": telling})]


def alike(x: np.ndarray, ids: Iterable[str], where: str) -> list[Finding]:
    """Find images whose features `(n, d)`, standardised, are nearly the same: copies that a hash may not know."""
    x = x.astype(np.float32)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-6)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    names, pairs = list(ids), []
    for start in range(0, len(x), _BLOCK):
        cosine = np.triu(x[start : start + _BLOCK] @ x[start:].T, 1)
        pairs += [(float(cosine[a, b]), names[start + a], names[start + b]) for a, b in np.argwhere(cosine > _ALIKE)]
    if not pairs:
        return []
    nearest = [(a, b, round(cosine, 4)) for cosine, a, b in sorted(pairs, reverse=True)[:20]]
    message = f"{where}: pairs of images with nearly the same features: {preview([f'{a} {b}' for a, b, _ in nearest])}"
    return [Finding("features nearly the same", "note", message, {"pairs": nearest, "number": len(pairs)})]


def in_sample(train: np.ndarray, test: np.ndarray, name: str) -> list[Finding]:
    """Find predictions `(n, k)` that are surer of train rows than of test rows, as those made in sample are."""
    sure = [np.sort(p if p.shape[1] > 1 else np.column_stack([1 - p, p]), axis=1)[:, -1] for p in (train, test)]
    found, error = auc(np.concatenate(sure), np.repeat([1, 0], [len(train), len(test)]))
    if not _alarming(max(found, _CHANCE), error):
        return []
    message = f"{name}: surer of train rows than of test rows (AUC {found:.3f} ± {error:.3f}): not out of fold?"
    return [Finding("predictions made in sample", "alarm", message, {"member": name, "auc": found})]


def seen(rows: pd.DataFrame, folds: FoldTable, pairs: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return which rows each prediction's model saw: a line per predicted train row and repeat.

    Columns row_id, repeat, fold, n_seen (training rows of the model, as `splits` says to every stage that trains)
    and leaked: those among them that are of its group or show its picture, space between.
    """
    rows = rows[rows["row_id"].isin(images["row_id"])].reset_index(drop=True)
    row_of = images.set_index("image_id")["row_id"]
    places = pd.Series(np.arange(len(rows)), index=rows["row_id"])
    links = [(places[row_of[a]], places[row_of[b]]) for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    grouped = folds.grouped(rows)["group"]
    company = clusters(len(rows), [*equal_pairs(rows["group"]), *equal_pairs(grouped), *links])
    company_of = pd.Series(company, index=rows["row_id"])
    lines = []
    for split in splits(folds, rows):
        trained = pd.Series(split.train).groupby(company_of.loc[split.train].to_numpy()).agg(" ".join)
        leaked = company_of.loc[split.valid].map(trained).fillna("")
        lines += [(row_id, split.repeat, split.fold, len(split.train), found) for row_id, found in leaked.items()]
    return pd.DataFrame(lines, columns=["row_id", "repeat", "fold", "n_seen", "leaked"])


def certificate(table: pd.DataFrame) -> list[Finding]:
    """Find predictions whose model saw the row's group or picture, in a table by `seen`."""
    leaked = table[table["leaked"] != ""]
    if leaked.empty:
        return []
    ids = sorted(set(leaked["row_id"]))
    message = f"{len(ids)} rows were predicted by models that saw their group or picture: {preview(ids)}"
    return [Finding("seen rows", "alarm", message, {"rows": ids})]


def made_elsewhere(imported: Mapping[str, Iterable[str]]) -> list[Finding]:
    """Note the heads, by name, on features that were imported: what the network behind them saw is not known here."""
    return [
        Finding(
            "imported features",
            "note",
            f"{name}: {one} was made elsewhere: if its network was trained on rows of this competition, "
            f"the out-of-fold score of {name} is too good",
            {"member": name, "features": one},
        )
        for name, features in sorted(imported.items())
        for one in sorted(features)
    ]


def auc(score: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the AUC of a score for 0/1 truths, and its standard error by chance (Mann and Whitney 1947)."""
    n1 = int((truth == 1).sum())
    n0 = len(truth) - n1
    if not n1 or not n0:
        return _CHANCE, np.inf
    return METRICS["auc"](truth, score[:, None]), float(np.sqrt((n1 + n0 + 1) / (12 * n1 * n0)))


def by_row(rows: pd.DataFrame, ids: Iterable[str]) -> pd.DataFrame:
    """Return the rows of these ids, which may repeat."""
    return rows.set_index("row_id", drop=False).loc[list(ids)]


def _alarming(area: float, error: float) -> bool:
    return abs(area - _CHANCE) > max(_LARGE - _CHANCE, _FAR * error)


def _telling(name: str, label: str, score: np.ndarray, truth: np.ndarray, *, one_sided: bool = False) -> list[Finding]:
    """Return the finding of a score, if it tells; `one_sided` where it was learnt, so that below 0.5 is chance."""
    area, error = auc(score, truth)
    area = area if one_sided else max(area, 1 - area)
    if not _alarming(max(area, _CHANCE), error):
        return []
    of = f" for {label}" if label else ""
    message = f"{name} gives the target away{of}: AUC {area:.3f} ± {error:.3f}"
    return [Finding("metadata", "alarm", message, {"column": name, "auc": area})]


def _strongest(findings: list[Finding]) -> list[Finding]:
    """Return one finding per column: several labels say the same of it."""
    best: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda finding: -finding.details["auc"]):
        best.setdefault(finding.details["column"], finding)
    return list(best.values())


def _typed(values: pd.Series) -> pd.Series:
    """Return a column as float64 where all of it are numbers, or dates and times; else as text."""
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    numbers = pd.to_numeric(values, errors="coerce")
    if (numbers.notna() | values.isna()).all():
        return numbers.astype(np.float64)
    known = values.dropna()
    if _dates(known[:_FEW]).notna().all() and (dates := _dates(known)).notna().all():
        return dates.astype("int64").astype(np.float64).reindex(values.index)
    return values.fillna("").astype("str")


def _dates(values: pd.Series) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that each cell is looked at by itself
        return pd.to_datetime(values, errors="coerce", utc=True, format="mixed")


def _categories(values: pd.Series) -> pd.Series:
    """Return a column's texts, its few numbers, or the bins of its many; a gap is a category of its own."""
    if values.dtype.kind == "f" and values.nunique() > _BINS:
        values = pd.qcut(values, _BINS, labels=False, duplicates="drop")
    return values.astype("str").fillna("")


def _encoded(values: pd.Series, truth: np.ndarray) -> np.ndarray:
    """Return the mean target of each category, learnt on the other half of the rows."""
    codes = pd.factorize(values)[0]
    half = np.random.default_rng(0).permutation(len(codes)) % 2
    score = np.full(len(codes), truth.mean())
    for side in (0, 1):
        learnt = pd.Series(truth[half != side]).groupby(codes[half != side]).mean()
        score[half == side] = learnt.reindex(codes[half == side]).fillna(truth.mean()).to_numpy()
    return score


def _questions(y: np.ndarray) -> dict[str, np.ndarray]:
    """Return the target as yes-or-no questions: `(n,)` 0/1 each."""
    if y.ndim > 1:
        return {f"label {k}": column for k, column in enumerate(y.T)}
    if not np.issubdtype(y.dtype, np.integer):
        return {"": (y > np.median(y)).astype(np.int64)}
    classes = np.unique(y)
    if len(classes) == 2:  # noqa: PLR2004  # two classes are one question
        return {"": (y == classes[1]).astype(np.int64)}
    return {f"class {k}": (y == k).astype(np.int64) for k in classes}


def _targets(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows.columns if name == "y" or name.startswith("y_")]


def _separated(pairs: pd.DataFrame, rows: pd.DataFrame, folds: FoldTable) -> np.ndarray:
    """Tell of each pair of rows whether a model that predicts one is trained on the other, in any repeat."""
    separated = np.zeros(len(pairs), bool)
    for split in splits(folds, rows):
        trained, valid = ([pairs[f"row_{side}"].isin(ids) for side in "ab"] for ids in (split.train, split.valid))
        separated |= (trained[0] & valid[1] | trained[1] & valid[0]).to_numpy()
    return separated


def _with_target(pairs: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of a train and a test image, with the target of the train row."""
    known = rows.set_index("row_id")[_targets(rows)]
    target = known.reindex(pairs["row_a"]).to_numpy()
    other = known.reindex(pairs["row_b"]).to_numpy()
    side = np.where(np.isnan(target).all(axis=1), "a", "b")
    return pairs.assign(target=np.where(np.isnan(target), other, target).tolist(), test_side=side)


def _known_targets(pairs: pd.DataFrame) -> list[Finding]:
    """Note how many test rows have a copy among train rows, each counted once."""
    found = _pairs("copies of train images in test", "note", pairs)
    if not found:
        return []
    is_first = pairs["test_side"] == "a"
    n_rows = len(set(pairs["row_a"].where(is_first, pairs["row_b"])))
    message = f"{n_rows} test rows have a copy among train rows; {found[0].message}"
    return [replace(found[0], message=message, details={**found[0].details, "test_rows": n_rows})]


def _pairs(check: str, level: Literal["alarm", "note"], pairs: pd.DataFrame) -> list[Finding]:
    if pairs.empty:
        return []
    exact = int((pairs["kind"] == "exact").sum())
    examples = preview([f"{a} = {b}" for a, b in zip(pairs["a"], pairs["b"], strict=True)])
    message = f"{check}: {len(pairs)} pairs, {exact} of the same bytes: {examples}"
    return [Finding(check, level, message, {"pairs": pairs.to_dict("records")})]
