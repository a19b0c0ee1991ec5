"""Mutated CSVs: a sample, a submission or a table to import is read, or refused in one line that names the file."""

import random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from podium.contracts import imports, submission
from podium.contracts.submission import CellSpec
from podium.errors import PodiumError

pytestmark = pytest.mark.slow

MANY = settings(
    deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
TEXTS = [b"id,p\n1,0.5\n2,0.25\n3,1e-5\n", b"id,p,q\na,0.5,0.5\nb,0.2,0.8\n", b"id,p\n", b"", b"id\n1\n"]
TEXTS += [b"id,label\n1,cat dog\n2,\n", b'id,"a, b"\n"1\n2",x\n']
SNIPPETS = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b" ",
    b"\t",
    b";",
    b"nan",
]
SNIPPETS += [b"inf", b"1e400", b"1e-400", b"9" * 400, b"1_0", b"0x1", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"a" * 140_000]
SNIPPETS += [
    b",,,",
    b'"\n',
    b"id",
    b"p",
    b"\x1a",
    b"'",
    b"\\",
    b"#",
    b"=1+1",
    b"\xc2\xa0",
    b"\n\n",
    b"id,id",
    b'"a\nb"',
]
SPECS = [
    CellSpec(low=0, high=1),
    CellSpec(labels=("cat", "dog")),
    CellSpec(labels=("cat", "dog"), separator=" ", least=1, most=2),
    CellSpec(whole=True),
]


def mutated(text, rng):
    """Return the bytes with one to three places changed."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randint(0, len(text))
        change = rng.choice(["insert", "insert", "insert", "remove", "cut", "shuffle", "byte"])
        if change == "insert":
            text = text[:at] + rng.choice(SNIPPETS) + text[at:]
        elif change == "remove":
            text = text[:at] + text[at + rng.randint(1, 4) :]
        elif change == "cut":
            text = text[:at]
        elif change == "shuffle":
            lines = text.split(b"\n")
            rng.shuffle(lines)
            text = b"\n".join(lines)
        else:
            text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]
    return text


def read(path, action):
    """Return what `action` reads, or None where it is refused in one line that opens with the file."""
    try:
        return action()
    except PodiumError as error:
        refusal = str(error)
    assert refusal.startswith(str(path))
    assert "\n" not in refusal
    return None


@settings(MANY, max_examples=1000)
@given(seed=st.integers(0, 2**32))
def test_mutated_csvs(tmp_path_factory, seed):
    """What the gate lets through has the sample's ids, in their order."""
    rng, folder = random.Random(seed), tmp_path_factory.getbasetemp()
    mine, given_sample = folder / "mine.csv", folder / "sample.csv"
    text = rng.choice(TEXTS)
    mine.write_bytes(mutated(text, rng))
    given_sample.write_bytes(rng.choice([text, mutated(text, rng)]))
    sample = read(given_sample, lambda: submission.read_sample(given_sample))
    if sample is not None:
        specs = dict.fromkeys(sample.columns[1:], rng.choice(SPECS))
        checked = read(mine, lambda: submission.check(mine, sample, specs, str(mine)))
        assert checked is None or list(checked.iloc[:, 0]) == list(sample.iloc[:, 0])
    read(mine, lambda: imports.read(mine, "id"))
