"""Copies are found through what is done to pictures, and unlike pictures are not copies."""

import numpy as np
import pandas as pd

from podium.imaging.duplicates import NEAR, clusters, equal_pairs, joined_groups, near_pairs, perceptual_hash


def test_a_copy_is_found(photo, copy):
    """Saved, scaled, recoloured, mirrored or turned: five pictures each, and no pair besides."""
    pictures = [photo(seed) for seed in range(5)]
    changed = [copy[1](picture) for picture in pictures]
    pairs = near_pairs([perceptual_hash(picture) for picture in [*pictures, *changed]])
    assert list(zip(pairs["first"], pairs["second"], strict=True)) == [(k, k + 5) for k in range(5)]


def test_unlike_pictures_are_far_apart(photo):
    """200 pictures, 19,900 pairs in eight orientations: none is near, by a wide margin."""
    hashes = [perceptual_hash(photo(seed)) for seed in range(100, 300)]
    assert near_pairs(hashes, 2 * NEAR).empty


def test_pairs_agree_with_a_loop(monkeypatch):
    """Distances and blocks against counting bits one by one."""
    monkeypatch.setattr("podium.imaging.duplicates._BLOCK", 3)
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, 32, dtype=np.uint8)
    flips = [np.packbits(rng.random(256) < share) for share in (0, 0.02, 0.04, 0.06, 0.3, 0.5, 0.01)]
    hashes = [(base ^ flip).tobytes().hex() for flip in flips]
    found = near_pairs(hashes, 20)
    as_bits = [np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))[1:] for text in hashes]
    expected = {
        (a, b): int((as_bits[a] != as_bits[b]).sum())
        for a in range(7)
        for b in range(a + 1, 7)
        if (as_bits[a] != as_bits[b]).sum() <= 20
    }
    same = found[found["orientation"] == "identity"]
    assert {(a, b): d for a, b, d in zip(same["first"], same["second"], same["distance"], strict=True)} == expected


def test_clusters_join_through_others():
    """0-3 and 3-5 make one cluster, called by its smallest place."""
    assert clusters(6, [(3, 5), (0, 3), (1, 2)]).tolist() == [0, 1, 1, 0, 4, 0]


def test_equal_pairs_name_the_first_place():
    """Each later place, with the first of its value."""
    assert equal_pairs(pd.Series(["x", "y", "x", "z", "x", "y"])) == [(0, 2), (0, 4), (1, 5)]


def test_joined_groups_keep_named_groups_whole():
    """A copy between two groups makes them one; a row that is not there is no link."""
    rows = pd.DataFrame({"row_id": list("abcdef"), "group": ["p", "p", "q", "q", "r", "s"]})
    joined = joined_groups(rows, [("b", "c"), ("e", "gone")])
    assert joined.tolist() == ["p", "p", "p", "p", "r", "s"]
