import pytest

from podium.errors import PodiumError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("source.url: https://me:pw@host/a.zip: broke", "source.url: https://...@host/a.zip: broke"),
        ("not 'http://host/a.zip?token=abc&x=1'", "not 'http://host/a.zip?...'"),
        ("no port in https://me:p@ss@host:8/x?key=b (why?)", "no port in https://...@host:8/x?... (why?)"),
        ("proxy http://me:pw@proxy, then ftp://you:pw@host/y", "proxy http://...@proxy, then ftp://...@host/y"),
        ("mail me@host/y; is it so? yes", "mail me@host/y; is it so? yes"),
    ],
)
def test_a_message_holds_no_credentials(text, shown):
    """User, password and query of every URL are left out, wherever in the text it is."""
    assert str(PodiumError(text)) == shown


def test_a_message_is_one_line():
    """A column's name may hold a line break, which a CSV allows in quotes."""
    assert str(PodiumError("a.csv: no column 'a\r\nb'")) == r"a.csv: no column 'a\r\nb'"
