"""The gate before the upload: every valid file passes, and each of many broken ones is refused at the line at fault."""

import re

import numpy as np
import pandas as pd
import pytest

from podium.contracts import submission
from podium.contracts.submission import CellSpec, check, read_sample
from podium.errors import PodiumError

N = 12  # lines of a submission; the header is line 1
LABELS = ("cat", "dog", "new_whale")
PROBABILITY, LABEL = CellSpec(low=0, high=1), CellSpec(labels=LABELS)

# Form -> (columns after the id, what they may hold, how a valid cell is drawn)
FORMS = {
    "probability": (["p"], PROBABILITY, lambda rng: f"{rng.random():.6f}"),
    "a column per class": (list(LABELS), PROBABILITY, lambda rng: f"{rng.random():.3e}"),
    "label": (["label"], LABEL, lambda rng: rng.choice(LABELS)),
    "map@2": (
        ["Id"],
        CellSpec(labels=LABELS, separator=" ", least=1, most=2),
        lambda rng: " ".join(rng.permutation(LABELS)[: rng.integers(1, 3)]),
    ),
    "several labels": (
        ["labels"],
        CellSpec(labels=LABELS, separator=" "),
        lambda rng: " ".join(rng.permutation(LABELS)[: rng.integers(0, 4)]),
    ),
    "value": (["value"], CellSpec(), lambda rng: f"{rng.normal(0, 100):.3f}"),
    "grade": (["grade"], CellSpec(low=0, high=4, whole=True), lambda rng: str(rng.integers(0, 5))),
}
NUMBERS = ("probability", "a column per class", "value", "grade")
NAMES = ("label", "map@2", "several labels")


def table(form, rng):
    """Return the header and lines of a valid submission, as lists of cells; ids have zeros, dots and blanks."""
    columns, _, draw = FORMS[form]
    ids = [f"{n:03d}" for n in range(N - 3)] + ["a.b", "c d", "1e5"]
    return [["id", *columns], *([name, *(draw(rng) for _ in columns)] for name in rng.permutation(ids))]


def text(lines):
    return "".join(",".join(cells) + "\n" for cells in lines)


