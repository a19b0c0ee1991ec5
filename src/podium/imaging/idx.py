"""IDX, the format of MNIST and its successors: bytes in an array, behind a header of its sizes (LeCun, 1998)."""

import math
import struct

import numpy as np

_MAGIC = b"\0\0\x08"  # unsigned bytes; a fourth byte has the number of dimensions


def is_idx(data: bytes) -> bool:
    """Tell whether a file's bytes begin as IDX of unsigned bytes does."""
    return data.startswith(_MAGIC)


def read(data: bytes) -> np.ndarray:
    """Return the array, uint8, without a copy; raises ValueError for a file that is not as long as its header says."""
    n = data[3] if len(data) > 3 else 0  # noqa: PLR2004  # the header's first four bytes
    if not n or len(data) < 4 + 4 * n:
        raise ValueError("its IDX header is cut short")
    shape = struct.unpack(f">{n}I", data[4 : 4 + 4 * n])
    if len(data) - 4 - 4 * n != math.prod(shape):
        raise ValueError(f"its IDX header says {' x '.join(map(str, shape))} bytes, and {len(data) - 4 - 4 * n} follow")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n).reshape(shape)
