"""A made-up competition for the benchmarks of extraction: PNG files in a zip, its tables and its params."""

import hashlib
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from podium.contracts.tables import IMAGES, VIEWS

ROOT = Path(__file__).parents[1]


def make(folder: Path, n_images: int, px: int = 300, **backbone: object) -> None:
    """Write a repository in `folder`: `n_images` gray images of `px` a side (like ELPV's), one view each."""
    rng = np.random.default_rng(0)
    raw = folder / "data/toy/raw"
    raw.mkdir(parents=True)
    lines = []
    with zipfile.ZipFile(raw / "images.zip", "w") as archive:
        for n in range(n_images):
            # Enlarged noise: PNG packs it about as well as photographs of surfaces.
            noise = rng.integers(0, 256, (px // 4, px // 4), dtype=np.uint8)
            image = cv2.resize(noise, (px, px), interpolation=cv2.INTER_CUBIC)
            content = cv2.imencode(".png", image)[1].tobytes()
            name = f"{n:06d}.png"
            archive.writestr(name, content)
            lines.append((name, f"images.zip#{name}", hashlib.sha256(content).hexdigest()))
    images = pd.DataFrame(lines, columns=["image_id", "source", "digest"])
    images = images.assign(row_id=images["image_id"], split="train", width=px, height=px)
    IMAGES.write(images, folder / "data/toy/images.parquet")
    views = images[["image_id"]].assign(view="identity", operation="identity", parameters="{}")
    VIEWS.write(views, folder / "data/toy/views.parquet")
    _settings(folder, {"network": "efficientnet_lite0", **backbone})


def _settings(folder: Path, backbone: dict[str, object]) -> None:
    """Write params.yaml and a competition: the shipped ones, with one backbone."""
    yaml = YAML(typ="safe")
    params = yaml.load((ROOT / "params.yaml").read_text())
    params |= {"competition": "toy", "backbones": {"toy": backbone}, "fusions": {}}
    params["members"] = {"one": {"backbone": "toy", "head": "logistic"}}
    yaml.dump(params, folder / "params.yaml")
    (folder / "competitions").mkdir()
    (folder / "competitions/toy.yaml").write_bytes((ROOT / "competitions/elpv.yaml").read_bytes())
