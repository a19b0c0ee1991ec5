"""Tables for a terminal."""

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]], rule_before: int | None = None) -> str:
    """Return lines of cells as text: the first column to the left, the others to the right, two spaces between.

    `rule_before` draws a rule of dashes above that line.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = list(lines)
    if rule_before is not None:
        rows.insert(rule_before, ["-" * width for width in widths])
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )
