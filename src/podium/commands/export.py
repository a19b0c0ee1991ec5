"""`podium export [FOLDER]`: the ensemble as a folder that needs no podium."""

import sys
from pathlib import Path

from podium import paths
from podium.config import Config
from podium.errors import PodiumError
from podium.serving import ensemble as ensembles
from podium.serving import export
from podium.storage.files import digest


def run(config: Config, folder: str | None, slim: float | None, *, saved_model: bool, onnx: bool) -> None:
    """Write FOLDER, exports/C by default; an older export there is replaced, and nothing else."""
    target = Path(folder) if folder else paths.export(config.params.competition)
    if target.exists() and not (target / "manifest.json").is_file() and (not target.is_dir() or any(target.iterdir())):
        raise PodiumError(f"{target}: it is there, and no exported model; choose another folder")
    if slim is not None and not slim >= 0:
        raise PodiumError(f"--slim: must be a loss of score, 0 or more, not {slim:g}")
    also = [name for name, wanted in (("saved_model", saved_model), ("onnx", onnx)) if wanted]
    ensemble = ensembles.read(config, slim=slim)
    if ensemble.note:
        print(f"export: {ensemble.note}", file=sys.stderr)  # noqa: T201  # before any work
    manifest = export.write(ensemble, target, also)
    n_bytes = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(  # noqa: T201  # the command's answer
        f"{target}: {len(manifest['members'])} members on {len(manifest['networks'])} networks, {n_bytes / 1e6:.1f} MB,"
        f" manifest {digest(target / 'manifest.json')[:12]}; `python {target}/predict.py PATH...` runs it"
    )
