"""Images that are the same picture: by the bytes, or by a perceptual hash that survives saving, scaling and turning."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

N_BITS = 256
NEAR = (
    24  # bits of 256: what copies differ in; unlike photographs differ in about 128, alike cells of ELPV in 30 and more
)
_SIDE_PX, _KEPT = 64, 16
_BLOCK = 2048


def perceptual_hash(image: np.ndarray) -> str:
    """Return 64 hex digits: the signs of the lowest 16 x 16 frequencies of the picture in gray.

    The DCT hash of Zauner (2010), with 256 bits for 64 and the sign for the median: so a mirrored or turned picture
    has the same bits in other places, and all eight orientations are found by one hash.

    Args:
        image: `(h, w, 3)` uint8 RGB.
    """
    import cv2

    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small - small.mean())[:_KEPT, :_KEPT]
    return np.packbits(waves > 0).tobytes().hex()


def near_pairs(hashes: Iterable[str], distance: int = NEAR) -> pd.DataFrame:
    """Return pairs `first < second` of positions whose pictures differ in at most `distance` bits, in any orientation.

    Columns first, second, distance and orientation (of the second, to look like the first). One matrix product a
    block: 60,000 hashes take about a minute.
    """
    bits = _bits(hashes)
    if not len(bits):
        return pd.DataFrame({"first": [], "second": [], "distance": [], "orientation": []}, dtype="int64")
    signs = bits.astype(np.float32) * 2 - 1
    found = []
    for name, turned in orientations(bits).items():
        other = turned.astype(np.float32) * 2 - 1
        for start in range(0, len(bits), _BLOCK):
            agreement = signs[start : start + _BLOCK] @ other[start:].T  # equal bits less differing ones
            first, second = np.nonzero(agreement >= N_BITS - 2 * distance)
            later = second > first
            first, second = first[later], second[later]
            differing = ((N_BITS - agreement[first, second]) / 2).astype(int)
            pairs = {"first": start + first, "second": start + second, "distance": differing}
            found.append(pd.DataFrame(pairs).assign(orientation=name))
    table = pd.concat(found, ignore_index=True).sort_values(["first", "second", "distance"], kind="stable")
    return table.drop_duplicates(["first", "second"]).reset_index(drop=True)


def orientations(bits: np.ndarray) -> dict[str, np.ndarray]:
    """Return the hashes `(n, 16, 16)` of the same pictures mirrored and turned, as `(n, 256)` each.

    A mirror image changes the sign of the odd frequencies; to transpose a picture is to transpose its frequencies.
    """
    grid = bits.reshape(-1, _KEPT, _KEPT)
    odd = np.arange(_KEPT) % 2 == 1
    across, down = np.broadcast_to(odd, (_KEPT, _KEPT)), np.broadcast_to(odd[:, None], (_KEPT, _KEPT))
    turned = {}
    for name, base in (("identity", grid), ("transpose", grid.transpose(0, 2, 1))):
        turned[name] = base
        turned[f"{name} hflip"] = base ^ across
        turned[f"{name} vflip"] = base ^ down
        turned[f"{name} rot180"] = base ^ across ^ down
    return {name: table.reshape(-1, N_BITS) for name, table in turned.items()}


def clusters(n: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return `(n,)`: the smallest position that each one is joined to, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.array([*pairs], np.int64).reshape(-1, 2).T
    component = connected_components(coo_array((np.ones(len(first)), (first, second)), shape=(n, n)), directed=False)[1]
    smallest = np.unique(component, return_index=True)[1]
    return np.asarray(smallest[component], np.int64)


def joined_groups(rows: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.Series:
    """Return the group of each row, where the groups of the two rows of each pair have become one.

    Args:
        rows: columns row_id and group.
        pairs: row ids of copies; pairs with a row that is not there are left out.
    """
    places = {row_id: place for place, row_id in enumerate(rows["row_id"])}
    known = [(places[a], places[b]) for a, b in pairs if a in places and b in places]
    root = clusters(len(rows), [*equal_pairs(rows["group"]), *known])
    return pd.Series(rows["group"].to_numpy()[root], index=rows.index, dtype="str")


def equal_pairs(values: pd.Series) -> list[tuple[int, int]]:
    """Return the positions of each value's first place and every later one."""
    codes = pd.factorize(values)[0]
    first = pd.Series(np.arange(len(codes))).groupby(codes).transform("first").to_numpy()
    return [(int(first[place]), int(place)) for place in np.flatnonzero(first != np.arange(len(codes)))]


def _bits(hashes: Iterable[str]) -> np.ndarray:
    """Return `(n, 256)` bool; the first bit, the mean, is the same for all."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, N_BITS // 8)
    bits = np.unpackbits(raw, axis=1).astype(bool)
    bits[:, 0] = True
    return bits
