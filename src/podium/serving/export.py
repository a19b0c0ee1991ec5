"""An ensemble as a folder that needs no podium: networks, heads, a manifest, and a program that runs them.

Networks lie as OpenVINO Model Server expects them: networks/NAME/1/model.xml.
"""

import re
import shutil
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from podium import paths
from podium.backbones.classical import Classical
from podium.config import scoring, vector_task
from podium.contracts import models
from podium.contracts.dataset import Dataset
from podium.contracts.models import FULL
from podium.contracts.steps import Chain
from podium.engines import openvino
from podium.errors import PodiumError
from podium.features.extraction import Extraction
from podium.imaging.views import VIEWS
from podium.serving import onnx, saved_model
from podium.serving.ensemble import Ensemble, Trained
from podium.serving.runner import FORMAT
from podium.storage.files import atomic_folder, digest, write_json

# Copied side by side, their imports of each other changed to the folder's.
CODE = (
    "errors.py",
    "storage/files.py",
    "contracts/metadata.py",
    "contracts/models.py",
    "contracts/steps.py",
    "contracts/averages.py",
    "contracts/blends.py",
    "imaging/pixels.py",
    "backbones/descriptors.py",
    "serving/cells.py",
    "serving/runtime.py",
)
PARTS = "parts"
_IMPORT = re.compile(r"^(\s*)from podium(?:\.\w+)*\.(\w+) import", re.MULTILINE)
_ROOM = re.compile(r"^(\s*)from podium(?:\.(?:contracts|backbones)) import (.*)$", re.MULTILINE)


