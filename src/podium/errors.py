"""The one exception that means the user, not the program, has something to mend."""

import re

# User and password before the host, and the values after `?`, where signed addresses carry a key.
_USER = re.compile(r"(?<=://)[^/\s'\"]*@")
_QUERY = re.compile(r"(?<=://)([^?\s'\"]*\?)[^\s'\"),;]*[^\s'\"),;:]")


class PodiumError(Exception):
    r"""A user's mistake, in one line: the file, the key or row, and the valid choices.

    The command line prints it without a traceback and exits with code 2. Credentials in a URL are left out,
    because messages end up in logs and bug reports; a line break within a name or a cell is shown as `\n`.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(without_credentials(message).replace("\r", "\\r").replace("\n", "\\n"))


def without_credentials(text: str) -> str:
    """Return the text with `...` for a URL's user and password and for its query."""
    return _QUERY.sub(r"\1...", _USER.sub("...@", text))


def preview(names: object, most: int = 5) -> str:
    """Return the first few of `names` as text, and how many more there are."""
    items = [repr(name) for name in names]  # type: ignore[attr-defined]  # any iterable
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
