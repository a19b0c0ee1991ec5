"""Pictures of arithmetic in several fonts, with lines and dots over them, each from a seed of its own."""

import io
import random
from functools import cache
from importlib.resources import files
from typing import Any

ALPHABET = "0123456789+-*()"
_FONTS = (  # of packages that are installed anyway
    ("captcha", "data/DroidSansMono.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSansMono.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSerif.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSerif-Italic.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/STIXGeneral.ttf"),
)
_LINES, _DOTS = 3, 40


def expression(rng: random.Random) -> str:
    """Return two or three digits with + - * between them, and brackets around a pair of three half of the time."""
    digits, signs = rng.choices("0123456789", k=rng.choice((2, 3))), rng.choices("+-*", k=2)
    if len(digits) == 2:  # noqa: PLR2004  # a pair
        return f"{digits[0]}{signs[0]}{digits[1]}"
    shape = rng.choice(("{}{}{}{}{}", "{}{}{}{}{}", "({}{}{}){}{}", "{}{}({}{}{})"))
    return shape.format(digits[0], signs[0], digits[1], signs[1], digits[2])


def draw(text: str, seed: str, width: int, height: int) -> bytes:
    """Return a PNG of `text`, `width` x `height` pixels: one font, each character turned and moved a little."""
    from PIL import Image, ImageDraw

    rng = random.Random(seed)  # noqa: S311  # nothing secret
    paper = Image.new("RGB", (width, height), tuple(rng.randint(225, 255) for _ in range(3)))
    pen = ImageDraw.Draw(paper)
    font, x = _font(rng.randrange(len(_FONTS)), round(height * rng.uniform(0.45, 0.6))), rng.uniform(2, width * 0.08)
    ink = tuple(rng.randint(0, 110) for _ in range(3))
    for character in text:
        box = font.getbbox(character)
        glyph = Image.new("L", (box[2] + 8, box[3] + 8))
        ImageDraw.Draw(glyph).text((4, 4), character, font=font, fill=255)
        glyph = glyph.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)
        y = (height - glyph.height) / 2 + rng.uniform(-0.08, 0.08) * height
        paper.paste(ink, (round(x) - 4, round(y)), glyph)
        x += min(font.getlength(character) + rng.uniform(0, 3), (width - x) / 1.5)
    for _ in range(_LINES):
        ends = [(rng.randrange(width), rng.randrange(height)) for _ in range(2)]
        pen.line(ends, fill=tuple(rng.randint(60, 180) for _ in range(3)), width=rng.choice((1, 2)))
    for _ in range(_DOTS):
        pen.point((rng.randrange(width), rng.randrange(height)), fill=ink)
    out = io.BytesIO()
    paper.save(out, "png")
    return out.getvalue()


@cache
def _font(number: int, size: int) -> Any:
    from PIL.ImageFont import truetype

    package, path = _FONTS[number]
    return truetype(str(files(package).joinpath(path)), size)