@pytest.fixture
def passes(tmp_path):
    """Return what checks `content` (text or bytes) against the sample that `lines` are valid for."""

    def run(form, lines, content):
        columns, answer, _ = FORMS[form]
        (tmp_path / "mine.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        sample = pd.DataFrame({"id": [cells[0] for cells in lines[1:]], **dict.fromkeys(columns, "0")}, dtype="str")
        return check(tmp_path / "mine.csv", sample, dict.fromkeys(columns, answer), "submissions/toy.csv")

    return run


def cell_becomes(*cells):
    """Return a fault that puts one of `cells` into a random place."""

    def fault(lines, at, rng):
        lines[at][rng.integers(1, len(lines[at]))] = str(rng.choice(cells))
        return text(lines), at + 1

    return fault


def line_becomes(change):
    """Return a fault that turns the text of a line into another (or several)."""

    def fault(lines, at, rng):
        parts = text(lines).splitlines(keepends=True)
        parts[at] = change(parts[at])
        return "".join(parts), at + 1

    return fault


def doubled(lines, at, rng):
    """Repeat a line, with its id, before its end."""
    place = rng.integers(at + 1, N + 2)
    return text([*lines[:place], lines[at], *lines[place:]]), place + 1


def doubled_id(lines, at, rng):
    """Give a line the id of the first or second."""
    other = 1 if at > 1 else 2
    lines[at][0] = lines[other][0]
    return text(lines), max(at, other) + 1


def swapped(lines, at, rng):
    """Exchange two lines."""
    other = at + 1 if at < N else at - 1
    lines[at], lines[other] = lines[other], lines[at]
    return text(lines), min(at, other) + 1


def lost(lines, at, rng):
    """Leave a line out; what the message shows is the last line."""
    del lines[at]
    return text(lines), N


def cut_short(lines, at, rng):
    """Cut the file in the middle of a line."""
    parts = text(lines).splitlines(keepends=True)
    return "".join(parts[:at]) + parts[at][: rng.integers(1, len(parts[at]))], at + 1


def inserted(line):
    """Return a fault that puts a line of text before one."""

    def fault(lines, at, rng):
        parts = text(lines).splitlines(keepends=True)
        return "".join([*parts[:at], line, *parts[at:]]), at + 1

    return fault


def header(change):
    """Return a fault of the first line."""

    def fault(lines, at, rng):
        first, _, rest = text(lines).partition("\n")
        return change(first) + "\n" + rest, 1

    return fault


def byte(value):
    """Return a fault that puts a byte at the beginning of a line."""

    def fault(lines, at, rng):
        parts = [part.encode() for part in text(lines).splitlines(keepends=True)]
        parts[at] = value + parts[at]
        return b"".join(parts), at + 1

    return fault


# Each returns the broken file and the number of the line that the refusal must show.
FAULTS = {
    "a stranger's id": line_becomes(lambda line: "x" + line),
    "an id with a blank": line_becomes(lambda line: " " + line),
    "an id in capitals or zeros": line_becomes(lambda line: "0" + line),
    "no id": line_becomes(lambda line: "," + line.partition(",")[2]),
    "a line twice": doubled,
    "an id twice": doubled_id,
    "two lines exchanged": swapped,
    "a line less": lost,
    "a line more": inserted("999,0\n"),
    "a blank line": inserted("\n"),
    "a line of blanks": inserted("   \n"),
    "a comment": inserted("# made by hand\n"),
    "the header twice": lambda lines, at, rng: inserted(",".join(lines[0]) + "\n")(lines, at, rng),
    "a cell more": line_becomes(lambda line: line[:-1] + ",0.5\n"),
    "a trailing comma": line_becomes(lambda line: line[:-1] + ",\n"),
    "a cell less": line_becomes(lambda line: line.partition(",")[0] + "\n"),
    "an open quote": line_becomes(lambda line: '"' + line),
    "a quote and more": line_becomes(lambda line: '"' + line.replace(",", '"x,', 1)),
    "cut short": cut_short,
    "not UTF-8": byte(b"\xe9"),
    "a zero byte": byte(b"\0"),
    "a carriage return": byte(b"\r"),
    "another header": header(lambda line: line + "x"),
    "columns exchanged": header(lambda line: ",".join(reversed(line.split(",")))),
    "an index column": header(lambda line: "," + line),
    "a header in capitals": header(str.upper),
    "a header with blanks": header(lambda line: line.replace(",", ", ")),
    "no header": lambda lines, at, rng: (text(lines[1:]), 1),
    "a byte-order mark": lambda lines, at, rng: (b"\xef\xbb\xbf" + text(lines).encode(), 1),
    "UTF-16": lambda lines, at, rng: (text(lines).encode("utf-16"), 1),
    "semicolons": lambda lines, at, rng: (text(lines).replace(",", ";"), 1),
    "tabs": lambda lines, at, rng: (text(lines).replace(",", "\t"), 1),
    "empty": lambda lines, at, rng: ("", 1),
    "a web page": lambda lines, at, rng: ("<html>\n</html>\n", 1),
}
FAULTS_OF_NUMBERS = {
    "not a number": cell_becomes("", "nan", "NaN", "NA", "None", "null", "yes", "True", "?", "-", ".", "e5", "1e"),
    "odd decimals": cell_becomes(
        "0 .5", " 0", "0 ", "0.5.", "1_0", "0x1", "1/2", "50%", "--1", "½", "٣", "1e1.5", "1d0"
    ),
    "infinite": cell_becomes("inf", "-inf", "Infinity", "1e400", "-1e999"),
    "a label": cell_becomes("cat", "dog"),
}
FAULTS_OF_RANGE = {
    "too low": cell_becomes("-1", "-0.001", "-1e-9", "-4"),
    "too high": cell_becomes("4.001", "5", "1e9"),
}
FAULTS_OF_NAMES = {
    "no such label": cell_becomes("Cat", "cow", "cat,", "cat;dog", "0", "cat  dog", " cat", "dog ", "catdog", "nan"),
}
BROKEN = [
    *((form, fault, FAULTS[fault]) for form in FORMS for fault in FAULTS),
    *((form, fault, FAULTS_OF_NUMBERS[fault]) for form in NUMBERS for fault in FAULTS_OF_NUMBERS),
    *((form, fault, FAULTS_OF_RANGE[fault]) for form in NUMBERS if form != "value" for fault in FAULTS_OF_RANGE),
    *((form, fault, FAULTS_OF_NAMES[fault]) for form in NAMES for fault in FAULTS_OF_NAMES),
    ("grade", "no whole number", cell_becomes("0.5", "1.25", "3.0001", "1e-3")),
    ("label", "two labels", cell_becomes("cat dog", "dog cat")),
    ("label", "no label", cell_becomes("")),
    ("map@2", "no label", cell_becomes("")),
    ("map@2", "too many", cell_becomes("cat dog new_whale", "dog new_whale cat")),
    ("map@2", "a label twice", cell_becomes("cat cat", "dog dog")),
    ("several labels", "a label twice", cell_becomes("cat cat", "dog cat dog")),
]
TIMES = 4  # more than a thousand files in all


@pytest.mark.parametrize(("form", "name", "fault"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_broken_file_is_refused_at_its_line(passes, form, name, fault):
    """None is accepted; the message names the file and the first line at fault, and is one line itself."""
    for seed in range(TIMES):
        rng = np.random.default_rng([seed, BROKEN.index((form, name, fault))])
        lines = table(form, rng)
        content, number = fault([list(cells) for cells in lines], int(rng.integers(1, N + 1)), rng)
        with pytest.raises(PodiumError) as refusal:
            passes(form, lines, content)
        message = str(refusal.value)
        assert "\n" not in message
        assert re.match(rf"submissions/toy\.csv: line {number}\b", message), (message, number, content)


DIALECTS = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "quoted": lambda text: "".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in text.splitlines()
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("form", FORMS)
def test_every_valid_file_is_accepted(passes, form, dialect):
    """Twenty of each; the cells come back as text."""
    for seed in range(20):
        lines = table(form, np.random.default_rng(seed))
        found = passes(form, lines, DIALECTS[dialect](text(lines)))
        assert found.to_numpy().tolist() == lines[1:]


@pytest.mark.parametrize(
    "cell", ["0", "1", "0.0", "1.000", ".5", "1e-300", "5E-1", "+0.5", "0.1000000000000000055", "-0"]
)
def test_decimals_of_any_program_are_accepted(passes, cell):
    """Bounds belong to the range."""
    lines = table("probability", np.random.default_rng(0))
    lines[3][1] = cell
    passes("probability", lines, text(lines))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b,0.25", "b,1.01", "line 3: 'b,1.01': p must be in [0, 1]"),
        ("b,0.25", "b,", "line 3: 'b,': p must be a number, such as 0.25 or 1e-05"),
        ("b,0.25\n", "", "line 3 is the last, and there is no line for id 'b'"),
        ("b,0.25", "x,0.25", "line 3: 'x,0.25': this id is not in the sample submission"),
        ("b,0.25", "a,0.25", "line 3: 'a,0.25': this id has a line already"),
        ("id,p", "Id,p", "line 1: 'Id,p': the header must be id,p"),
        ("b,0.25", "b,0.25,9", "line 3: 'b,0.25,9': 3 cells, where the header has 2"),
        ("a,0.1\nb,0.25\n", "b,0.25\na,0.1\n", "line 2: 'b,0.25': the sample submission has 'a' here; keep its order"),
        ("007,1\n", "007,1", "line 4: '007,1': does not end; the file is empty or cut short"),
        (
            "b,0.25\n",
            "b," + "0" * 100 + "x\n",
            "line 3: 'b," + "0" * 78 + "...': p must be a number, such as 0.25 or 1e-05",
        ),
    ],
)
def test_messages(tmp_path, old, new, message):
    """The line as it is, and the rule that it breaks."""
    (tmp_path / "mine.csv").write_text("id,p\na,0.1\nb,0.25\n007,1\n".replace(old, new))
    sample = pd.DataFrame({"id": ["a", "b", "007"], "p": "0"}, dtype="str")
    with pytest.raises(PodiumError) as refusal:
        check(tmp_path / "mine.csv", sample, {"p": PROBABILITY}, "x.csv")
    assert str(refusal.value) == f"x.csv: {message}"


def test_a_file_of_absurd_size_is_not_even_read(tmp_path, monkeypatch):
    """Features saved under the wrong name, for instance."""
    monkeypatch.setattr(submission, "MOST_BYTES", 10)
    (tmp_path / "mine.csv").write_text("id,p\na,0.1\n")
    with pytest.raises(PodiumError, match="11 bytes; a submission has at most 10"):
        check(tmp_path / "mine.csv", pd.DataFrame({"id": ["a"], "p": ["0"]}), {"p": PROBABILITY}, "x.csv")


def test_a_missing_file_is_told(tmp_path):
    """One line that names it."""
    with pytest.raises(PodiumError, match=r"x\.csv: there is no such file"):
        check(tmp_path / "mine.csv", pd.DataFrame({"id": ["a"], "p": ["0"]}), {"p": PROBABILITY}, "x.csv")


def test_a_sample_with_an_id_twice_is_refused(tmp_path):
    """Nothing could be joined to it."""
    (tmp_path / "sample.csv").write_text("id,p\na,0.5\nb,0.5\na,0.5\n")
    with pytest.raises(PodiumError, match=r"line 4: 'a,0.5': each id must be there, and once"):
        read_sample(tmp_path / "sample.csv")


def test_the_samples_ids_are_text(tmp_path):
    """Zeros and exponents stay."""
    (tmp_path / "sample.csv").write_text("id,p\n007,0.5\n1e5,0.5\n")
    assert read_sample(tmp_path / "sample.csv")["id"].tolist() == ["007", "1e5"]


NAMED = ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (CellSpec(low=0, high=1), ["0", "1", "0.5", "1.", ".5", "+1e-3", "-0"], ["-1e-9", "1.0001", "2", "", "nan"]),
        (CellSpec(low=1, whole=True), ["1", "2.0", "3e2", "1e20"], ["0", "1.5", "0.999", "-1"]),
        (CellSpec(), ["-1e300", "1e300"], ["1e999", "-1e999", "inf", "1_0", "1,0", "0x1", " 1"]),
        (CellSpec(labels=NAMED), ["cat", "owl"], ["", "cow", "cat dog", "Cat"]),
        (
            CellSpec(labels=NAMED, separator=" "),
            ["", "cat", "owl dog cat"],
            ["cow", "cat cat", "cat  dog", "cat,dog"],
        ),
        (CellSpec(labels=NAMED, separator=" ", least=1, most=2), ["cat", "owl dog"], ["", "cat dog owl"]),
        (CellSpec(labels=NAMED, separator="|", least=2, most=2), ["cat|owl"], ["cat", "cat|dog|owl", "cat owl"]),
        (CellSpec(alphabet="AB0", least=1, most=3), ["A", "AB0", "00"], ["", "ABBA", "a", "A A", "C"]),
        (CellSpec(alphabet="AB", least=2, most=2), ["AB", "AA"], ["A", "ABA"]),
        (CellSpec(alphabet="AB", least=2), ["AB", "A" * 99], ["A"]),
    ],
)
def test_what_a_cell_may_hold(spec, good, bad):
    """Both ends of a range belong to it; of labels and characters as many as are asked for."""
    assert [cell for cell in good if spec.fault(cell)] == []
    assert [cell for cell in bad if not spec.fault(cell)] == []


