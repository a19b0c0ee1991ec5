"""The task `text`: labels in, strings out, and what combining several readers means."""

import itertools
import unicodedata

import numpy as np
import pandas as pd
import pytest

from podium.contracts.dataset import Dataset
from podium.contracts.sequences import Emissions, Sequences
from podium.contracts.submission import check
from podium.contracts.tables import ROWS
from podium.ensembles import hill_climb, mean
from podium.errors import PodiumError
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import METRICS
from podium.tasks.text import Task

ODD = ["007", "a,b", '"q"', " x ", "it's", "NA", "é0", "ab"]
EXACT = METRICS["exact_match"]


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def all_strings(logp):
    """Return string -> probability of one row `(steps, symbols)`, path by path."""
    total = {}
    for path in itertools.product(range(logp.shape[1]), repeat=len(logp)):
        string = tuple(symbol - 1 for symbol, _ in itertools.groupby(path) if symbol)
        total[string] = total.get(string, 0) + np.exp(sum(logp[step, symbol] for step, symbol in enumerate(path)))
    return total


def rows_of(texts, split="train"):
    return pd.DataFrame({"row_id": [f"r{k}" for k in range(len(texts))], "split": split, "text": texts}, dtype="str")


@pytest.fixture
def dataset(tmp_path):
    """Return the function that prepares a dataset of texts: the last two rows are of the test split."""

    def make(texts, **settings):
        task, rows = Task(target="text", **settings), rows_of(texts)
        rows.loc[len(rows) - 2 :, "split"] = "test"
        encoded = task.encode(rows, "x.yaml")
        table = rows[["row_id", "split"]].join(encoded.columns).assign(weight=1.0, group=rows["row_id"])
        is_test = table["split"] == "test"
        for name in ("targets", "solution"):
            (tmp_path / name).mkdir()
        encoded.files(table.loc[~is_test, "row_id"], tmp_path / "targets")
        task.write_solution(encoded, table[is_test], tmp_path / "solution")
        table["y"] = table["y"].mask(is_test)
        ROWS.write(table, tmp_path / "rows.parquet", {"labels": encoded.labels})
        return task, Dataset(tmp_path)

    return make


def test_texts_survive_the_way_through_files(dataset, tmp_path):
    """Leading zeros, commas, quotes, spaces, the word NA: targets, solution, submission and back."""
    task, data = dataset([*ODD, '0,"0', "00"])
    assert task.truth(data, ["r3", "r0"]).tolist() == [" x ", "007"]
    ids, solution = task.read_solution(tmp_path / "solution")
    assert ids == ["r8", "r9"]
    assert solution.tolist() == ['0,"0', "00"]
    texts = [text[:4] for text in ODD]
    p = Sequences.of_texts(np.array([f"r{k}" for k in range(len(texts))], object), "test", texts, data.labels)
    path = tmp_path / "submission.csv"
    task.submission(p, data, ["text"]).to_csv(path, index=False, lineterminator="\n")
    sample = pd.DataFrame({"row_id": p.row_id, "text": ""})
    read = check(path, sample, task.cell_specs(data, ["text"]), "submission.csv")
    assert task.read_submission(read, data).best.tolist() == texts


def test_the_alphabet_is_given_or_of_the_labels():
    """Sorted, so that it depends on no order; a given one keeps its own."""
    assert Task(target="text").encode(rows_of(["ba", "ca"]), "x").labels == ["a", "b", "c"]
    assert Task(target="text", alphabet="cbad").encode(rows_of(["ba", "ca"]), "x").labels == list("cbad")


def test_normal_form_and_case_are_one_way_of_writing():
    """A letter with its accent apart is one character; folded case is folded everywhere."""
    apart = unicodedata.normalize("NFD", "É1")
    assert len(apart) == 3
    encoded = Task(target="text", min_length=2, max_length=2, fold_case="lower").encode(rows_of([apart]), "x")
    assert encoded.labels == ["1", "é"]
    assert encoded.columns["y"].tolist() == [2.0]


