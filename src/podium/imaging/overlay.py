"""Evidence as colours to lay over a picture."""

import base64

import numpy as np

_OPACITY = 0.5
_RGBA = 4  # channels


def coloured(heat: np.ndarray) -> np.ndarray:
    """Return `(h, w, 4)` uint8 RGBA: red where the evidence is for the label, blue where it is against it."""
    strength = np.abs(heat) / max(float(np.abs(heat).max()), 1e-9)
    rgba = np.zeros((*heat.shape, 4), np.uint8)
    rgba[heat > 0, :3] = (230, 40, 30)
    rgba[heat <= 0, :3] = (40, 90, 230)
    rgba[..., 3] = (255 * strength).round()
    return rgba


def over(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return the picture `(h, w, 3)` uint8 with the map `(h, w)` laid over it."""
    rgba = coloured(heat)
    share = _OPACITY * rgba[..., 3:] / 255
    return np.asarray((pixels * (1 - share) + rgba[..., :3] * share).round().astype(np.uint8))


def stretched(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map over a picture's height and width."""
    import cv2

    return np.asarray(cv2.resize(heat, shape[::-1], interpolation=cv2.INTER_CUBIC))


def data_uri(heat: np.ndarray, px: int) -> str:
    """Return the map's colours as a small picture of the map's shape, its longer side `px` at most."""
    height, width = heat.shape
    scale = min(1.0, px / max(height, width))
    small = stretched(heat, (max(1, round(height * scale)), max(1, round(width * scale))))
    return f"data:image/png;base64,{base64.b64encode(png(coloured(small))).decode()}"


def png(pixels: np.ndarray) -> bytes:
    """Return RGB or RGBA pixels as the bytes of a PNG."""
    import cv2

    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == _RGBA else cv2.COLOR_RGB2BGR
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, code))[1])
