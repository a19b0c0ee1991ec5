"""OpenCV without any learning: a reader of QR codes and a finder of a ball, on pictures that are made here.

    python examples/read_qr_find_ball.py [PICTURE.png]

The code is printed on a sheet that is seen askew, in bad light and noise. The ball is red; shadows and other colours
are not, so the hue tells it, and of what has this hue the largest round shape is taken.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

TEXT = "podium: first place"
_BOARD = (150, 175, 140)  # BGR, like every picture here


def photographed_code(text: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture `(480, 640, 3)` uint8 BGR of a QR code that is seen askew, and its corners `(4, 2)`."""
    rng = np.random.default_rng(seed)
    code = cv2.QRCodeEncoder.create().encode(text)
    sheet = cv2.resize(
        cv2.copyMakeBorder(code, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=255), (300, 300), interpolation=0
    )
    flat = np.float32([[0, 0], [300, 0], [300, 300], [0, 300]])
    corners = np.float32([[170, 80], [470, 80], [470, 380], [170, 380]]) + rng.uniform(-45, 45, (4, 2)).astype(
        np.float32
    )
    turn = cv2.getPerspectiveTransform(flat, corners)
    picture = np.full((480, 640, 3), _BOARD, np.uint8)
    seen = cv2.warpPerspective(cv2.cvtColor(sheet, cv2.COLOR_GRAY2BGR), turn, (640, 480), flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.full((300, 300), 255, np.uint8), turn, (640, 480)) > 127
    picture[inside] = seen[inside]
    light = np.linspace(0.5, 1.0, 640)[None, :, None]
    return _noisy(picture * light, rng), corners


def read_code(picture: np.ndarray) -> tuple[str, np.ndarray | None]:
    """Return the text of the QR code in a picture, "" where there is none, and the code's corners `(4, 2)`."""
    text, corners, _ = cv2.QRCodeDetector().detectAndDecode(picture)
    return text, None if corners is None else corners.reshape(4, 2)


def photographed_ball(seed: int) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return a picture `(480, 640, 3)` uint8 BGR of a red ball among other things, and its x, y and radius."""
    rng = np.random.default_rng(seed)
    picture = np.full((480, 640, 3), (90, 140, 90), np.float64)
    for colour in ((160, 90, 40), (40, 170, 190), (60, 60, 60), (30, 20, 160)):  # the last is red, but no ball
        x, y = rng.integers(0, (560, 400))
        picture[y : y + 14, x : x + 80] = colour
    radius = rng.uniform(25, 60)
    x, y = rng.uniform(radius, (640 - radius, 480 - radius))
    yy, xx = np.mgrid[:480, :640]
    inside = (xx - x) ** 2 + (yy - y) ** 2 <= radius**2
    shade = np.clip(1.15 - np.hypot(xx - x + radius / 3, yy - y + radius / 3) / (2 * radius), 0.3, 1)
    picture[inside] = (shade[..., None] * (40, 30, 230))[inside]
    return _noisy(picture, rng), (x, y, radius)


def find_ball(picture: np.ndarray) -> tuple[float, float, float] | None:
    """Return x, y and radius of the largest round red shape, in pixels, or None where there is none."""
    hue, saturation, value = cv2.split(cv2.cvtColor(cv2.medianBlur(picture, 5), cv2.COLOR_BGR2HSV))
    is_red = ((hue < 10) | (hue > 170)) & (saturation > 120) & (value > 40)
    mask = cv2.morphologyEx(is_red.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour in contours:
        area, length = cv2.contourArea(contour), cv2.arcLength(contour, closed=True)
        if area > 100 and 4 * np.pi * area / length**2 > 0.7:  # a circle has 1, a square 0.79 less its rough edge
            (x, y), radius = cv2.minEnclosingCircle(contour)
            found.append((area, (x, y, radius)))
    return max(found)[1] if found else None


def _noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def main(picture: Path, seed: int = 3) -> tuple[str, float]:
    """Write both pictures with what was found; returns the text that was read and the ball's error in pixels."""
    code, _ = photographed_code(TEXT, seed)
    text, corners = read_code(code)
    if corners is not None:
        cv2.polylines(code, [corners.round().astype(np.int32)], isClosed=True, color=(0, 0, 255), thickness=3)
        cv2.putText(code, text, (20, 460), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 255), 2, cv2.LINE_AA)
    scene, (x, y, _) = photographed_ball(seed)
    ball, error = find_ball(scene), np.inf
    if ball is not None:
        error = float(np.hypot(ball[0] - x, ball[1] - y))
        cv2.circle(scene, (round(ball[0]), round(ball[1])), round(ball[2]), (255, 255, 255), 2, cv2.LINE_AA)
        cv2.drawMarker(scene, (round(ball[0]), round(ball[1])), (255, 255, 255), cv2.MARKER_CROSS, 12, 2)
    cv2.imwrite(str(picture), np.hstack([code, scene]))
    print(f"read {text!r}; the ball's centre is {error:.1f} px off")
    return text, error


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "read_qr_find_ball.png"))
