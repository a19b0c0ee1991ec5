"""`podium new SLUG_OR_FOLDER`: a competition's YAML and a first recipe from its files, each guess with its reason.

Both are drafts: what the files do not tell stands in them as a question.
"""

import io
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from podium import paths, plugins
from podium.analysis import first_recipe, mirrors
from podium.config import Competition, Config, Params, load_competition, load_params
from podium.contracts.tables import HASHES, IMAGES, ROWS
from podium.errors import PodiumError
from podium.imaging.images import Reader, Resize, resize
from podium.layouts.guess import Guess, guess
from podium.sources import fetch
from podium.stages import prepare
from podium.storage import csv_table
from podium.storage.files import atomic, atomic_folder
from podium.storage.raw import Raw
from podium.tasks.vector import ExclusiveTask, VectorTask

_NULL = "tag:yaml.org,2002:null"
_BIGGEST_TABLE = 200 * 2**20  # bytes; a larger CSV is data of its own, not labels
_LOOKED_AT = 300  # images of which the recipe's choices are made
_SECTIONS = ("title", "source", "layout", "task", "metric", "metrics", "holdout", "submission")
_DIRECTED = re.compile(r"left|right|clockwise|north|south|east|west|arrow", re.IGNORECASE)


def run(what: str) -> None:
    """Fetch the files, write competitions/NAME.yaml and recipes/NAME.yaml, and audit the images.

    Raises PodiumError if one of the two exists.
    """
    name, source = _named(what)
    path, recipe = paths.competition(name), paths.RECIPES / f"{name}.yaml"
    for file in (path, recipe):
        if file.exists():
            raise PodiumError(f"{file}: is there already; edit it, or remove it to begin anew")
    _fetch(name, source)
    with Raw(paths.raw(name)) as raw:
        made = guess(raw.sources(), _tables(raw), raw.require, plugins.names("tasks"))
    with atomic(path) as temporary:
        temporary.write_text(text(name, source, made), encoding="utf-8")
    print(f"{path} is written; look through it")  # noqa: T201  # the answer
    for line in made.unknown:
        print(f"  not known: {line}")  # noqa: T201  # the answer
    try:
        competition = _audit(name)
    except PodiumError as error:
        print(f"  not yet: {error}")  # noqa: T201  # the answer
        print(f"  answer the questions in {path}, then: podium check-params")  # noqa: T201  # the answer
        return
    if not (isinstance(competition.task, VectorTask) or competition.task.kind in first_recipe.OTHERS):
        print(f"  no recipe: for {competition.task.kind}, see docs/{competition.task.kind}.md")  # noqa: T201
        return
    with atomic(recipe) as temporary:
        temporary.write_text(first_recipe.text(_facts(name, competition, made.time)), encoding="utf-8")
    load_params(recipe)
    print(f"{recipe} is written; next: podium use {name} && make submission")  # noqa: T201  # the answer


def _named(what: str) -> tuple[str, dict[str, Any]]:
    """Return a name and the source: a folder of this machine, or a competition of Kaggle."""
    if Path(what).is_dir():
        name = re.sub(r"[^a-z0-9]+", "-", Path(what).resolve().name.lower()).strip("-")
        name = name if name[:1].isalpha() else f"c{name}"
        return name, {"kind": "folder", "path": what}
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", what):
        raise PodiumError(f"{what!r} is neither a folder here nor the name of a Kaggle competition (as in its address)")
    return what if what[0].isalpha() else f"c{what}", {"kind": "kaggle", "competition": what}


def _fetch(name: str, source: dict[str, Any]) -> None:
    """Download where `dvc repro` will find it done, and lay the files out to be looked at."""
    options = {key: value for key, value in source.items() if key != "kind"}
    plugin = plugins.make("sources", source["kind"], options, "podium new: source")
    with atomic_folder(paths.raw(name)) as folder:
        fetch(plugin, folder, paths.data(name, ".arriving.tmp"))  # what arrived stays there for `dvc repro`


def _tables(raw: Raw) -> dict[str, pd.DataFrame]:
    """Return the CSVs that can be read, the shortest names first."""
    found = {}
    for source in sorted(
        (one for one in raw.sources() if one.lower().endswith(".csv")), key=lambda one: (len(one), one)
    ):
        try:
            data = raw.require(source)
            if len(data) <= _BIGGEST_TABLE:
                found[source] = csv_table.read(data, source)
        except PodiumError as error:
            print(f"  not read: {error}")  # noqa: T201  # the user should know
    return found


