import pandas as pd
import pytest

from podium.errors import PodiumError
from podium.storage import csv_table


def test_every_cell_is_text_and_an_empty_one_is_missing():
    """Leading zeros, 1e5 and the word NA stay as they are."""
    frame = csv_table.read(b"id,label\n007,NA\n1e5,\n", "t.csv")
    assert frame["id"].tolist() == ["007", "1e5"]
    assert frame["label"][0] == "NA"
    assert pd.isna(frame["label"][1])


@pytest.mark.parametrize(
    ("data", "separator", "columns"),
    [
        (b"\xef\xbb\xbfid,label\r\na,1\r\nb,2\r\n", "comma", ()),
        (b"id;label\na;1\nb;2\n", "semicolon", ()),
        (b"id\tlabel\na\t1\nb\t2", "tab", ()),
        (b"a   1\nb 2\n", "whitespace", ("id", "label")),
        (b'"id", label\n"a",1\nb,2\n', "comma", ()),
    ],
)
def test_dialects(data, separator, columns):
    """Byte-order mark, CRLF, semicolons, tabs, blanks, quotes and a blank before a name give one table."""
    frame = csv_table.read(data, "t.csv", separator, columns)
    assert frame.to_dict("list") == {"id": ["a", "b"], "label": ["1", "2"]}


def test_a_quoted_line_break_stays_in_its_cell():
    """Descriptions have several lines at times."""
    assert csv_table.read(b'id,text\na,"one\ntwo"\n', "t.csv")["text"].tolist() == ["one\ntwo"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("id,label\né,1\n".encode("latin-1"), "not UTF-8"),
        (b"", "not a readable table"),
        (b"id,label\na,1\nb,2,3\n", "not a readable table"),
        (b"id,label\na,1,2\n", "not a readable table"),
    ],
)
def test_a_broken_table_names_its_file(data, reason):
    """Wrong encoding, no content, and a line of too many cells."""
    with pytest.raises(PodiumError, match=rf"^some\.csv: {reason}"):
        csv_table.read(data, "some.csv")


def test_a_missing_column_lists_those_that_there_are():
    """The message names the key that asked."""
    with pytest.raises(PodiumError, match=r"^t\.csv: layout\.id: there is no column 'Id'; it has: id, label$"):
        csv_table.require(csv_table.read(b"id,label\n", "t.csv"), ["Id"], "t.csv: layout.id")


@pytest.mark.parametrize(("character", "name"), [(";", "semicolon"), ("\t", "tab"), (" ", "whitespace")])
def test_a_header_in_one_cell_has_a_hint(character, name):
    """The separator is the usual reason for a missing column."""
    frame = csv_table.read(f"id{character}label\n".encode(), "t.csv")
    with pytest.raises(PodiumError, match=f"is the separator {name}\\?$"):
        csv_table.require(frame, ["id"], "t.csv")


def test_a_written_table_reads_back_and_ends_its_lines_alike(tmp_path):
    """Line feeds everywhere, and decimals that lose nothing."""
    frame = pd.DataFrame({"id": ["007"], "p": [0.1 + 0.2]})
    csv_table.write(frame, tmp_path / "t.csv")
    data = (tmp_path / "t.csv").read_bytes()
    assert data.count(b"\r") == 0
    assert float(csv_table.read(data, "t.csv")["p"][0]) == 0.1 + 0.2
