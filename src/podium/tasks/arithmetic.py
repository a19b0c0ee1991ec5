"""The value of an expression that was read from a picture, by a parser: nothing that was read is ever run."""

import re
from fractions import Fraction

_MOST_DIGITS = 15  # of a number; more are no sum that anybody draws
_MOST_CHARACTERS = 100  # which also bounds how deep brackets lie
_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])")
_SIGNS = str.maketrans("\u00d7\u00f7\u2212", "*/-")  # as printed


def value(expression: str) -> Fraction | None:
    """Return the exact value of numbers, + - * / and brackets; None where it is no expression, or divides by 0."""
    try:
        tokens = _tokens(expression.translate(_SIGNS))
        found = _sum(tokens)
    except (ValueError, ZeroDivisionError):
        return None
    return None if tokens else found


def text(number: Fraction) -> str:
    """Return a value as a submission holds it: a whole number as it is, another with nine digits."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.9g}"


def _tokens(expression: str) -> list[str]:
    """Return the tokens, the first one last; raises ValueError for what is none."""
    if len(expression) > _MOST_CHARACTERS:
        raise ValueError(expression)
    tokens, at = [], 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if match is None or len(match[1]) > _MOST_DIGITS:
            raise ValueError(expression)
        tokens.append(match[1])
        at = match.end()
    return tokens[::-1]


def _sum(tokens: list[str]) -> Fraction:
    total = _product(tokens)
    while tokens and tokens[-1] in "+-":
        sign = 1 if tokens.pop() == "+" else -1
        total += sign * _product(tokens)
    return total


def _product(tokens: list[str]) -> Fraction:
    total = _factor(tokens)
    while tokens and tokens[-1] in "*/":
        total = total * _factor(tokens) if tokens.pop() == "*" else total / _factor(tokens)
    return total


def _factor(tokens: list[str]) -> Fraction:
    if not tokens:
        raise ValueError("it ends too soon")
    first = tokens.pop()
    if first == "-":
        return -_factor(tokens)
    if first == "(":
        inner = _sum(tokens)
        if not tokens or tokens.pop() != ")":
            raise ValueError("a bracket stays open")
        return inner
    return Fraction(int(first))  # ValueError for another sign
