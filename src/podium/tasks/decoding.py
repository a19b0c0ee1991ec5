"""Log-probabilities of steps -> strings. NumPy alone, whole batches at a time; characters are codes from 0 on.

CTC (Graves et al. 2006): a string is the sum of all paths that give it once repeats are merged and blanks, symbol 0,
are taken out. Character `k` is symbol `k + 1`. Without CTC a step is a place, and character `k` is symbol `k`.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

NEVER = -1e30  # the log of 0: finite, so that sums and differences of it are numbers
_BLOCK = 1024  # rows at a time: what they need stays in the cache
_SYMBOLS = 12  # likeliest characters by which a step may extend a prefix; the rest together are next to nothing
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that prefixes of 64 bits differ where strings do


def greedy(logp: np.ndarray) -> list[list[int]]:
    """Return the string of the likeliest path of each row of CTC steps `(n, steps, 1 + k)`."""
    symbols = logp.argmax(axis=2)
    is_new = np.ones(symbols.shape, bool)
    is_new[:, 1:] = symbols[:, 1:] != symbols[:, :-1]
    return [(row[keep] - 1).tolist() for row, keep in zip(symbols, is_new & (symbols > 0), strict=True)]


def beam_search(
    logp: np.ndarray, beam: int = 10, *, least: int = 0, most: int | None = None
) -> list[list[tuple[int, ...]]]:
    """Return the likeliest strings of each row of CTC steps `(n, steps, 1 + k)`, at most `beam`, the best first.

    Prefix beam search (Hannun et al. 2014): prefixes are ranked by the sum of all paths that give them, so a string
    whose paths are many can beat the likeliest path. Strings have `least` to `most` characters; where the beam holds
    none so long, the best of those that it holds is returned.
    """
    return [
        strings
        for start in range(0, len(logp), _BLOCK)
        for strings in _beam_search(logp[start : start + _BLOCK].astype(np.float32), beam, least, most)
    ]


def _beam_search(logp: np.ndarray, beam: int, least: int, most: int | None) -> list[list[tuple[int, ...]]]:
    n, n_steps, n_symbols = logp.shape
    most = n_steps if most is None else min(most, n_steps)
    n_tried = min(_SYMBOLS, n_symbols - 1)
    rows = np.arange(n)[:, None]
    shape = (n, beam)
    blank, other = np.full(shape, NEVER, np.float32), np.full(shape, NEVER, np.float32)  # by how the paths end
    blank[:, 0] = 0
    last, length = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    # Equal prefixes have equal names; those that are not in use have names of their own.
    name = np.tile(np.arange(beam, dtype=np.uint64), (n, 1))
    parent = np.full(shape, np.iinfo(np.uint64).max, np.uint64)
    prefix = np.full((n, beam, max(most, 1)), -1, np.int16)
    for step in range(n_steps):
        now = logp[:, step]
        total = np.logaddexp(blank, other)
        is_used = total > NEVER / 2
        tried = 1 + np.argpartition(-now[:, 1:], n_tried - 1, axis=1)[:, :n_tried]
        stay_blank = total + now[:, :1]
        stay_other = np.where(length > 0, other + now[rows, last], NEVER)
        # A prefix of the beam may also be reached from another of the beam, which is one character shorter.
        is_parent = (name[:, :, None] == parent[:, None, :]) & is_used[:, :, None] & is_used[:, None, :]
        arriving = np.where(last[:, :, None] == last[:, None, :], blank[:, :, None], total[:, :, None])
        arriving = np.where(is_parent, arriving + now[rows, last][:, None, :], NEVER).max(axis=1)
        stay_other = np.logaddexp(stay_other, arriving)
        # New prefixes: every character after every prefix, but for those that are in the beam already.
        same = (tried[:, None, :] == last[:, :, None]) & (length > 0)[:, :, None]
        grown = np.where(same, blank[:, :, None], total[:, :, None]) + now[rows, tried][:, None, :]
        is_there = (is_parent[:, :, :, None] & (last[:, None, :, None] == tried[:, None, None, :])).any(axis=2)
        grown[is_there | (length >= most)[:, :, None]] = NEVER
        scores = np.concatenate([np.logaddexp(stay_blank, stay_other), grown.reshape(n, -1)], axis=1)
        kept = np.argpartition(-scores, beam - 1, axis=1)[:, :beam] if scores.shape[1] > beam else None
        kept = np.tile(np.arange(beam), (n, 1)) if kept is None else kept
        is_grown = kept >= beam
        source = np.where(is_grown, (kept - beam) // n_tried, kept)
        symbol = tried[rows, np.where(is_grown, (kept - beam) % n_tried, 0)]
        blank = np.where(is_grown, NEVER, stay_blank[rows, source])
        other = np.where(is_grown, scores[rows, kept], stay_other[rows, source])
        parent = np.where(is_grown, name[rows, source], parent[rows, source])
        named = (name[rows, source] + symbol.astype(np.uint64) + np.uint64(beam)) * _MULTIPLIER
        name = np.where(is_grown, named, name[rows, source])
        last = np.where(is_grown, symbol, last[rows, source])
        prefix = prefix[rows, source]
        grew, which = np.nonzero(is_grown)
        length = length[rows, source]
        at = np.minimum(length[grew, which], prefix.shape[2] - 1)
        prefix[grew, which, at] = symbol[grew, which] - 1
        length = length + is_grown
    total = np.logaddexp(blank, other)
    order = np.lexsort((-total, length < least), axis=1)
    strings = []
    for row in range(n):
        usable = [k for k in order[row] if total[row, k] > NEVER / 2]
        long_enough = [k for k in usable if length[row, k] >= least] or usable[:1]
        strings.append([tuple(prefix[row, k, : length[row, k]].tolist()) for k in long_enough])
    return strings


def best_places(logp: np.ndarray, beam: int = 10) -> list[list[tuple[int, ...]]]:
    """Return the `beam` likeliest strings of each row of places `(n, places, k)`, the best first.

    Places are independent, so the best strings begin with the best beginnings: nothing is lost on the way.
    """
    n, n_places, k = logp.shape
    n_tried = min(beam, k)
    rows = np.arange(n)[:, None]
    score, prefix = np.zeros((n, 1)), np.zeros((n, 1, 0), np.int64)
    for place in range(n_places):
        now = logp[:, place].astype(np.float64)
        tried = np.argsort(-now, axis=1, kind="stable")[:, :n_tried]
        grown = (score[:, :, None] + now[rows, tried][:, None, :]).reshape(n, -1)
        kept = np.argsort(-grown, axis=1, kind="stable")[:, :beam]
        source, symbol = kept // n_tried, tried[rows, kept % n_tried]
        prefix = np.concatenate([prefix[rows, source], symbol[:, :, None]], axis=2)
        score = grown[rows, kept]
    return [[tuple(string) for string in row] for row in prefix.tolist()]


def log_likelihood(logp: np.ndarray, strings: Sequence[Sequence[int]]) -> np.ndarray:
    """Return `(n,)` float64: the log-probability of one string for each row of CTC steps `(n, steps, 1 + k)`.

    The forward algorithm; `NEVER` or less for a string that the steps are too few for.
    """
    if not len(strings):
        return np.zeros(0)
    longest = max(len(string) for string in strings)
    codes = np.zeros((len(strings), 2 * longest + 1), np.int64)  # blanks between and around the characters
    for row, string in enumerate(strings):
        codes[row, 1 : 2 * len(string) : 2] = np.asarray(string, np.int64) + 1
    lengths = np.array([len(string) for string in strings])
    may_skip = np.zeros(codes.shape, bool)
    may_skip[:, 2:] = (codes[:, 2:] > 0) & (codes[:, 2:] != codes[:, :-2])
    found = [
        _forward(logp[part], codes[part], lengths[part], may_skip[part])
        for part in (slice(start, start + _BLOCK) for start in range(0, len(strings), _BLOCK))
    ]
    return np.concatenate(found)


def _forward(logp: np.ndarray, codes: np.ndarray, lengths: np.ndarray, may_skip: np.ndarray) -> np.ndarray:
    n, n_states = codes.shape
    rows = np.arange(n)
    emitted = np.take_along_axis(logp.astype(np.float64), np.repeat(codes[:, None], logp.shape[1], axis=1), axis=2)
    alpha = np.full((n, n_states), NEVER)
    alpha[:, :2] = emitted[:, 0, :2]
    for step in range(1, logp.shape[1]):
        before, skipped = np.full_like(alpha, NEVER), np.full_like(alpha, NEVER)
        before[:, 1:] = alpha[:, :-1]
        skipped[:, 2:] = np.where(may_skip[:, 2:], alpha[:, :-2], NEVER)
        alpha = np.logaddexp(np.logaddexp(alpha, before), skipped) + emitted[:, step]
    end = alpha[rows, 2 * lengths]
    return np.asarray(np.logaddexp(end, np.where(lengths > 0, alpha[rows, 2 * lengths - 1], NEVER)))


def needed_steps(string: Sequence[object]) -> int:
    """Return the fewest CTC steps that can give a string: its length, and a blank between equal neighbours."""
    return len(string) + sum(a == b for a, b in pairwise(string))
