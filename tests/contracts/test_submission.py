"""The gate before the upload."""

import pandas as pd
import pytest

from podium.contracts.submission import check, read_sample
from podium.contracts.table import Column
from podium.errors import PodiumError

SAMPLE = "id,defective\na,0.5\nb,0.5\n007,0.5\n"
GOOD = "id,defective\na,0.1\nb,0.25\n007,1\n"
NUMBERS = {"defective": Column("defective", "float", low=0.0, high=1.0)}


@pytest.fixture
def checked(tmp_path):
    (tmp_path / "sample.csv").write_text(SAMPLE)

    def run(text):
        (tmp_path / "mine.csv").write_text(text)
        sample = read_sample(tmp_path / "sample.csv")
        return check(tmp_path / "mine.csv", sample, NUMBERS, "submissions/toy.csv")

    return run


def test_a_good_file_passes_as_text(checked):
    """Ids keep their zeros."""
    assert checked(GOOD)["id"].tolist() == ["a", "b", "007"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("defective", "p"), "its columns are id, p, not id, defective"),
        (GOOD.replace("id,defective", "id,defective,more").replace("1\n", "1,2\n"), "its columns are|not a readable"),
        ("defective,id\n0.1,a\n0.2,b\n0.3,007\n", "its columns are defective, id"),
        (
            "id,defective\nb,0.25\na,0.1\n007,1\n",
            "line 2: 'b,0.25': the sample submission has 'a' here; keep its order",
        ),
        (GOOD.replace("007", "7"), "line 4: '7,1': this id is not in the sample submission"),
        (GOOD.replace("b,", "a,"), "line 3: 'a,0.25': this id has a line already"),
        (GOOD + "a,0.1\n", "line 5: 'a,0.1': this id has a line already"),
        (GOOD.replace("b,", ","), "line 3: ',0.25': no id"),
        (GOOD.replace("b,0.25\n", ""), "no line for id 'b'"),
        (GOOD.replace("0.25", ""), "line 3: 'b,': defective must be a number"),
        (GOOD.replace("0.25", "nan"), "line 3: 'b,nan': defective must be a number"),
        (GOOD.replace("0.25", "yes"), "line 3: 'b,yes': defective must be a number"),
        (GOOD.replace("0.25", "True"), "line 3: 'b,True': defective must be a number"),
        (GOOD.replace("0.25", "inf"), "line 3: 'b,inf': defective must be finite"),
        (GOOD.replace("0.25", "-inf"), "line 3: 'b,-inf': defective must be finite"),
        (GOOD.replace("0.25", "1.01"), r"line 3: 'b,1.01': defective must be in \[0, 1\]"),
        (GOOD.replace("0.25", "-0.01"), r"line 3: 'b,-0.01': defective must be in \[0, 1\]"),
        (GOOD.replace("0.1", "2").replace("0.25", "3"), r"line 2: 'a,2': defective must be in \[0, 1\] \(and 1 more\)"),
        ("", "not a readable table"),
    ],
)
def test_each_refusal_shows_the_line(checked, text, message):
    """One line: file, line number, the line itself and the rule that it breaks."""
    with pytest.raises(PodiumError, match=message) as refusal:
        checked(text)
    assert str(refusal.value).startswith("submissions/toy.csv")
    assert "\n" not in str(refusal.value)


def test_columns_of_text_may_hold_anything(tmp_path):
    """Labels are not numbers, and a row of several labels may have none."""
    (tmp_path / "mine.csv").write_text("id,labels\na,cat dog\nb,\n")
    sample = pd.DataFrame({"id": ["a", "b"], "labels": ["", ""]})
    assert len(check(tmp_path / "mine.csv", sample, {}, "mine.csv")) == 2


def test_a_sample_with_an_id_twice_is_refused(tmp_path):
    """Nothing could be joined to it."""
    (tmp_path / "sample.csv").write_text(SAMPLE + "a,0.5\n")
    with pytest.raises(PodiumError, match=r"line 5: 'a,0.5': each id must be there, and once"):
        read_sample(tmp_path / "sample.csv")
