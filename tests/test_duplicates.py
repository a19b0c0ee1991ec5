"""Copies are found through what is done to pictures, and unlike pictures are not copies."""

import cv2
import numpy as np
import pandas as pd
import pytest

from podium.duplicates import NEAR, clusters, equal_pairs, joined_groups, near_pairs, perceptual_hash


def photo(seed, px=96):
    """A picture with the spectrum of a photograph: large shapes, less and less detail."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n, 3)), (px, px), interpolation=cv2.INTER_CUBIC) / n for n in (3, 6, 12, 24)
    ]
    total = np.sum(layers, axis=0)
    return ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)


def jpeg(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def noisy(image):
    return np.clip(image + np.random.default_rng(0).normal(0, 5, image.shape), 0, 255).astype(np.uint8)


COPIES = {
    "jpeg90": lambda i: jpeg(i, 90),
    "jpeg60": lambda i: jpeg(i, 60),
    "half": lambda i: cv2.resize(i, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "double": lambda i: cv2.resize(i, None, fx=2, fy=2),
    "squashed": lambda i: cv2.resize(i, (96, 64), interpolation=cv2.INTER_AREA),
    "brighter": lambda i: np.clip(i.astype(int) + 20, 0, 255).astype(np.uint8),
    "darker": lambda i: (i * 0.7).astype(np.uint8),
    "contrast": lambda i: np.clip((i - 128.0) * 1.2 + 128, 0, 255).astype(np.uint8),
    "gamma": lambda i: (255 * (i / 255) ** 0.8).astype(np.uint8),
    "noise": noisy,
    "blur": lambda i: cv2.GaussianBlur(i, (3, 3), 0),
    "gray": lambda i: cv2.cvtColor(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
    "hflip": lambda i: i[:, ::-1],
    "vflip": lambda i: i[::-1],
    "rot90": np.rot90,
    "rot180": lambda i: np.rot90(i, 2),
    "rot270": lambda i: np.rot90(i, 3),
    "transpose": lambda i: i.transpose(1, 0, 2),
    "hflip, jpeg": lambda i: jpeg(np.ascontiguousarray(i[:, ::-1]), 80),
    "rot90, half": lambda i: cv2.resize(
        np.ascontiguousarray(np.rot90(i)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
    ),
    "rot180, darker": lambda i: (np.rot90(i, 2) * 0.8).astype(np.uint8),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_found(name):
    """Saved, scaled, recoloured, mirrored or turned: five pictures each, and no pair besides."""
    pictures = [photo(seed) for seed in range(5)]
    changed = [np.ascontiguousarray(COPIES[name](picture)) for picture in pictures]
    pairs = near_pairs([perceptual_hash(picture) for picture in [*pictures, *changed]])
    assert list(zip(pairs["first"], pairs["second"], strict=True)) == [(k, k + 5) for k in range(5)]


def test_unlike_pictures_are_far_apart():
    """200 pictures, 19,900 pairs in eight orientations: none is near, by a wide margin."""
    hashes = [perceptual_hash(photo(seed)) for seed in range(100, 300)]
    assert near_pairs(hashes, 2 * NEAR).empty


def test_pairs_agree_with_a_loop(monkeypatch):
    """Distances and blocks against counting bits one by one."""
    monkeypatch.setattr("podium.duplicates._BLOCK", 3)
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