@pytest.mark.parametrize(
    ("spec", "cell", "fault"),
    [
        (CellSpec(low=0, high=1), "x", "must be a number, such as 0.25 or 1e-05"),
        (CellSpec(low=0, high=1), "1e999", "must be finite"),
        (CellSpec(low=0.25, high=1), "0.2", "must be in [0.25, 1]"),
        (CellSpec(whole=True), "0.5", "must be a whole number"),
        (CellSpec(labels=NAMED), "cow", "must be one of 'cat', 'dog', 'owl'"),
        (CellSpec(labels=NAMED, separator=" "), "cat cow", "'cow' is no label; choose from 'cat', 'dog', 'owl'"),
        (CellSpec(labels=NAMED, separator=" "), "cat cat", "must name a label once only"),
        (CellSpec(labels=NAMED, separator=" ", least=2), "cat", "must name at least 2 of 'cat', 'dog', 'owl'"),
        (CellSpec(labels=NAMED, separator=" ", most=1), "cat owl", "must name at most 1 labels"),
        (CellSpec(alphabet="AB", least=1, most=3), "AxB", "holds 'x'; the alphabet is AB"),
        (CellSpec(alphabet="AB", least=1, most=3), "ABBA", "has 4 characters, not 1 to 3"),
        (CellSpec(alphabet="AB", least=2, most=2), "ABA", "has 3 characters, not 2"),
    ],
)
def test_what_is_said_of_a_cell(spec, cell, fault):
    """The reason, and what would do."""
    assert spec.fault(cell) == fault


