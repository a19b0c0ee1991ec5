"""Images a second of `podium predict` and of an exported program, against extraction over the same backbones.

    python benchmarks/predict.py --images 320

Run it where `dvc repro` has run. Extraction decodes a picture once for each backbone, predict once for all; all three
run in turn, and start-up is not counted but printed.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from podium import config as config_module
from podium import paths
from podium.contracts.tables import IMAGES
from podium.engines import Engine
from podium.features.extraction import Extraction, Image, Row
from podium.imaging.images import Reader
from podium.imaging.views import VIEWS
from podium.serving import ensemble as ensembles
from podium.serving import export
from podium.serving.runtime import Row as PictureRow
from podium.serving.runtime import of_bytes
from podium.storage.raw import Raw


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--pairs", type=int, default=3, help="of extraction and predict, one after the other")
    arguments = parser.parse_args()
    config = config_module.load()
    name = config.params.competition
    images = IMAGES.read(paths.data(name, "images.parquet")).query("split == 'test'").head(arguments.images)
    with Raw(paths.raw(name)) as raw, Reader(paths.raw(name)) as reader, tempfile.TemporaryDirectory() as folder:
        for image_id, source in images[["image_id", "source"]].itertuples(index=False, name=None):
            (Path(folder) / f"{image_id}.png").write_bytes(raw.read(source))
        ensemble = ensembles.read(config)
        sources = {one: ensemble.source(one) for one in ensemble.networks}
        engines = {one: source.start(paths.cache() / "models" / source.fingerprint) for one, source in sources.items()}
        files = sorted(Path(folder).glob("*.png"))
        started = time.monotonic()
        predictor = ensemble.predictor(ensembles.network)
        print(f"predict: {time.monotonic() - started:.1f} s to start")
        target = Path(folder) / "export"
        export.write(ensemble, target)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
        print(f"export: {size:.1f} MB; the program takes {one_of(target, files, folder):.1f} s for one picture")
        rows = [PictureRow(file.name, (of_bytes(file.name, file.read_bytes),)) for file in files]
        n_views = len(config.params.views.test)
        print(f"{len(files)} pictures, {n_views} views, {len(sources)} networks; pictures a second, of extraction's:")
        list(predictor.run(rows[:32]))  # heads read their training rows once
        for _ in range(arguments.pairs):  # whatever else runs on the machine meets all three
            extraction = sum(extracted(ensemble, sources[one], engines[one], images, reader) for one in sources)
            started = time.monotonic()
            list(predictor.run(rows))
            seconds = {"extraction": extraction, "predict": time.monotonic() - started}
            seconds["program"] = ran(target, files, Path(folder) / "out.csv") - one_of(target, files, folder)
            shown = (f"{key} {len(files) / took:.1f} ({extraction / took:.2f})" for key, took in seconds.items())
            print("  " + ", ".join(shown), flush=True)


def one_of(target: Path, files: list[Path], folder: str) -> float:
    """Return the seconds that the program takes for one picture: its start-up."""
    return ran(target, files[:1], Path(folder) / "one.csv")


def extracted(
    ensemble: ensembles.Ensemble, source: Extraction, engine: Engine, images: pd.DataFrame, reader: Reader
) -> float:
    """Return the seconds that extraction takes for one backbone, once it has started."""
    views = [VIEWS[view] for view in ensemble.config.params.views.test]
    keys = (n.to_bytes(8) for n in itertools.count())
    asked = [
        Image(
            image_id,
            path,
            tuple(Row(next(keys), view.operation, json.dumps(dict(view.parameters))) for view in views),
        )
        for image_id, path in images[["image_id", "source"]].itertuples(index=False, name=None)
    ]
    list(source.run(engine, asked[:32], reader))
    started = time.monotonic()
    list(source.run(engine, asked, reader))
    return time.monotonic() - started


def ran(target: Path, files: list[Path], out: Path) -> float:
    """Return the seconds that the exported program takes."""
    command = [sys.executable, str(target / "predict.py"), *map(str, files), "--out", str(out)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
