"""A data set that is drawn on this machine: pictures of text in one archive, with a CSV for each split."""

import random
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
from pydantic import Field, model_validator
from tqdm import tqdm

from podium.errors import PodiumError
from podium.sources import Source as Base
from podium.sources import arithmetic_pictures, captcha_pictures
from podium.storage.files import atomic, digest

ARCHIVE = "generated.zip"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same pictures give the same bytes
_CHUNK = 64  # pictures to a task of a worker


class Source(Base):
    """Captchas or arithmetic: `generated.zip` holds train/00000.png, ..., train.csv (id, text), and so of test.

    Every picture has a seed of its own, of which the split is a part: no test picture is ever trained on, and more
    pictures leave the first ones as they are.
    """

    draws: Literal["captcha", "arithmetic"] = "captcha"
    """`captcha` draws by the package captcha; `arithmetic` sums of two or three digits with + - * and brackets."""
    alphabet: Annotated[str, Field(min_length=2)] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    """The characters of captchas, all equally often."""
    min_length: int = Field(4, ge=1)
    """The characters of the shortest captcha; every length is as frequent."""
    max_length: int = Field(4, ge=1)
    """The characters of the longest captcha."""
    width: int = Field(170, ge=16)
    """Of a picture, in pixels."""
    height: int = Field(80, ge=16)
    """Of a picture, in pixels."""
    train: int = Field(ge=1)
    """The number of pictures to train on."""
    test: int = Field(ge=1)
    """The number of pictures to predict."""
    seed: int = Field(ge=0)
    """Of the texts and the pictures."""
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    """The archive's SHA-256: other versions of captcha or Pillow may draw otherwise, and are refused."""

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"`min_length`: {self.min_length} is more than `max_length`: {self.max_length}")
        if len(set(self.alphabet)) < len(self.alphabet):
            raise ValueError("`alphabet`: it names a character twice")
        return self

    def download(self, folder: Path) -> None:
        """Draw the archive into `folder`; raises PodiumError where its digest is not `sha256`."""
        path = folder / ARCHIVE
        with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for split, n in (("train", self.train), ("test", self.test)):
                ids = [f"{split}-{k:05d}" for k in range(n)]
                texts = [self._text(name) for name in ids]
                pictures = tqdm(self._pictures(ids, texts), f"draw {split}", n, unit="image", disable=None)
                for k, png in enumerate(pictures):
                    archive.writestr(zipfile.ZipInfo(f"{split}/{k:05d}.png", _FIXED_TIME), png)
                table = pd.DataFrame({"id": [f"{k:05d}" for k in range(n)], "text": texts})
                csv = table.to_csv(index=False, lineterminator="\n")
                archive.writestr(zipfile.ZipInfo(f"{split}.csv", _FIXED_TIME), csv)
            archive.close()
            found = digest(temporary)
            if self.sha256 not in (None, found):
                raise PodiumError(
                    f"source.sha256: the pictures drawn here have SHA-256 {found}, not {self.sha256}; install the"
                    " versions of captcha and pillow that pyproject.toml pins, or leave the key out"
                )

    def _text(self, name: str) -> str:
        rng = random.Random(f"text {self.seed} {name}")  # noqa: S311  # nothing secret
        if self.draws == "arithmetic":
            return arithmetic_pictures.expression(rng)
        return "".join(rng.choices(self.alphabet, k=rng.randint(self.min_length, self.max_length)))

    def _pictures(self, ids: list[str], texts: list[str]) -> Iterator[bytes]:
        """Yield the PNGs in order, drawn by a process for each core."""
        seeds = [f"picture {self.seed} {name}" for name in ids]
        module = arithmetic_pictures if self.draws == "arithmetic" else captcha_pictures
        draw = partial(module.draw, width=self.width, height=self.height)
        with ProcessPoolExecutor() as pool:
            yield from pool.map(draw, texts, seeds, chunksize=_CHUNK)
