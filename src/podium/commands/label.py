"""`podium label PICTURE...`: what ImageNet's classes see in any picture, by a network with its classifier."""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from podium import paths
from podium.backbones import NETWORKS
from podium.engines import Engine
from podium.errors import PodiumError
from podium.features.backbone import Backbone
from podium.features.extraction import resolve_auto
from podium.imaging.images import SUFFIXES, Resize, UnreadableImageError, decode, resize

_STDIN = "-"
_LABELS = 5
_ENDINGS = ", ".join(SUFFIXES)


def run(pictures: list[str], network: str) -> None:
    """Print the five likeliest labels of each picture; a folder stands for its pictures, `-` for bytes on stdin.

    A picture that cannot be read is said so in its place; raises PodiumError where not one can be.
    """
    able = [name for name, known in NETWORKS.items() if "logits" in known.poolings]
    if network not in able:
        raise PodiumError(f"--network: {network!r} has no classifier here; choose one of: {', '.join(able)}")
    found = _files(pictures)
    # The middle square, as the classifiers were scored; alone in its batch, as pictures come one at a time.
    backbone = Backbone(network=network, pooling="logits", resize=Resize(mode="crop"), batch=1)
    extraction = resolve_auto(backbone, "--network")
    extraction.network.require_weights("--network", "logits")
    engine = extraction.start(paths.cache() / "models" / extraction.fingerprint)
    classes, n_read = labels(), 0
    for path in found:
        print(path or _STDIN)  # noqa: T201  # the command's answer
        try:
            pixels = _read(path)
        except UnreadableImageError as error:
            print(f"  cannot be read: {error}")  # noqa: T201  # the command's answer
            continue
        p = probabilities(engine, resize(pixels, backbone.resize, extraction.px))
        for place in np.argsort(-p, kind="stable")[:_LABELS]:
            print(f"  {p[place]:6.4f}  {classes[place]}")  # noqa: T201  # the command's answer
        n_read += 1
    if not n_read:
        raise PodiumError(f"not one of {len(found)} pictures can be read")


def labels() -> list[str]:
    """Return the names of ImageNet's 1,000 classes, in the order of the networks' outputs."""
    return files("podium.commands").joinpath("imagenet.txt").read_text(encoding="utf-8").splitlines()


def probabilities(engine: Engine, square: np.ndarray) -> np.ndarray:
    """Return `(1000,)` float64 of a picture `(px, px, 3)` uint8 RGB."""
    logits = engine.run(square[None])[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _files(pictures: list[str]) -> list[Path | None]:
    """Return the pictures' files, those of a folder sorted; None is stdin."""
    found: list[Path | None] = []
    for picture in pictures:
        path = Path(picture)
        if picture == _STDIN:
            found.append(None)
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise PodiumError(f"{picture}: no picture is in this folder; they end in {_ENDINGS}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise PodiumError(f"{picture}: there is no such file or folder")
    return found


def _read(path: Path | None) -> np.ndarray:
    try:
        return decode(sys.stdin.buffer.read() if path is None else path.read_bytes())
    except OSError as error:
        raise UnreadableImageError(str(error.strerror)) from None
