"""The one exception that means the user, not the program, has something to mend."""


class PodiumError(Exception):
    """A user's mistake, in one line: the file, the key or row, and the valid choices.

    The command line prints it without a traceback and exits with code 2.
    """


def preview(names: object, most: int = 5) -> str:
    """Return the first few of `names` as text, and how many more there are."""
    items = [repr(name) for name in names]  # type: ignore[attr-defined]  # any iterable
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