def write(ensemble: Ensemble, folder: Path, also: Collection[str] = ()) -> dict[str, Any]:
    """Write the folder, whole or not at all, and return its manifest; raises PodiumError for what cannot leave.

    `also` names what networks are written as beside OpenVINO's own format: saved_model, onnx.
    """
    refuse(ensemble)
    if "onnx" in also:
        onnx.require()
    name = ensemble.config.params.competition
    with atomic_folder(folder) as temporary:
        networks = {one: _network(ensemble, one, temporary, also) for one in ensemble.networks}
        members = {one: _member(ensemble, one, temporary / "models" / one) for one in ensemble.members}
        models.save(ensemble.model, temporary / "models" / "ensemble", FULL)
        _write_code(temporary)
        needs = _needs(ensemble, networks)
        (temporary / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")
        (temporary / "LICENSES.md").write_text(_licences(ensemble), encoding="utf-8")
        (temporary / "README.md").write_text(_readme(name, needs), encoding="utf-8")
        task, data = vector_task(ensemble.config), Dataset(paths.dataset(name))
        files = [path for path in sorted(temporary.rglob("*")) if path.is_file()]
        manifest = {
            "format": FORMAT,
            "competition": name,
            "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "task": {"kind": task.kind, **task.model_dump(mode="json")},
            "labels": list(ensemble.labels),
            "views": [[VIEWS[v].operation, dict(VIEWS[v].parameters)] for v in ensemble.config.params.views.test],
            "networks": networks,
            "members": members,
            "weights": _weights(ensemble),
            "clip": ensemble.model.clip,
            "fallback": scoring(ensemble.config).finished(task.fallback(data, ["x"])).p[0].tolist(),
            "versions": {one.partition("==")[0]: one.partition("==")[2] for one in needs},
            "files": {path.relative_to(temporary).as_posix(): digest(path) for path in files},
        }
        write_json(manifest, temporary / "manifest.json")
    return manifest


def refuse(ensemble: Ensemble) -> None:
    """Raise PodiumError for a network that an exported model cannot run, before any work."""
    for name in ensemble.networks:
        source = ensemble.source(name)
        if isinstance(source, Extraction) and not {"openvino", "numpy"} & set(source.network.engines):
            where = f"{paths.PARAMS}: backbones.{name}.network"
            raise PodiumError(f"{where}: OpenVINO cannot run {source.backbone.network}, so it cannot be exported")


def _network(ensemble: Ensemble, name: str, folder: Path, also: Collection[str]) -> dict[str, Any]:
    """Write a network's models; returns its part of the manifest."""
    source, cached, kind = ensemble.source(name), None, "openvino"
    builds: dict[str, Callable[[], Any]] = {}
    if isinstance(source, Trained):
        px, how, batch, precision = source.encoder.px, source.encoder.spec.resize, source.encoder.spec.batch, "float32"
        for n, fold in enumerate(source.folds):
            builds[f"{name}_{n}/1"] = partial(_keras, ensemble, source, fold)
    else:
        backbone, network = source.backbone, source.network
        px, how, batch, precision = source.px, backbone.resize, backbone.batch, source.precision
        if isinstance(network, Classical):
            kind = "descriptor"
        else:
            network.require_weights(f"{paths.PARAMS}: backbones.{name}.network", source.pooling)
            cached = paths.cache() / "models" / source.fingerprint if source.engine_name == "openvino" else None
            builds[f"{name}/1"] = partial(network.build, px, source.pooling, backbone.layers)
    for run, build in builds.items():
        _copy(build, (batch, px, px, 3), cached, folder / "networks" / run)
        if "saved_model" in also:
            saved_model.write(build(), folder / "saved_models" / run)
        if "onnx" in also:
            onnx.write(build(), folder / "onnx" / run / "model.onnx")
    return {
        "px": px,
        "mode": how.mode,
        "interpolation": how.interpolation,
        "least_px": how.least_px(px),
        "batch": batch,
        "precision": precision,
        "kind": kind,
        "runs": list(builds) or [source.network.describe.__name__],  # type: ignore[union-attr]  # a Classical
    }


def _copy(build: Callable[[], Any], shape: tuple[int, ...], cached: Path | None, folder: Path) -> None:
    """Put an exported model into `folder`, from the cache where it is there."""
    folder.mkdir(parents=True)
    with TemporaryDirectory() as spare:
        file = openvino.model_file(build, shape, cached or Path(spare) / "cached", Path(spare))
        for suffix in (".xml", ".bin"):
            shutil.copy(file.with_suffix(suffix), folder / f"model{suffix}")


def _keras(ensemble: Ensemble, source: Trained, fold: Any) -> Any:
    """Return a trained network as a Keras model from uint8 pixels to features."""
    import keras

    from podium.training.outputs.scores import build

    task = vector_task(ensemble.config)
    model = build(source.encoder, task, len(task.columns(list(ensemble.labels))), 0)
    model.restore({f"model/{n}": array for n, array in enumerate(fold.weights)})
    pixels = keras.Input((source.encoder.px, source.encoder.px, 3), dtype="uint8")
    return keras.Model(pixels, model.body(keras.ops.cast(pixels, "float32")))


def _member(ensemble: Ensemble, name: str, folder: Path) -> dict[str, Any]:
    """Write a member's models; returns its part of the manifest."""
    member = ensemble.members[name]
    named = [f"{n:03d}" for n in range(len(member.models))]
    for one, model in zip(named, member.models, strict=True):
        # A trained network's weights are in its OpenVINO model.
        models.save(Chain((model.logits, model.activation)) if member.is_network else model, folder, one)  # type: ignore[attr-defined]
    return {
        "networks": list(member.networks),
        "models": named,
        "merges_views": member.merges_views,
        "is_network": member.is_network,
    }


def _weights(ensemble: Ensemble) -> dict[str, float] | None:
    weights = ensemble.model.blend.weights
    return None if weights is None else dict(zip(ensemble.model.names, map(float, weights), strict=True))


def _write_code(folder: Path) -> None:
    """Copy the program and what it imports."""
    package = Path(sys.modules["podium"].__path__[0])
    parts = folder / PARTS
    parts.mkdir()
    (parts / "__init__.py").write_text('"""What predict.py is made of, copied from podium (MIT license)."""\n', "utf-8")
    for name in CODE:
        source = package / name
        (parts / source.name).write_text(local(source.read_text(encoding="utf-8")), encoding="utf-8")
    program = (package / "serving/runner.py").read_text(encoding="utf-8")
    (folder / "predict.py").write_text(local(program), encoding="utf-8")


def local(code: str) -> str:
    """Return code whose imports of podium's modules are those of the folder."""
    return _IMPORT.sub(rf"\1from {PARTS}.\2 import", _ROOM.sub(rf"\1from {PARTS} import \2", code))


def _needs(ensemble: Ensemble, networks: dict[str, Any]) -> list[str]:
    """Return the packages that the program takes, with the versions that are here."""
    names = ["numpy", "opencv-python-headless", "pillow"]  # Pillow reads EXIF blocks
    if any(one["kind"] == "openvino" for one in networks.values()):
        names.append("openvino")
    if "hog" in [run for one in networks.values() for run in one["runs"]]:
        names.append("scikit-image")
    fitted = [ensemble.model, *(model for member in ensemble.members.values() for model in member.models)]
    if any(_has_trees(part) for part in fitted):
        names.append("lightgbm")
    return [f"{name}=={metadata.version(name)}" for name in names]


def _has_trees(value: Any) -> bool:
    """Return whether LightGBM's trees are anywhere in a fitted model."""
    if type(value).__name__ == "Trees":
        return True
    parts = value if isinstance(value, tuple) else vars(value).values() if isinstance(value, models.Fitted) else ()
    return any(_has_trees(part) for part in parts)


def _licences(ensemble: Ensemble) -> str:
    """Return what is known of the licences of weights, data and code."""
    lines = ["# Licences", "", "- The code is podium's: MIT."]
    for name in ensemble.networks:
        source = ensemble.source(name)
        network = source.network if isinstance(source, Extraction) else source.encoder.network
        weights, licence = getattr(network, "weights", ""), getattr(network, "license", "")
        if weights:
            lines.append(f"- {name}: its weights {weights} are licensed {licence or '(unknown)'}.")
    file = paths.competition(ensemble.config.params.competition)
    head = [line.lstrip("# ") for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    lines += ["", "What was learnt from the data may fall under the data's licence:", "", *head]
    return "\n".join(lines) + "\n"


def _readme(name: str, needs: list[str]) -> str:
    return f"""# {name}

    pip install -r requirements.txt
    python predict.py PATH... --out predictions.csv

PATH is an image, a folder or a zip archive. `--sample FILE` writes a submission of that file's lines.
manifest.json names labels, views, networks, members, weights and the SHA-256 of every file. networks/ is laid out for
OpenVINO Model Server: a network takes a batch of `(n, px, px, 3)` uint8 RGB. It takes {", ".join(needs)}.
"""