def test_where_a_file_goes_wrong(tmp_path):
    """The number of the line, counted as an editor does, and no more of it than 80 characters."""
    sample = pd.DataFrame({"id": ["a", "b", "c"], "p": "0.5"})
    specs, path = {"p": CellSpec(low=0, high=1)}, tmp_path / "s.csv"
    for content, message in (
        ("id,p\na,0.5\nb,7\nc,0.5\n", "s: line 3: 'b,7': p must be in [0, 1]"),
        ("id,q\na,0.5\n", "s: line 1: 'id,q': the header must be id,p"),
        ("id,p\na,0.5\n\nc,0.5\n", "s: line 3: it is empty"),
        ("id,p\na,0.5,1\nb,1\nc,1\n", "s: line 2: 'a,0.5,1': 3 cells, where the header has 2"),
        ("id,p\na,1\nc,1\nb,1\n", "s: line 3: 'c,1': the sample submission has 'b' here; keep its order"),
        ("id,p\na,1\nb,1\nb,1\n", "s: line 4: 'b,1': this id has a line already"),
        ("id,p\na,1\nz,1\nc,1\n", "s: line 3: 'z,1': this id is not in the sample submission"),
        ("id,p\na,1\n", "s: line 2 is the last, and there is no line for id 'b', 'c'"),
        ("id,p\n", "s: line 1 is the last, and there is no line for id 'a', 'b', 'c'"),
        ("id,p\na,1\nb,\x01\n", "s: line 3: it holds the control character '\\x01'"),
        ("id,p\na,1\nb,1\nc,1", "s: line 4: 'c,1': does not end; the file is empty or cut short"),
        (f"id,p\na,{'9' * 79}\nb,1\nc,1\n", f"s: line 2: 'a,{'9' * 78}...': p must be in [0, 1]"),
        (f"id,p\na,{'9' * 78}\nb,1\nc,1\n", f"s: line 2: 'a,{'9' * 78}': p must be in [0, 1]"),
    ):
        path.write_text(content)
        with pytest.raises(PodiumError) as error:
            check(path, sample, specs, "s")
        assert str(error.value).startswith(message)
    path.write_bytes(b"id,p\na,1\nb,\xff\nc,1\n")
    with pytest.raises(PodiumError, match=r"^s: line 3: not UTF-8 text \(byte 0xff\)$"):
        check(path, sample, specs, "s")