def text(name: str, source: dict[str, Any], made: Guess) -> str:
    """Return the YAML: above each section its reason, and the questions that it leaves, as comments."""
    yaml = YAML()
    yaml.width = 120
    yaml.representer.add_representer(type(None), lambda representer, _: representer.represent_scalar(_NULL, "null"))
    sections = {"title": name, "source": source, **made.sections}
    parts = [f"# {name}: what is it about, and what was published?\n#   podium use {name} && make submission\n"]
    for key in _SECTIONS:
        comments = [f"# guessed: {made.reasons[key]}\n"] if key in made.reasons else []
        comments += [f"# ? {line}\n" for line in made.unknown if re.match(r"\w+", line)[0] == key]  # type: ignore[index]  # each opens with a key
        written = io.StringIO()
        yaml.dump({key: sections[key]}, written)
        parts.append("".join(comments) + written.getvalue())
    return "\n".join(parts)


def _audit(name: str) -> Competition:
    """Run prepare on the new competition, and print what it found."""
    params, competition = Params.model_construct(competition=name, limit=None), load_competition(name)
    prepare.run(Config.model_construct(params=params, competition=competition))
    audit = json.loads(paths.data(name, "audit.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{count:,} {split}" for split, count in sorted(audit["rows"].items()))
    print(f"  rows: {counts}; different image sizes: {len(audit['sizes'])}")  # noqa: T201  # the answer
    for key in ("quarantined", "rows_without_image", "rows_without_label", "duplicates"):
        if audit[key]:
            print(f"  {key}: {len(audit[key]):,}; see {paths.data(name, 'audit.json')}")  # noqa: T201  # the answer
    if audit["unused_images"]:
        print(f"  {audit['unused_images']:,} images that no row names, such as {audit['first_unused_images'][0]}")  # noqa: T201
    return competition


def _facts(name: str, competition: Competition, when: str | None) -> first_recipe.Facts:
    rows, images = (table.read(paths.data(name, f"{table.name}.parquet")) for table in (ROWS, IMAGES))
    hashes = HASHES.read(paths.data(name, "hashes.parquet")).query("split != 'test'")["hash"].reset_index(drop=True)
    labels = list(rows.attrs.get("labels") or [])
    return first_recipe.Facts(
        name=name,
        competition=competition,
        rows=rows,
        images=images,
        labels=labels,
        hashes=hashes,
        look=_look(name, competition, rows, images, labels) if len(images) else None,
        time=when,
        n_cores=os.cpu_count() or 1,
    )


def _look(
    name: str, competition: Competition, rows: pd.DataFrame, images: pd.DataFrame, labels: list[str]
) -> first_recipe.Look:
    """Look at some training images: whether they are gray, how long reading takes, and what mirroring does."""
    train = images[images["split"] == "train"].sort_values("image_id")
    some = train.sample(min(_LOOKED_AT, len(train)), random_state=0)
    started = time.perf_counter()
    with Reader(paths.raw(name)) as reader:
        first = [reader.read(source) for source in some["source"].head(8)]
        seconds = (time.perf_counter() - started) / len(first)
        is_gray = all(bool((one == one[..., :1]).all()) for one in first)
        how = Resize(px=mirrors.PX, decode="reduced")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            read = pool.map(lambda source: reader.read(source, how.least_px(mirrors.PX)), some["source"])
            pixels = np.stack([resize(one, how, mirrors.PX) for one in read])
    found = {}
    if len(some) >= mirrors.LEAST:
        y = rows.set_index("row_id")["y"].reindex(some["row_id"]) if "y" in rows else None
        classes = y.to_numpy() if y is not None and isinstance(competition.task, ExclusiveTask) else None
        found = mirrors.look(pixels, classes, first_recipe.MIRRORS)
    return first_recipe.Look(
        px=int(train[["width", "height"]].min(axis=1).median()),
        is_gray=is_gray,
        seconds=seconds,
        mirrored=found,
        sure_direction=_direction(competition, labels),
    )


def _direction(competition: Competition, labels: list[str]) -> str | None:
    """Return why the labels forbid mirroring, if they do."""
    if competition.task.is_directed:
        return f"the task {competition.task.kind} reads characters: no picture is mirrored"
    if "targets_of" in competition.task.model_fields_set or not labels or labels == ["0", "1"]:
        return None
    if all(len(label) == 1 for label in labels):
        return "labels of one character: pictures of digits or letters are not mirrored"
    told = [label for label in labels if _DIRECTED.search(label)]
    return f"the label {told[0]!r} tells a direction: no picture is mirrored" if told else None
