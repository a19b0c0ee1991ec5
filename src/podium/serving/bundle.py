"""An exported ensemble as a Kaggle dataset and a script kernel without internet, and its rehearsal on this machine."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts.submission import read_sample
from podium.contracts.tables import IMAGES
from podium.errors import PodiumError, preview
from podium.imaging.images import Reader
from podium.serving import export, kernel
from podium.serving.ensemble import Ensemble
from podium.storage import csv_table
from podium.storage.files import atomic_folder, write_json

_BROKEN = {"hidden-broken-1": b"<html>not an image</html>", "hidden-broken-2": b"\xff\xd8\xff\xe0 cut short"}
_GUARD = """\
import socket

def refuse(*_):
    raise OSError("a rehearsal has no network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""


@dataclass(frozen=True)
class Rehearsal:
    """What a run of the kernel took, and where its submission lies; `network` says how it was kept off."""

    submission: Path
    sample: Path
    images: Path
    n_rows: int
    install_s: float
    predict_s: float
    peak_mb: int
    network: str

    def hours(self, n_hidden: int) -> float:
        """Return the time that so many hidden rows would take; start-up counts as if every row had a share of it."""
        return (self.install_s + self.predict_s * n_hidden / self.n_rows) / 3600


def check(config: Config) -> None:
    """Raise PodiumError where test pictures are not named by their rows, so that a kernel could not find them."""
    name = config.params.competition
    images = IMAGES.read(paths.data(name, "images.parquet"))
    test = images[images["split"] == "test"]
    where = f"{paths.competition(name)}: layout"
    if test["row_id"].duplicated().any():
        raise PodiumError(f"{where}: a row of several images cannot be bundled yet")
    files = [PurePosixPath(source.rpartition("#")[2] or source) for source in test["source"]]
    odd = [row for row, file in zip(test["row_id"], files, strict=True) if row not in (file.stem, file.name)]
    if odd:
        raise PodiumError(f"{where}: a kernel finds test images by name, and these rows have others: {preview(odd)}")


def write(ensemble: Ensemble, folder: Path, user: str, wheels: Path | None) -> None:
    """Write dataset/ and kernel/, whole or not at all; `wheels` is a folder that has them, else pip downloads."""
    config = ensemble.config
    name, competition = config.params.competition, slug(config)
    title = f"podium-{name}".replace("_", "-")[:43]  # with -submit, the 50 characters that Kaggle allows
    with atomic_folder(folder) as temporary:
        dataset, script = temporary / "dataset", temporary / "kernel"
        export.write(ensemble, dataset / "model")
        _collect(dataset / "model/requirements.txt", dataset / "wheels", wheels)
        licences = [{"name": "other"}]  # LICENSES.md has them
        write_json({"title": title, "id": f"{user}/{title}", "licenses": licences}, dataset / "dataset-metadata.json")
        settings = {
            "dataset": title,
            "competition": competition,
            "images": images_folder(config),
            "sample": sample_file(config),
            "precision": "",
        }
        script.mkdir()
        code = Path(str(kernel.__file__)).read_text(encoding="utf-8")
        filled = code.replace("SETTINGS: dict[str, str] = {}", f"SETTINGS: dict[str, str] = {settings!r}")
        (script / "submit.py").write_text(filled, encoding="utf-8")
        about = {
            "id": f"{user}/{title}-submit",
            "title": f"{title}-submit",
            "code_file": "submit.py",
            "language": "python",
            "kernel_type": "script",
            "is_private": True,
            "enable_gpu": False,
            "enable_tpu": False,
            "enable_internet": False,  # the client's default is on
            "dataset_sources": [f"{user}/{title}"],
            "competition_sources": [competition] if getattr(config.competition.source, "competition", None) else [],
            "kernel_sources": [],
            "model_sources": [],
        }
        write_json(about, script / "kernel-metadata.json")


def slug(config: Config) -> str:
    """Return the competition's name at Kaggle, or else here."""
    return str(getattr(config.competition.source, "competition", None) or config.params.competition)


def sample_file(config: Config) -> str:
    """Return where the sample submission lies in the competition's folder, archives unpacked."""
    return (config.competition.submission.sample or "sample_submission.csv").rpartition("#")[2]


def images_folder(config: Config) -> str:
    """Return the folder that all test pictures lie in below the competition's, archives unpacked; or an empty text."""
    images = IMAGES.read(paths.data(config.params.competition, "images.parquet"))
    sources = images.loc[images["split"] == "test", "source"]
    folders = {str(PurePosixPath(source.rpartition("#")[2] or source).parent) for source in sources}
    common = os.path.commonpath(folders) if folders else ""
    return "" if common == "." else common


def _collect(requirements: Path, folder: Path, given: Path | None) -> None:
    """Put the wheels of what is required, and of what that requires, into `folder`."""
    folder.mkdir(parents=True)
    source = ["--no-index", "--find-links", str(given)] if given else []
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(folder), *source]
    done = subprocess.run([*pip, "-r", str(requirements)], capture_output=True, text=True, check=False)  # noqa: S603  # pip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise PodiumError(f"the wheels of {requirements.read_text().split()} cannot be had: {last}")


