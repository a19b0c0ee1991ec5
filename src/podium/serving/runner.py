"""Predict pictures by the ensemble in this folder, without podium: NumPy, OpenCV and OpenVINO are enough.

python predict.py PATH... [--out FILE] [--sample FILE]
"""

import argparse
import csv
import hashlib
import json
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**28))  # of one picture; read when OpenCV is loaded

import numpy as np

from podium.contracts import blends, models, steps  # noqa: F401  # fitted models are found by their class's name
from podium.errors import PodiumError
from podium.imaging.pixels import UnreadableImageError
from podium.serving.cells import labelled, submitted
from podium.serving.runtime import Member, Network, Picture, Predictor, Row, of_bytes

FORMAT = 1  # of manifest.json
HERE = Path(__file__).parent
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".ppm", ".pgm")
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_NEEDS = {"bfloat16": "BF16", "float16": "FP16"}  # what a CPU must list


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 for a mistake, told in one line."""
    parser = argparse.ArgumentParser(prog="predict.py", description=__doc__)
    parser.add_argument("what", metavar="PATH", nargs="+", help="images, folders, zip archives")
    parser.add_argument("--out", metavar="FILE", type=Path, help="a CSV; standard output by default")
    parser.add_argument("--sample", metavar="FILE", type=Path, help="a sample submission, to write its lines")
    parser.add_argument("--precision", choices=list(_HINTS), help="of the networks; as they were scored by default")
    arguments = parser.parse_args(argv)
    try:
        manifest = read_manifest(HERE)
        pictures = find(arguments.what)
        predictor = load(HERE, manifest, arguments.precision)
        if arguments.sample:
            header, lines = submission(predictor, manifest, pictures, arguments.sample)
        else:
            header, lines = table(predictor, manifest, pictures)
        write(arguments.out, header, lines)
    except PodiumError as error:
        print(f"predict.py: {error}", file=sys.stderr)  # noqa: T201  # the command line speaks to a person
        return 2
    return 0


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest, once every file is the one that it names."""
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found, files = manifest["format"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PodiumError(f"{path}: not the manifest of an exported model ({error})") from None
    if found != FORMAT:
        raise PodiumError(f"{path}: its format is {found}, and this program reads {FORMAT}; export it again")
    for name, digest in files.items():
        try:
            with (folder / name).open("rb") as file:
                intact = hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            raise PodiumError(f"{folder / name}: there is no such file; copy the whole folder") from None
        if not intact:
            raise PodiumError(f"{folder / name}: not the file that the manifest names; export or copy it again")
    return manifest


def load(folder: Path, manifest: dict[str, Any], precision: str | None = None) -> Predictor:
    """Return what predicts: networks are compiled, heads are read."""
    networks = {
        name: Network(
            px=about["px"],
            mode=about["mode"],
            interpolation=about["interpolation"],
            least_px=about["least_px"],
            batch=about["batch"],
            runs=tuple(_start(folder, run, about, precision or about["precision"]) for run in about["runs"]),
        )
        for name, about in manifest["networks"].items()
    }
    members = {
        name: Member(
            networks=tuple(about["networks"]),
            models=tuple(models.load(folder / "models" / name, model) for model in about["models"]),
            merges_views=about["merges_views"],
            is_network=about["is_network"],
        )
        for name, about in manifest["members"].items()
    }
    views = tuple((operation, parameters) for operation, parameters in manifest["views"])
    ensemble = models.load(folder / "models" / "ensemble", models.FULL)
    return Predictor(networks, members, ensemble, views, os.cpu_count() or 1)


def _start(folder: Path, run: str, about: dict[str, Any], precision: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that runs a network: an OpenVINO model, or a descriptor of classical features."""
    if about["kind"] == "descriptor":
        from podium.backbones import descriptors

        describe = getattr(descriptors, run)
        return lambda images: np.stack([describe(image) for image in images])
    import openvino

    core = openvino.Core()
    needed = _NEEDS.get(precision)
    if needed and needed not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precision = "float32"
    hints = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(folder / "networks" / run / "model.xml"), "CPU", hints)

    def features(images: np.ndarray) -> np.ndarray:
        found: np.ndarray = compiled(images, share_inputs=True)[0]
        return found

    return features


def find(given: Sequence[str]) -> list[Picture]:
    """Return the pictures of files, folders and zip archives; the name of one in an archive is `ARCHIVE#MEMBER`."""
    pictures: list[Picture] = []
    for text in given:
        path = Path(text)
        if not path.exists():
            raise PodiumError(f"{text}: there is no such file or folder")
        if path.is_dir():
            files = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in (*SUFFIXES, ".zip"))
            found = [picture for file in files for picture in _of_file(file)]
        else:
            found = list(_of_file(path))
        if not found:
            raise PodiumError(f"{text}: it holds no image")
        pictures += found
    return pictures


def _of_file(path: Path) -> Iterator[Picture]:
    if path.suffix.lower() != ".zip":
        yield of_bytes(str(path), lambda: _read(path.read_bytes))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise PodiumError(f"{path}: not a readable zip archive ({error})") from None
    lock = threading.Lock()  # zipfile counts its open members without one

    def read(member: str) -> bytes:
        with lock:
            return archive.read(member)

    for member in sorted(name for name in archive.namelist() if name.lower().endswith(SUFFIXES)):
        yield of_bytes(f"{path}#{member}", lambda member=member: _read(lambda: read(member)))  # type: ignore[misc]


def _read(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except Exception as error:  # noqa: BLE001  # zlib.error, BadZipFile, OSError and more: all of them mean that it cannot be read
        raise UnreadableImageError(str(error)) from None


def answers(predictor: Predictor, rows: Sequence[Row]) -> tuple[list[str], np.ndarray]:
    """Return ids and predictions of the rows that can be read; progress and the others go to standard error."""
    ids, parts, started, done = list[str](), list[np.ndarray](), time.monotonic(), 0
    count = sum(len(row.pictures) for row in rows)

    def watch(n: int) -> None:
        nonlocal done
        done += n
        seconds = time.monotonic() - started
        left = seconds / done * (count - done)
        print(f"\r{done}/{count} images, {done / seconds:.1f} a second, {left:.0f} s left ", end="", file=sys.stderr)  # noqa: T201

    for found in predictor.run(rows, watch):
        for name, reason in found.unreadable:
            print(f"\n{name}: {reason}", end="", file=sys.stderr)  # noqa: T201
        if found.row_ids:
            ids += found.row_ids
            parts.append(found.p)
    print(file=sys.stderr)  # noqa: T201
    return ids, np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def table(
    predictor: Predictor, manifest: dict[str, Any], pictures: Sequence[Picture]
) -> tuple[list[str], list[list[Any]]]:
    """Return header and lines of a table of all pictures that can be read, each with its label and its numbers."""
    ids, p = answers(predictor, [Row(picture.name, (picture,)) for picture in pictures])
    if not ids:
        raise PodiumError("not one picture can be read")
    header, cells = labelled(manifest["task"]["kind"], manifest["labels"], p)
    return ["row_id", *header], [[row_id, *row] for row_id, row in zip(ids, cells, strict=True)]


def submission(
    predictor: Predictor, manifest: dict[str, Any], pictures: Sequence[Picture], sample: Path
) -> tuple[list[str], list[list[Any]]]:
    """Return header and lines of the sample's rows; one without a readable picture gets the best constant."""
    try:
        with sample.open(encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file))
    except (OSError, ValueError) as error:
        raise PodiumError(f"{sample}: not a readable table ({error})") from None
    wanted = [line[0] for line in lines if line]
    by_stem, by_name = {}, {}
    for picture in pictures:
        path = Path(picture.name.rpartition("#")[2])
        by_stem[path.stem], by_name[path.name] = picture, picture
    named = max((by_stem, by_name), key=lambda one: len(one.keys() & set(wanted)))
    rows = [Row(row_id, (named[row_id],)) for row_id in wanted if row_id in named]
    if not rows and wanted:
        raise PodiumError(f"{sample}: none of its ids, such as {wanted[0]!r}, is a picture's name")
    ids, p = answers(predictor, rows)
    numbers = dict(zip(ids, p, strict=True))
    rest = np.array(manifest["fallback"], np.float32)
    if missing := [row_id for row_id in wanted if row_id not in numbers]:
        print(f"{len(missing)} rows without a readable picture get the best constant", file=sys.stderr)  # noqa: T201
    every = np.stack([numbers.get(row_id, rest) for row_id in wanted]) if wanted else p
    try:
        cells = submitted(manifest["task"], manifest["labels"], every, header[1:])
    except ValueError as error:
        raise PodiumError(f"{sample}: {error}") from None
    return header, [[row_id, *line] for row_id, line in zip(wanted, cells, strict=True)]


def write(out: Path | None, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Write a CSV; float32 numbers have as many digits as tell them apart."""
    file = out.open("w", encoding="utf-8", newline="") if out else sys.stdout
    try:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([str(cell) for cell in line] for line in lines)
    finally:
        if out:
            file.close()


if __name__ == "__main__":
    sys.exit(main())
