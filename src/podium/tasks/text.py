"""A string a row, read from its picture: captchas, plates, codes."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from podium import tasks
from podium.contracts import imports
from podium.contracts.dataset import Dataset
from podium.contracts.models import Fitted
from podium.contracts.sequences import Emissions, Sequences, gathered
from podium.contracts.submission import CellSpec
from podium.contracts.table import Column, Table
from podium.errors import PodiumError, preview
from podium.metrics import Metric
from podium.storage import csv_table
from podium.tasks import Encoded, arithmetic, columns, decoding

TEXTS = Table("texts", (Column("row_id", "text"), Column("text", "text")), key=("row_id",))
BEAM = 10  # candidates of a row
_KEPT = -15.0  # candidates less likely than exp(-15) times the best are not kept
_UNLISTED = -20.0  # of a string that predictions without emissions do not name
_IMPOSSIBLE = -100.0  # of a string that a network cannot say: finite, so that weights can scale it
_ABSENT = -1e4  # fills up the rows with fewer candidates than others
_TEXTS = "texts.parquet"


class Task(tasks.Task):
    """Strings over an alphabet. Texts are compared in Unicode's normal form C."""

    kind: ClassVar[str] = "text"
    predictions: ClassVar[type[Sequences]] = Sequences
    is_directed: ClassVar[bool] = True
    sample_cell: ClassVar[Any] = ""

    target: str
    """The column that holds the text; of files, a part of the name's pattern, such as `{text}_{id}.png`."""
    alphabet: str | None = None
    """All characters that a text may hold, in the order of a network's outputs; null: those of the labels."""
    min_length: int = Field(1, ge=1)
    """The characters of the shortest text."""
    max_length: int | None = Field(None, ge=1)
    """The characters of the longest text, `min_length` where all are equally long; null: of the longest label."""
    fold_case: Literal["upper", "lower"] | None = None
    """The case that all texts are read and written in; null: case matters."""
    equal: tuple[str, ...] = ()
    """Groups of characters that `lenient_match` takes for one another, such as `0O`."""
    value: bool = False
    """Whether the sample's second column is the value of the text, read as arithmetic; 0 where there is none."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_length is not None and self.max_length < self.min_length:
            raise ValueError(f"`max_length`: {self.max_length} is less than `min_length`: {self.min_length}")
        for key, characters in (("alphabet", self.alphabet or ""), ("equal", "".join(self.equal))):
            if twice := [char for char, count in Counter(characters).items() if count > 1]:
                raise ValueError(f"`{key}`: it names {preview(twice)} twice")
            if odd := [char for char in characters if self._folded(char) != char or not char.isprintable()]:
                raise ValueError(
                    f"`{key}`: {preview(odd)}: not printable, or written otherwise in normal form C and case"
                )
        return self

    @property
    def is_fixed(self) -> bool:
        """Return whether all texts have one length."""
        return self.min_length == self.max_length

    def encode(self, rows: pd.DataFrame, where: str) -> Encoded:
        """See Task; `y` is the text's length, by which folds are stratified."""
        given = columns.column(rows, self.target, f"{where}: task.target")
        texts = given.map(self._folded, na_action="ignore")
        known = texts.notna()
        self._check(rows["row_id"][known], texts[known], f"{where}: task.target: column {self.target!r}")
        alphabet = self.alphabet or "".join(sorted(set("".join(texts[known]))))
        y = texts.str.len().astype("float64")
        by_row = dict(zip(rows["row_id"][known], texts[known], strict=True))
        return Encoded(pd.DataFrame({"y": y}), list(alphabet), partial(_write_texts, by_row))

    def _check(self, row_ids: pd.Series, texts: pd.Series, where: str) -> None:
        """Raise PodiumError naming the first rows whose text breaks what the task says of texts."""
        for row_id, text in zip(row_ids, texts, strict=True):
            known = self.alphabet
            if strange := [char for char in text if not (char in known if known else char.isprintable())]:
                why = "not in task.alphabet" if known else "not printable"
                raise PodiumError(f"{where}: {text!r} holds {strange[0]!r}, which is {why}: row_id {row_id!r}")
        length = texts.str.len()
        wrong = (length < self.min_length) | (length > (self.max_length or np.inf))
        if wrong.any():
            asked = f"{self.min_length}" if self.is_fixed else f"{self.min_length} to {self.max_length or 'any'}"
            raise PodiumError(
                f"{where}: {texts[wrong].iloc[0]!r} has {length[wrong].iloc[0]} characters, and task.min_length and"
                f" task.max_length ask for {asked}: row_id {preview(row_ids[wrong])}"
            )

    def _folded(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        return {None: text, "upper": text.upper(), "lower": text.lower()}[self.fold_case]

    def truth(self, data: Dataset, row_ids: Iterable[str]) -> np.ndarray:
        """See Task; `(n,)` str."""
        path = data.targets / _TEXTS
        texts = TEXTS.read(path).set_index("row_id")["text"]
        ids = list(row_ids)
        if missing := [row_id for row_id in ids if row_id not in texts.index]:
            raise PodiumError(f"{path}: no text for row_id {preview(missing)}; run `dvc repro`")
        return texts.loc[ids].to_numpy(object)

    def write_solution(self, encoded: Encoded, rows: pd.DataFrame, folder: Path) -> None:
        """See Task."""
        assert encoded.files is not None
        encoded.files(rows.loc[rows["y"].notna(), "row_id"], folder)
        texts = TEXTS.read(folder / _TEXTS)
        (folder / _TEXTS).unlink()
        csv_table.write(texts, folder / columns.SOLUTION)

    def read_solution(self, folder: Path) -> tuple[list[str], np.ndarray]:
        """See Task."""
        solution = columns.solution(folder, "text")
        return list(solution["row_id"]), solution["text"].to_numpy(object)

    def longest(self, data: Dataset) -> int:
        """Return the characters of the longest text that there can be."""
        return self.max_length or int(data.rows["y"].max())

    # Scores

    def score(self, metric: Metric, y: np.ndarray, p: Sequences, weight: np.ndarray | None = None) -> float:
        """See Task."""
        return self._score(metric, y, p.best, weight)

    def scorer(
        self, metric: Metric, y: np.ndarray, p: Sequences, weight: np.ndarray | None = None
    ) -> Callable[[np.ndarray], float]:
        """See Task."""
        best = p.best
        return lambda rows: self._score(metric, y[rows], best[rows], None if weight is None else weight[rows])

    def _score(self, metric: Metric, y: np.ndarray, texts: np.ndarray, weight: np.ndarray | None) -> float:
        if metric.takes == "lenient_texts":
            table = str.maketrans({char: group[0] for group in self.equal for char in group})
            y, texts = (np.array([text.translate(table) for text in some], object) for some in (y, texts))
        if metric.takes == "text_values":
            y, texts = (np.array([arithmetic.value(text) for text in some], object) for some in (y, texts))
        return metric(y, texts, weight)

    # Decoding and combining

    def decode(
        self, row_id: np.ndarray, split: np.ndarray, emissions: Emissions, labels: Sequence[str], longest: int
    ) -> Sequences:
        """Return predictions by what networks saw: the strings that any model of a row finds, weighed by all of them.

        Args:
            row_id: `(n,)` str.
            split: `(n,)` train or test.
            emissions: of one model or more a row.
            labels: the alphabet.
            longest: characters of the longest text.
        """
        logp = emissions.logp.astype(np.float32)
        if emissions.has_blank:
            found = decoding.beam_search(logp, BEAM, least=self.min_length, most=longest)
        else:
            found = decoding.best_places(logp, BEAM)
        texts = ["".join(labels[code] for code in codes) for strings in found for codes in strings]
        counts = np.array([len(strings) for strings in found], np.int64)
        ends = np.concatenate([[0], np.cumsum(counts)])
        per_row = [
            sorted(set(texts[ends[a] : ends[b]])) for a, b in zip(emissions.offset, emissions.offset[1:], strict=False)
        ]
        sure = Sequences.of_texts(row_id, "train", [row[0] for row in per_row], labels)
        unweighed = Sequences(row_id, split, sure.text, sure.logp, sure.offset, tuple(labels), emissions)
        return _ranked(unweighed, per_row, likelihoods(unweighed, per_row))

    def stacked(self, members: Sequence[Sequences]) -> np.ndarray:
        """See Task: each member's log-likelihoods of all strings that any of them names."""
        names = _union(members)
        widest = max(len(row) for row in names)
        p = np.full((len(members), len(names), widest), _ABSENT, np.float32)
        is_there = np.arange(widest) < np.array([len(row) for row in names])[:, None]
        for own, member in zip(p, members, strict=True):
            own[is_there] = likelihoods(member, names)
        return p

    def stacked_truth(self, y: np.ndarray, members: Sequence[Sequences]) -> np.ndarray:
        """See Task: `(n, 1 + k)`, the truth and the strings that the columns of `stacked` stand for."""
        names = _union(members)
        table = np.full((len(y), 1 + max(len(row) for row in names)), None, object)
        table[:, 0] = y
        for row, texts in enumerate(names):
            table[row, 1 : 1 + len(texts)] = texts
        return table

    def score_stacked(self, metric: Metric, y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
        """See Task; `y` is `stacked_truth`."""
        return self._score(metric, y[:, 0], y[np.arange(len(y)), 1 + p.argmax(axis=1)], weight)

    def blended(self, blend: Fitted, members: Sequence[Sequences]) -> Sequences:
        """See Task: strings by the weighted mean of the log-likelihoods that the members give them."""
        names = _union(members)
        p = blend.predict(self.stacked(members))
        flat = np.concatenate([row[: len(texts)] for row, texts in zip(p, names, strict=True)])
        return _ranked(Sequences(**{**vars(members[0]), "emissions": None}), names, flat)

    # Submissions

    def fallback(self, data: Dataset, row_ids: Iterable[str]) -> Sequences:
        """See Task; of the commonest length, the commonest character at each place."""
        ids = np.asarray(list(row_ids), dtype=object)
        trained = data.rows[data.rows["split"] != "test"]
        texts = self.truth(data, trained["row_id"])
        length = Counter(sorted(map(len, texts))).most_common(1)[0][0]
        same = [text for text in texts if len(text) == length]
        best = "".join(Counter(sorted(at)).most_common(1)[0][0] for at in zip(*same, strict=True))
        return Sequences.of_texts(ids, "test", [best] * len(ids), data.labels)

    def submission(self, p: Sequences, data: Dataset, columns: list[str]) -> pd.DataFrame:  # noqa: ARG002
        """See Task; the text, then its value where one is asked for: that of the likeliest string that has one."""
        found = pd.DataFrame({"row_id": p.row_id, self._columns(columns)[0]: p.best}, dtype="str")
        if self.value:
            values = (
                next((v for text in row if (v := arithmetic.value(text)) is not None), 0) for row in p.candidates()
            )
            found[columns[1]] = [arithmetic.text(Fraction(number)) for number in values]
        return found

    def cell_specs(self, data: Dataset, columns: list[str]) -> dict[str, CellSpec]:
        """See Task."""
        spec = CellSpec(alphabet="".join(data.labels), least=self.min_length, most=self.longest(data))
        return dict(zip(self._columns(columns), (spec, CellSpec()), strict=False))

    def _columns(self, columns: list[str]) -> list[str]:
        """Return the sample's columns after the id, or raise PodiumError where they are more or fewer than cells."""
        if len(columns) != 1 + self.value:
            kinds = "the text and its value" if self.value else "the text"
            raise PodiumError(f"submission.columns: after the id there must be {kinds}, not {len(columns)} columns")
        return columns

    def read_submission(self, submission: pd.DataFrame, data: Dataset) -> Sequences:
        """See Task."""
        ids, texts = submission.iloc[:, 0].to_numpy(object), submission.iloc[:, 1].fillna("")
        return Sequences.of_texts(ids, "test", [self._folded(text) for text in texts], data.labels)

    def read_import(self, path: Path, data: Dataset) -> tuple[Sequences, np.ndarray | None]:
        """See Task; the column is called like the target, or `text`."""
        table = imports.read(path, "row_id")
        name = self.target if self.target in table.columns else "text"
        csv_table.require(table, [name], str(path))
        texts = table[name].fillna("").astype(str).map(self._folded)
        ids, alphabet = table["row_id"].to_numpy(object), set(data.labels)
        for row_id, text in zip(ids, texts, strict=True):
            if strange := [char for char in text if char not in alphabet]:
                raise PodiumError(
                    f"{path}: {text!r} holds {strange[0]!r}, which is not in the alphabet: row_id {row_id!r}"
                )
        found = Sequences.of_texts(ids, "train", list(texts), data.labels)
        return found, table["fold"].to_numpy() if "fold" in table.columns else None


def likelihoods(member: Sequences, names: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the log-likelihood that a member gives each string of each row, `(c,)` float32, one after the other.

    Of several CTC models of a row it is the mean, since their steps do not align; places do, and are averaged as
    probabilities. A member without emissions knows the strings that it names.
    """
    counts = np.array([len(row) for row in names], np.int64)
    if member.emissions is None:
        known = _listed(member)
        return np.array([known[n].get(text, _UNLISTED) for n, row in enumerate(names) for text in row], np.float32)
    code = {char: n for n, char in enumerate(member.labels)}
    codes = [[code[char] for char in text] for row in names for text in row]
    emissions = member.emissions
    row_of = np.repeat(np.arange(len(names)), counts)
    if not emissions.has_blank:
        return _places(emissions, codes, row_of)
    flat, ends = gathered(emissions.offset, row_of)  # the models of each string's row
    of_string = np.repeat(np.arange(len(codes)), np.diff(ends))
    found = decoding.log_likelihood(emissions.logp[flat], [codes[n] for n in of_string])
    total = np.bincount(of_string, np.maximum(found, _IMPOSSIBLE), len(codes))
    return np.asarray(total / np.diff(ends), np.float32)


def _places(emissions: Emissions, codes: Sequence[Sequence[int]], row_of: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of strings, by the mean of a row's models at each place."""
    p = np.add.reduceat(np.exp(emissions.logp.astype(np.float64)), emissions.offset[:-1], axis=0)
    logp = np.log(np.maximum(p / np.diff(emissions.offset)[:, None, None], np.exp(_IMPOSSIBLE)))
    places = np.arange(logp.shape[1])
    fits = [len(string) == len(places) for string in codes]
    found = [
        logp[row, places, string].sum() if fit else _IMPOSSIBLE
        for row, string, fit in zip(row_of, codes, fits, strict=True)
    ]
    return np.maximum(np.array(found, np.float32), _IMPOSSIBLE)


def _listed(member: Sequences) -> list[Mapping[str, float]]:
    """Return the log-posterior of each string that each row names."""
    pairs = list(zip(member.text.tolist(), member.logp.tolist(), strict=True))
    return [dict(pairs[start:stop]) for start, stop in zip(member.offset, member.offset[1:], strict=False)]


def _union(members: Sequence[Sequences]) -> list[list[str]]:
    """Return the sorted strings that any member names, for each row."""
    lists = [member.candidates() for member in members]
    return [sorted(set().union(*rows)) for rows in zip(*lists, strict=True)]


def _ranked(rows: Sequences, names: Sequence[Sequence[str]], loglik: np.ndarray) -> Sequences:
    """Return the rows with these strings, by falling posterior; those that are next to impossible are left out."""
    counts = np.array([len(row) for row in names], np.int64)
    row_of, text = np.repeat(np.arange(len(names)), counts), np.array([text for row in names for text in row], object)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    loglik = loglik.astype(np.float64)
    top = np.maximum.reduceat(loglik, first)
    logp = loglik - (top + np.log(np.add.reduceat(np.exp(loglik - top[row_of]), first)))[row_of]
    order = np.lexsort((-loglik, row_of))
    rank = np.arange(len(order)) - first[row_of]
    kept = order[(loglik[order] >= top[row_of] + _KEPT) & (rank < BEAM)]
    offset = np.concatenate([[0], np.cumsum(np.bincount(row_of[kept], minlength=len(names)))])
    changed = {"text": text[kept], "logp": logp[kept].astype(np.float32), "offset": offset}
    return Sequences(**{**vars(rows), **changed})


def _write_texts(by_row: Mapping[str, str], row_ids: Iterable[str], folder: Path) -> None:
    ids = [row_id for row_id in dict.fromkeys(row_ids) if row_id in by_row]
    TEXTS.write(pd.DataFrame({"row_id": ids, "text": [by_row[row_id] for row_id in ids]}, dtype="str"), folder / _TEXTS)