def rehearse(config: Config, bundle: Path, stage: Path, packages: Path | None = None, precision: str = "") -> Rehearsal:
    """Run the kernel as Kaggle does: inputs below one folder, no network, rows that nothing was trained on.

    The hidden test set has the public test rows, as many again as half of them mirrored under new ids, and two files
    that are no images. `packages` holds what is installed already; else the kernel installs its wheels.
    Raises PodiumError with the kernel's last words where it fails.
    """
    inputs, working = stage / "input", stage / "working"
    working.mkdir(parents=True)
    title = json.loads((bundle / "dataset/dataset-metadata.json").read_text(encoding="utf-8"))["title"]
    shutil.copytree(bundle / "dataset", inputs / title)
    images, sample = _hidden_test(config, inputs / slug(config))
    mounted = sorted(inputs.rglob("*"))
    for path in mounted:
        path.chmod(0o555 if path.is_dir() else 0o444)
    python, guard = _python(stage.parent / "venv", with_pip=packages is None), dict[str, str]()
    offline, network = _offline()
    if not offline:
        (stage / "guard").mkdir()
        (stage / "guard/sitecustomize.py").write_text(_GUARD, encoding="utf-8")
        guard = {"PYTHONPATH": str(stage / "guard")}
    env = {"PATH": os.environ["PATH"], "PODIUM_INPUT": str(inputs), "PODIUM_PRECISION": precision, **guard}
    env["PODIUM_PACKAGES"] = str(packages or stage / "packages")
    command = [*offline, python, "-B", "-s", str(bundle.resolve() / "kernel/submit.py")]
    done = subprocess.run(command, cwd=working, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise PodiumError(f"{bundle}: the rehearsal failed, and so would the kernel: {last}")
    if sorted(inputs.rglob("*")) != mounted:  # for root, no file is read-only
        raise PodiumError(f"{bundle}: the kernel wrote into its inputs, which are read-only at Kaggle")
    facts = json.loads((working / "podium.json").read_text(encoding="utf-8"))
    n_rows = len(read_sample(sample))
    return Rehearsal(working / "submission.csv", sample, images, n_rows, **facts, network=network)


def pinned(installed: Path, pins: Path, folder: Path, wheels: Path | None) -> Path:
    """Return `folder` with what is installed, but the packages of `pins` in the versions that it names."""
    shutil.copytree(installed, folder, symlinks=True)
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--only-binary=:all:", *source]
    command = [*pip, "--target", str(folder), "-r", str(pins)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # pip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise PodiumError(f"{pins}: these packages cannot be had: {last}")
    return folder


def _python(folder: Path, *, with_pip: bool) -> str:
    """Return a Python of this version whose environment holds pip at most; made where it is not there."""
    if not folder.exists():
        options = [] if with_pip else ["--without-pip"]
        command = [sys.executable, "-m", "venv", *options, str(folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # venv
        if made.returncode:
            raise PodiumError(f"no environment for a rehearsal can be made: {(made.stdout + made.stderr).strip()}")
    return str(folder / "bin/python")


def _offline() -> tuple[list[str], str]:
    """Return what runs a command without a network, and its name; nothing where this machine does not allow it."""
    if shutil.which("unshare"):
        for words in (["unshare", "-n"], ["unshare", "-rn"]):
            tried = subprocess.run([*words, "true"], capture_output=True, check=False)  # noqa: S603  # its own words
            if tried.returncode == 0:
                return words, " ".join(words)
    return [], "a guard on sockets"


def _hidden_test(config: Config, folder: Path) -> tuple[Path, Path]:
    """Write a competition's folder with a test set as above; returns the folder of images and the sample submission."""
    name = config.params.competition
    images = IMAGES.read(paths.data(name, "images.parquet")).query("split == 'test'").sort_values("row_id")
    place = folder / images_folder(config)
    place.mkdir(parents=True, exist_ok=True)
    public = read_sample(paths.data(name, "sample_submission.csv"))
    ids = list(public.iloc[:, 0])
    with Reader(paths.raw(name)) as reader:
        for row_id, source in images[["row_id", "source"]].itertuples(index=False, name=None):
            suffix = "" if PurePosixPath(row_id).suffix else ".png"
            _write(reader.read(source), place / f"{row_id}{suffix}")
        for n, source in enumerate(images["source"][: math.ceil(len(images) / 2)]):
            _write(np.ascontiguousarray(reader.read(source)[:, ::-1]), place / f"hidden-{n:06d}.png")
            ids.append(f"hidden-{n:06d}")
    for row_id, content in _BROKEN.items():
        (place / f"{row_id}.jpg").write_bytes(content)
        ids.append(row_id)
    cells = {column: public[column].iloc[0] for column in public.columns[1:]}
    sample = folder / sample_file(config)
    csv_table.write(pd.DataFrame({public.columns[0]: ids, **cells}), sample)
    return place, sample


def _write(pixels: np.ndarray, path: Path) -> None:
    """Write an image without loss."""
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes())


def megabytes(folder: Path) -> float:
    """Return the size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def difference(a: Path, b: Path, columns: Sequence[str]) -> float:
    """Return the greatest difference of two submissions' numbers, line by line; of labels, 1 where two differ."""
    tables = [csv_table.read(path.read_bytes(), str(path)).fillna("") for path in (a, b)]
    if list(tables[0].iloc[:, 0]) != list(tables[1].iloc[:, 0]):
        return math.inf
    greatest = 0.0
    for column in columns:
        numbers = [pd.to_numeric(table[column], errors="coerce") for table in tables]
        if any(one.isna().any() for one in numbers):
            greatest = max(greatest, float((tables[0][column] != tables[1][column]).any()))
        else:
            greatest = max(greatest, float((numbers[0] - numbers[1]).abs().max()))
    return greatest
