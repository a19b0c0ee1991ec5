"""Decoding against the sum over all paths, which a few steps of a few symbols allow."""

import itertools
from collections import defaultdict

import numpy as np
import pytest

from podium.tasks import decoding


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def all_strings(logp):
    """Return string -> probability of one row `(steps, symbols)`, path by path."""
    total = {}
    for path in itertools.product(range(logp.shape[1]), repeat=len(logp)):
        merged = [symbol for symbol, _ in itertools.groupby(path)]
        string = tuple(symbol - 1 for symbol in merged if symbol)
        total[string] = total.get(string, 0) + np.exp(sum(logp[step, symbol] for step, symbol in enumerate(path)))
    return total


@pytest.fixture(scope="module")
def rows():
    """Thirty rows of five steps over a blank and three characters."""
    return log_softmax(1.5 * np.random.default_rng(0).normal(size=(30, 5, 4)))


def test_a_likelihood_is_the_sum_over_paths(rows):
    """Of every string that five steps can give, the empty one and those with equal neighbours too."""
    for row in rows[:10]:
        expected = all_strings(row)
        strings = list(expected)
        assert sum(expected.values()) == pytest.approx(1)
        found = decoding.log_likelihood(np.repeat(row[None], len(strings), axis=0), strings)
        np.testing.assert_allclose(np.exp(found), [expected[string] for string in strings], rtol=1e-9)


@pytest.mark.parametrize(("least", "most"), [(0, None), (2, 3)])
def test_a_wide_beam_finds_all_strings_in_their_order(rows, least, most):
    """Nothing is lost where the beam has room for everything."""
    for row, found in zip(rows, decoding.beam_search(rows, beam=200, least=least, most=most), strict=True):
        expected = {s: p for s, p in all_strings(row).items() if least <= len(s) <= (most or 5)}
        assert set(found) == set(expected)
        p = [expected[string] for string in found]
        np.testing.assert_allclose(p, sorted(p, reverse=True), rtol=1e-5)


def textbook(logp, beam):
    """Prefix beam search as it is usually written: a dictionary of prefixes, one row, one step at a time."""
    beams = {(): (1.0, 0.0)}
    for step in np.exp(logp):
        grown = defaultdict(lambda: [0.0, 0.0])
        for prefix, (blank, other) in beams.items():
            grown[prefix][0] += step[0] * (blank + other)
            if prefix:
                grown[prefix][1] += step[prefix[-1] + 1] * other
            for char, p in enumerate(step[1:]):
                grown[(*prefix, char)][1] += p * (blank if prefix[-1:] == (char,) else blank + other)
        beams = dict(sorted(grown.items(), key=lambda item: -sum(item[1]))[:beam])
    return list(beams)


@pytest.mark.parametrize("beam", [1, 2, 4, 7])
def test_a_narrow_beam_loses_what_the_textbook_loses(rows, beam):
    """The same prefixes in the same order, where there is no room for all."""
    found = decoding.beam_search(rows, beam=beam)
    assert found == [textbook(row, beam) for row in rows]


def test_many_paths_beat_the_likeliest():
    """Two steps of blank .6, a .4: the likeliest path says nothing (.36), `a` is .64."""
    logp = np.log(np.array([[[0.6, 0.4], [0.6, 0.4]]]))
    assert decoding.greedy(logp) == [[]]
    assert decoding.beam_search(logp, beam=3)[0] == [(0,), ()]


def test_greedy_merges_repeats_and_drops_blanks():
    """1 1 0 1 2 2 is 1 1 2."""
    logp = np.log(np.eye(3)[[[1, 1, 0, 1, 2, 2]]] + 1e-6)
    assert decoding.greedy(logp) == [[0, 0, 1]]


def test_rows_are_independent_of_the_rest_of_the_batch(rows):
    """Alone or among others, a row has the same strings."""
    together = decoding.beam_search(rows, beam=5)
    assert [decoding.beam_search(row[None], beam=5)[0] for row in rows] == together


def test_many_characters_do_not_hide_the_best():
    """Of forty characters the likeliest are tried, and a sharp row reads as greedy does."""
    logp = log_softmax(6 * np.random.default_rng(1).normal(size=(50, 8, 41)))
    best = [strings[0] for strings in decoding.beam_search(logp, beam=10)]
    likelihood = decoding.log_likelihood(logp, best)
    assert (likelihood >= decoding.log_likelihood(logp, decoding.greedy(logp)) - 1e-6).all()


def test_too_few_steps_cannot_say_a_string():
    """Two equal neighbours need a blank between them."""
    assert decoding.needed_steps("aab") == 4
    assert decoding.needed_steps("") == 0
    logp = np.log(np.full((1, 2, 3), 1 / 3))
    assert decoding.log_likelihood(logp, [(0, 0)])[0] <= decoding.NEVER / 2
    assert decoding.log_likelihood(logp, [(0, 1)])[0] == pytest.approx(np.log(1 / 9))


def test_best_places_are_the_best_of_all_combinations():
    """Against every combination of three places of four characters."""
    logp = log_softmax(np.random.default_rng(2).normal(size=(20, 3, 4)))
    for row, found in zip(logp, decoding.best_places(logp, beam=7), strict=True):
        every = sorted(itertools.product(range(4), repeat=3), key=lambda s: -sum(row[i, c] for i, c in enumerate(s)))
        assert found == every[:7]
