"""The value of what was read, against Python's own exact arithmetic; what is no expression has none."""

import random
from fractions import Fraction

import pytest

from podium.sources import arithmetic_pictures
from podium.tasks import arithmetic


def exact(expression):
    """Return Python's value of an expression of our own making, with fractions for numbers."""
    return eval("".join(f"Fraction({c})" if c.isdigit() else c for c in expression), {"Fraction": Fraction})


def test_values_are_exact():
    """Three hundred drawn expressions, and their signs turned into divisions where nothing is divided by 0."""
    for seed in range(300):
        drawn = arithmetic_pictures.expression(random.Random(seed))
        assert set(drawn) <= set(arithmetic_pictures.ALPHABET)
        assert arithmetic.value(drawn) == exact(drawn)
        divided = drawn.replace("*", "/")
        try:
            assert arithmetic.value(divided) == exact(divided)
        except ZeroDivisionError:
            assert arithmetic.value(divided) is None


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7", "7"),
        ("8/4*2", "4"),
        ("1-2-3", "-4"),
        ("-3*(2-4)", "6"),
        ("10/4", "2.5"),
        ("1/3", "0.333333333"),
        ("6\u00d72", "12"),
    ],
)
def test_values_as_a_submission_holds_them(expression, expected):
    """From left to right, products first; whole numbers whole."""
    assert arithmetic.text(arithmetic.value(expression)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "+",
        "1+",
        "(1+2",
        "1+2)",
        "1 2",
        "1//2",
        "2**3",
        "1/0",
        "1/(2-2)",
        "1e3",
        "x",
        "9" * 16,
        "(" * 60 + "1" + ")" * 60,
        "()",
    ],
)
def test_what_is_no_expression_has_no_value(expression):
    """Cut short, overlong, divided by 0, or in a language that Python would run."""
    assert arithmetic.value(expression) is None