def test_a_missing_label_is_unknown():
    """An empty cell is no text; the row is listed without a label elsewhere."""
    encoded = Task(target="text").encode(rows_of(["ab", None]), "x")
    assert encoded.columns["y"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        (
            ["AB", "A-B"],
            {"alphabet": "AB"},
            r"x\.yaml: task\.target: column 'text': 'A-B' holds '-', .*alphabet: row_id 'r1'",
        ),
        (["AB", "A\tB"], {}, r"holds '\\t', which is not printable: row_id 'r1'"),
        (["AB", "ABA"], {"min_length": 2, "max_length": 2}, r"'ABA' has 3 characters, .* ask for 2: row_id 'r1'"),
        (["AB", "A"], {"min_length": 2}, r"'A' has 1 characters, .* ask for 2 to any: row_id 'r1'"),
        (["AB"], {"target": "label"}, r"no column 'label'; choose one of: row_id, split, text"),
    ],
)
def test_a_label_that_breaks_the_rules_names_row_and_character(texts, settings, message):
    """In one line, before anything is trained."""
    with pytest.raises(PodiumError, match=message):
        Task(**{"target": "text"} | settings).encode(rows_of(texts), "x.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_length": 3, "max_length": 2}, "`max_length`: 2 is less"),
        ({"alphabet": "AA"}, "`alphabet`: it names 'A' twice"),
        ({"alphabet": "aB", "fold_case": "upper"}, "`alphabet`: 'a'"),
        ({"equal": ("0O", "OQ")}, "`equal`: it names 'O' twice"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    """By name."""
    with pytest.raises(ValueError, match=message):
        Task(target="text", **settings)


def test_the_gate_knows_alphabet_and_length(dataset, tmp_path):
    """A strange character, a text too long and an empty one, each with its line."""
    task, data = dataset(["0A", "AA", "00", "A0"], alphabet="0A", min_length=2, max_length=2)
    spec = task.cell_specs(data, ["text"])["text"]
    assert spec.fault("0A") is None
    assert spec.fault("0O") == "holds 'O'; the alphabet is 0A"
    assert spec.fault("0AA") == "has 3 characters, not 2"
    assert spec.fault("") == "has 0 characters, not 2"
    with pytest.raises(PodiumError, match="after the id there must be the text, not 2 columns"):
        task.cell_specs(data, ["a", "b"])


def test_rows_without_a_picture_get_the_likeliest_constant(dataset):
    """The commonest length, and at each place its commonest character."""
    task, data = dataset(["AB", "AC", "DC", "XYZ", "??", "??"])
    assert task.fallback(data, ["r4", "r5"]).best.tolist() == ["AC", "AC"]


def emissions_of(logp, models, *, has_blank=True):
    n = len(logp) // models
    return Emissions(logp.astype(np.float16), np.arange(n + 1) * models, has_blank)


def decoded(task, logp, models=1, **settings):
    n = len(logp) // models
    ids = np.array([f"r{k:02d}" for k in range(n)], object)
    emissions = emissions_of(logp, models, **settings)
    return task.decode(ids, np.full(n, "train", object), emissions, list("abc"), longest=5)


RNG = np.random.default_rng(0)
LOGP = log_softmax(2 * RNG.normal(size=(40, 5, 4))).astype(np.float16).astype(np.float64)


def test_one_model_says_the_string_of_the_greatest_probability():
    """Against the sum over all paths of each string; posteriors are those, among the candidates."""
    found = decoded(Task(target="text"), LOGP)
    for row, (best, names) in enumerate(zip(found.best, found.candidates(), strict=True)):
        expected = {"".join("abc"[c] for c in s): p for s, p in all_strings(LOGP[row]).items() if s}
        assert expected[best] == pytest.approx(max(expected.values()), rel=0.2)
        p = np.array([expected[name] for name in names])
        found_p = np.exp(found.logp[found.offset[row] : found.offset[row + 1]])
        np.testing.assert_allclose(found_p, p / p.sum(), rtol=0.02)


def test_several_models_agree_on_the_mean_of_their_log_likelihoods():
    """Of two CTC models of a row; their steps are never averaged."""
    found = decoded(Task(target="text"), LOGP, models=2)
    names = found.candidates()
    for row in range(20):
        one, two = all_strings(LOGP[2 * row]), all_strings(LOGP[2 * row + 1])
        joint = [
            np.log(one[codes]) / 2 + np.log(two[codes]) / 2
            for codes in (tuple("abc".index(c) for c in name) for name in names[row])
        ]
        assert joint == sorted(joint, reverse=True)


def test_places_are_averaged_as_probabilities():
    """Two models of two places; the mean at each place decides."""
    p = np.array([[[0.9, 0.05, 0.05], [0.6, 0.3, 0.1]], [[0.2, 0.7, 0.1], [0.1, 0.2, 0.7]]])
    found = decoded(Task(target="text", min_length=2, max_length=2), np.log(p), models=2, has_blank=False)
    average = p.mean(axis=0)
    expected = {
        f"{'abc'[i]}{'abc'[j]}": average[0, i] * average[1, j] for i, j in itertools.product(range(3), repeat=2)
    }
    assert found.best[0] == max(expected, key=expected.get)
    assert found.confidence[0] == pytest.approx(expected[found.best[0]], rel=0.01)


def readers(seed=1, n=200):
    """Return truths, and two readers of unlike skill whose mistakes differ: places over two characters."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (n, 2))
    truth = np.array(["".join("abc"[c] for c in row) for row in codes], object)
    members = []
    for skill in (2.5, 1.5):
        logp = log_softmax(skill * np.eye(3)[codes] + rng.normal(size=(n, 2, 3)))
        members.append(decoded(Task(target="text", min_length=2, max_length=2), logp, has_blank=False))
    return truth, members


@pytest.mark.parametrize("method", [hill_climb.Ensemble(rounds=20), mean.Ensemble()])
def test_an_ensembles_blend_is_what_its_search_scored(method):
    """Strings by the weighted log-likelihoods: the same score stacked and blended, and better than each reader."""
    truth, members = readers()
    task = Task(target="text", min_length=2, max_length=2)
    stack, table = task.stacked(members), task.stacked_truth(truth, members)
    loss = Scoring(task, (EXACT,), Submission()).objective()
    blend = method.fit(stack, table, loss=loss, seed=0)
    blended = task.blended(blend, members)
    score = task.score(EXACT, truth, blended)
    assert score == pytest.approx(-loss(table, blend.predict(stack)))
    assert score > max(task.score(EXACT, truth, member) for member in members)
    assert blended.emissions is None


def test_a_reader_of_another_kind_weighs_strings_that_it_did_not_name():
    """CTC and places side by side: of all strings that either names, each gives its own likelihood."""
    places = np.log(np.array([[[0.55, 0.44, 0.01], [0.9, 0.05, 0.05]]]))
    task = Task(target="text")
    ctc = decoded(task, log_softmax(np.array([[[0, 0, 6, 0], [6, 0, 0, 0], [0, 6, 0, 0.0]]])))
    other = decoded(task, places, has_blank=False)
    assert (ctc.best[0], other.best[0]) == ("ba", "aa")
    assert (
        task.blended(mean.Ensemble().fit(task.stacked([ctc, other]), None, loss=None, seed=0), [ctc, other]).best[0]
        == "ba"
    )


def test_imported_texts_join_readers(tmp_path, dataset):
    """A file of texts is a member that is sure of each; an unknown character is refused with its row."""
    task, data = dataset(["ab", "ba", "aa", "bb"])
    path = tmp_path / "theirs.csv"
    path.write_text("row_id,text\nr0,ab\nr1,aa\n")
    found, folds = task.read_import(path, data)
    assert folds is None
    assert found.best.tolist() == ["ab", "aa"]
    path.write_text("row_id,text\nr0,ab\nr1,a?\n")
    with pytest.raises(PodiumError, match=r"theirs\.csv: 'a\?' holds '\?', .*: row_id 'r1'"):
        task.read_import(path, data)


def test_the_value_of_what_was_read_is_a_column(dataset, tmp_path):
    """Of the likeliest string that has a value; 0 where none has. The gate wants a number there."""
    task, data = dataset(["1+2", "3*3", "2-1", "1*2"], value=True, max_length=3)
    ids = np.array(["r2", "r3"], object)
    p = Sequences.of_texts(ids, "test", ["3*3", "++1"], data.labels)
    two = Sequences(
        ids[:1], p.split[:1], np.array(["1+", "1+2"], object), np.log([0.6, 0.4]), np.array([0, 2]), p.labels
    )
    columns = ["text", "value"]
    assert task.submission(p, data, columns).to_numpy().tolist() == [["r2", "3*3", "9"], ["r3", "++1", "0"]]
    assert task.submission(two, data, columns).to_numpy().tolist() == [["r2", "1+", "3"]]
    specs = task.cell_specs(data, columns)
    assert specs["value"].fault("x") == "must be a number, such as 0.25 or 1e-05"
    assert specs["text"].fault("1+2") is None
    with pytest.raises(PodiumError, match="there must be the text and its value, not 1 columns"):
        task.cell_specs(data, ["text"])
    y = np.array(["1+2", "3*3"], object)
    written_otherwise = Sequences.of_texts(ids, "test", ["2+1", "33*"], data.labels)
    assert task.score(METRICS["value_match"], y, written_otherwise) == 0.5
